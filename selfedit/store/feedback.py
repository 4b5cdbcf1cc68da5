"""What people said of answers: a file of the store that is only appended to, each line of it in the audit log."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfedit.audit import AuditLog, checked_actor
from selfedit.errors import UserError, nearest
from selfedit.files.disk import reading, sync
from selfedit.files.serialize import decode, encode
from selfedit.text.matching import normalise
from selfedit.text.reading import read_json_lines, shown

LONGEST = 500
"""Characters of a question or an answer."""

DISAGREEMENT = "disagreement"
"""The flag on a version for which one of several answers was taken: it waits for approval, whatever the rules."""

FORM = '{"question": "...", "answer": "the right one"} or {"question": "...", "wrong": true}'


@dataclass(frozen=True)
class Feedback:
    """What one person said of one answer. Without `answer`, only that it was wrong.

    Attributes:
        answer: the right one.
        said: what the model had answered, where that is known.
        who: said so; empty stands for whoever acts, until it is stored.
        time: of its being stored, UTC.
        id: a hash of all this, by which it is the same one.
    """

    question: str
    answer: str = ""
    said: str = ""
    who: str = ""
    time: str = ""
    id: str = ""

    @property
    def about(self) -> str:
        """Equal for feedback about one question, however it is spaced or spelt in capitals."""
        return normalise(self.question)


def parse_feedback(fields: Any) -> Feedback:
    """The feedback that a JSON object holds: `question`, and `answer` or `wrong` (true, or what was said), and `who`.

    Raises:
        ValueError: it is none; why, in a few words.
    """
    if not isinstance(fields, Mapping):
        raise ValueError("it is not an object")
    known = ("question", "answer", "wrong", "said", "who")
    if unknown := [str(name) for name in fields if name not in known]:
        raise ValueError(f"unknown field '{shown(unknown[0], 40)}'. {nearest(unknown[0], known)}")
    wrong = fields.get("wrong", False)
    for name in known:
        value = fields.get(name, "")
        if not isinstance(value, str) and not (name == "wrong" and isinstance(value, bool)):
            raise ValueError(f"'{name}' is not a text")
    said = fields.get("said", "") or (wrong if isinstance(wrong, str) else "")
    given = Feedback(fields.get("question", ""), fields.get("answer", ""), said, fields.get("who", ""))
    if not given.answer.strip() and not wrong:
        raise ValueError("it has neither 'answer' nor 'wrong'")
    return checked(given)


def read_feedback(path: Path) -> list[Feedback]:
    """The feedback in a file of JSON lines. Raises UserError that names the line which is none."""
    return read_json_lines(path, lambda fields, _: parse_feedback(fields), FORM)


def checked(given: Feedback) -> Feedback:
    """The feedback with its texts on one line each.

    Raises:
        ValueError: a text is empty or too long, or `who` can be no name.
    """
    texts = {name: " ".join(getattr(given, name).split()) for name in ("question", "answer", "said")}
    if not normalise(texts["question"]):
        raise ValueError("the question is empty")
    if texts["answer"] and not normalise(texts["answer"]):
        raise ValueError("the answer has no word or number in it")
    for name, text in texts.items():
        if len(text) > LONGEST:
            raise ValueError(f"'{name}' has {len(text)} characters; {LONGEST} at most")
    if given.who:
        try:
            checked_actor(given.who)
        except UserError as error:
            raise ValueError(str(error).rstrip(".")) from None
    return replace(given, **texts)


class FeedbackFile:
    """All feedback of a store, oldest first. What counts is what the audit log knows, too.

    Args:
        audit: the log of the same store.
    """

    def __init__(self, path: Path, audit: AuditLog) -> None:
        self.path, self._audit = path, audit

    def all(self) -> list[Feedback]:
        """Raises UserError when the file cannot be read, or a line of it is none."""
        if not self.path.exists():
            return []
        with reading(self.path):
            lines = self.path.read_bytes().split(b"\n")[:-1]  # What follows the last newline was never done.
        try:
            return [decode(Feedback, line) for line in lines]
        except ValueError as error:
            raise UserError(
                f"{self.path} holds a line that is no feedback ({error}): restore it from a backup."
            ) from None

    def add(self, given: Sequence[Feedback]) -> list[Feedback]:
        """Store feedback, and return it as it is stored. Call it under the store's lock.

        What a person last said about a question already is not stored again.

        Raises:
            UserError: one is empty or too long.
            OSError: it cannot be written.
        """
        known = self._whole()
        last = {(each.who, each.about): each for each in known}
        added: list[Feedback] = []
        result = []
        for each in given:
            try:
                each = checked(each)
            except ValueError as error:
                raise UserError(f"This feedback cannot be stored: {error}. It looks like {FORM}.") from None
            each = replace(each, who=each.who or self._audit.actor, time="", id="")
            place = (each.who, each.about)
            if place not in last or _content(last[place]) != _content(each):
                last[place] = _stored(each, self._audit.now().isoformat(timespec="seconds"), len(known) + len(added))
                added.append(last[place])
            result.append(last[place])
        if added:
            _append(self.path, b"".join(encode(each) + b"\n" for each in added))
            self._log(added)
        return result

    def _whole(self) -> list[Feedback]:
        """All of it, when what a process that was killed left half done is mended."""
        if self.path.exists():
            data = self.path.read_bytes()
            if not data.endswith(b"\n") and data:
                os.truncate(self.path, data.rfind(b"\n") + 1)
        known = self.all()
        if known:
            logged = logged_feedback(self._audit)
            self._log([each for each in known if each.id not in logged])
        return known

    def _log(self, added: Iterable[Feedback]) -> None:
        for each in added:
            hashes = {"feedback": [sha256(each)]}
            self._audit.record("feedback", each.id, hashes=hashes, who=each.who, answered=bool(each.answer))


def logged_feedback(audit: AuditLog) -> dict[str, str]:
    """The hash of each piece of feedback that the log knows, by its id."""
    entries = (entry for entry in audit.entries() if entry.action == "feedback")
    return {entry.subject: entry.hashes["feedback"][0] for entry in entries if entry.hashes.get("feedback")}


def sha256(feedback: Feedback) -> str:
    """The hash of all that feedback says."""
    return hashlib.sha256(encode(feedback)).hexdigest()


def latest(all: Sequence[Feedback]) -> dict[str, list[Feedback]]:
    """By question, what each person last said about it, oldest first: who corrects oneself is not at odds."""
    by_person: dict[tuple[str, str], Feedback] = {}
    for each in all:
        by_person.pop((each.about, each.who), None)
        by_person[each.about, each.who] = each
    found: dict[str, list[Feedback]] = {}
    for (about, _), each in by_person.items():
        found.setdefault(about, []).append(each)
    return found


@dataclass(frozen=True)
class Case:
    """What people say of one question now.

    Attributes:
        given: what each last said, oldest first.
        open: whether no update has seen to it yet.
    """

    given: tuple[Feedback, ...]
    open: bool

    @property
    def newest(self) -> Feedback:
        """What was said last; what has an answer goes before what has none."""
        return max(enumerate(self.given), key=lambda each: (bool(each[1].answer), each[0]))[1]

    @property
    def answers(self) -> dict[str, Feedback]:
        """The different answers that are called right."""
        return {normalise(each.answer): each for each in self.given if each.answer}

    @property
    def disputed(self) -> bool:
        """Whether people disagree: about the right answer, or one calls wrong what another one calls right."""
        wrong = {normalise(each.said) for each in self.given if not each.answer and each.said}
        return len(self.answers) > 1 or bool(wrong & self.answers.keys())


def cases(all: Sequence[Feedback], seen: Set[str]) -> list[Case]:
    """What people say, a case a question.

    Args:
        seen: the ids of what updates have seen to.
    """
    found = []
    for given in latest(all).values():
        # That an answer was wrong is nothing new where somebody has said since what is right.
        telling = [each for each in given if each.answer] or given
        found.append(Case(tuple(given), any(each.id not in seen for each in telling)))
    return found


def _content(each: Feedback) -> tuple[str, str, str]:
    return each.question, each.answer, each.said


def _stored(each: Feedback, time: str, number: int) -> Feedback:
    each = replace(each, time=time)
    return replace(each, id=hashlib.sha256(f"{number}/".encode() + encode(each)).hexdigest()[:12])


def _append(path: Path, data: bytes) -> None:
    """Add lines to a file, all of them or none; on the disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)
    sync(path.parent)
