"""Guards: what is to be seen by a person before it is learnt."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Protocol

from selfedit.policies.spans import sentences
from selfedit.text.reading import shown
from selfedit.types import Flag, Learnt

_SPACE = re.compile(r"\s{3,}")
_EXCERPT = 120
_KEPT = 3
"""Characters of a secret that an excerpt may have."""


@dataclass(frozen=True)
class Text:
    """What is screened: a document in its passages, or a self-edit.

    Attributes:
        id: the document's hash, or the edit's id.
        path: of the document; with the title it says which document this one takes the place of.
        headings: of its passages, which are learnt with them.
    """

    id: str
    title: str
    path: str
    passages: tuple[str, ...]
    headings: tuple[str, ...] = ()

    @cached_property
    def whole(self) -> str:
        """All that is learnt of it, a blank line between parts: what is cut in two by passages is not cut here."""
        return "\n\n".join((self.title, *self.headings, *self.passages))

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Of all passages, in their order."""
        return tuple(sentence for passage in self.passages for sentence in sentences(passage))


class Reader(Protocol):
    """A model that answers questions."""

    def ask(self, questions: Sequence[str]) -> list[str]:
        """What the version answers that is gone on from, without any text."""

    def read(self, questions: Sequence[tuple[str, str, str]]) -> list[str]:
        """Answers to (question, title, passage), with the passage in context."""


@dataclass(frozen=True)
class Known:
    """What texts are held against.

    Attributes:
        learnt: what the version knows that is gone on from.
        languages: codes of those that may be learnt; empty for those that are known.
        reader: None where no model is at hand.
    """

    learnt: tuple[Learnt, ...] = ()
    languages: tuple[str, ...] = ()
    reader: Reader | None = field(default=None, compare=False)

    def besides(self, text: Text) -> tuple[Learnt, ...]:
        """What is known from other documents than the one whose place this text takes."""
        return tuple(
            item for item in self.learnt if (item.document.path, item.document.title) != (text.path, text.title)
        )


class Guard(ABC):
    """Screens texts before they are learnt. It sees all of them, since one may only be suspicious beside others.

    Attributes:
        reads_edits: whether it has anything to say of a self-edit by itself.
    """

    name: ClassVar[str]
    reads_edits: ClassVar[bool] = False

    @abstractmethod
    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        """Why texts should wait, perhaps several reasons for one, in the order of the texts."""

    def note(self) -> str:
        """A line that the user should read before anything is screened; empty for none."""
        return ""

    def flag(self, text: Text, excerpt: str, why: str) -> Flag:
        """A flag of this guard."""
        title, path = shown(text.title, _EXCERPT), shown(text.path)
        return Flag(self.name, text.id, title, path, shown(" ".join(excerpt.split()), _EXCERPT), why)


class TextGuard(Guard):
    """A guard that looks at one text at a time."""

    reads_edits: ClassVar[bool] = True

    @abstractmethod
    def found(self, text: str) -> list[tuple[str, str]]:
        """What stands in a text, each as (excerpt, why)."""

    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        return [
            self.flag(text, *each)
            for text in texts
            for each in dict.fromkeys(self.found(_SPACE.sub(_shorter, text.whole)))
        ]


def _shorter(space: re.Match[str]) -> str:
    """A long gap as a short one: patterns that run over gaps take their square."""
    return "\n\n" if "\n" in space[0] else " "


def masked(secret: str) -> str:
    """The first characters of what nobody should read in a log."""
    return f"{secret[: min(_KEPT, len(secret) // 3)]}…"


_PLACEHOLDER = re.compile(
    r"""
    ^(?:[<\[{(].*[>\]})]?|\$\w*.*|%\w+%?|\*+|x{2,}|\.{2,}|_+|-+|\u2026+)$   # <name>, ${NAME}, {{name}}, ***, xxx
    |(?:your|my|some|the|any|insert|enter|replace|change|choose|put|use)[-_ ]?(?:own[-_ ]?)?
     (?:\w+[-_ ])*(?:pass|secret|token|key|pin|name|value|here|me|this|it|api)
    |change[-_ ]?me|change[-_ ]?it|placeholder|example|sample|dummy|redacted|hidden|masked|removed|omitted|todo|tbd|fake
    |not[-_]?a?[-_]?real|foo|bar(?:baz)?$|lorem|xxxx|\*{3,}|\.{3}|\u2026|none$|null$|empty$|undefined|optional
    |required|string$|secret$|password$|passphrase$|token$|^.{0,6}(?:1234|abcd|0000|aaaa)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_placeholder(value: str) -> bool:
    """Whether a value only shows where a true one would stand: `<password>`, `YOUR_API_KEY`, `xxxx`, `changeme`."""
    value = value.strip().strip("\"'`")
    return not value or bool(_PLACEHOLDER.search(value)) or len(set(value.lower())) <= 2
