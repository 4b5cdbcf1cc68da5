"""Where a record of the search belongs in its journal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["edits", "before", "trials", "after"]
Chunk = int | Literal["failed"]
"""The place of a chunk of trials, or those trials whose edit cannot be used, which belong to no chunk."""

_CHUNKED = re.compile(r"(.*)\.(\d+|failed)", re.DOTALL)


@dataclass(frozen=True)
class RecordKey:
    """A record of a stage: all of it, one task's part of it, or a chunk of its trials.

    Its text form within its kind is `stage`, `stage/task` or, for trials, `stage.chunk`. A stage without a name has its
    tasks' names alone. Neither stages nor tasks have a slash in their names.
    """

    kind: Kind
    stage: str
    task: str = ""
    chunk: Chunk | None = None

    def __str__(self) -> str:
        if self.chunk is not None:
            return f"{self.stage}.{self.chunk}"
        return "/".join(filter(None, (self.stage, self.task)))

    @classmethod
    def parse(cls, kind: Kind, text: str) -> RecordKey:
        """The key with this text form; of a stage that has a name."""
        if kind == "trials" and (match := _CHUNKED.fullmatch(text)):
            return cls(kind, match[1], chunk="failed" if match[2] == "failed" else int(match[2]))
        stage, _, task = text.partition("/")
        return cls(kind, stage, task)
