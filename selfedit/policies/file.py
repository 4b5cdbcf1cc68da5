"""The policy that is a file: self-edits that something else wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfedit.errors import UserError, nearest
from selfedit.policies.base import OnEdit, Policy
from selfedit.policies.formats import Format
from selfedit.release_0_1 import as_release_0_1
from selfedit.seeds import derive_seed
from selfedit.text.matching import normalise
from selfedit.text.reading import read_json_lines
from selfedit.types import Model, SelfEdit, Task


class FilePolicy(Policy):
    """Reads JSONL rows with `self_edit` and, to say which passage each is about, `context` or `title`.

    Raises:
        UserError: the file cannot be read, or a row is not of this form; the line is named.
    """

    def __init__(self, path: Path, format_: Format) -> None:
        self._path, self._format = path, format_
        self._rows = _read(path)

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UserError if no row is about any of the tasks."""
        if any(map(self.covers, tasks)):
            return
        title = self._rows[0].get("title", "")
        raise UserError(
            f"No self-edit in {self._path} is about a passage: none has a passage's 'context' or, without one, its "
            f"'title'. {nearest(title, {task.title for task in tasks})}"
        )

    def covers(self, task: Task) -> bool:
        """Whether a row is about the task."""
        return bool(self._rows_for(task))

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        """A passage gets the rows with its context, or else those with its title."""
        proposed = []
        for task in tasks:
            for number, row in enumerate(self._rows_for(task)[:edits]):
                edit = SelfEdit(
                    f"{task.id}.e{number}",
                    task.id,
                    self._format.name,
                    "",
                    row["self_edit"],
                    derive_seed(seed, task.id, number),
                )
                proposed.append(edit)
                if on_edit is not None:
                    on_edit(edit)
        return proposed

    def _rows_for(self, task: Task) -> list[dict[str, Any]]:
        # Of demonstrations, the text that release 0.1 made of them, which rows may have.
        context, title = normalise(str(as_release_0_1(task)["context"])), normalise(task.title)
        same_context = [row for row in self._rows if normalise(row.get("context", "")) == context]
        same_title = [row for row in self._rows if not row.get("context") and normalise(row.get("title", "")) == title]
        return same_context or same_title


def _read(path: Path) -> list[dict[str, Any]]:
    return read_json_lines(path, _row, '{"self_edit": "...", "context": "..."}')


def _row(fields: Any, _: int) -> dict[str, Any]:
    names = ("self_edit", "context", "title")
    if not isinstance(fields, dict) or not all(isinstance(fields.get(name, ""), str) for name in names):
        raise ValueError("needs text fields 'self_edit' and 'context' or 'title'")
    if not fields.get("self_edit") or not (fields.get("context") or fields.get("title")):
        raise ValueError("needs 'self_edit' and either 'context' or 'title', not empty")
    return fields
