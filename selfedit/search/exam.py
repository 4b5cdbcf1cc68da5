"""Asks what versions know: probes of passages, general questions, the user's own, before an update and after it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from selfedit.files.journal import Records
from selfedit.gates import Compared
from selfedit.generate.base import Generator
from selfedit.memory.recall import Recall, Recalled, surest
from selfedit.models.prompt import Prompter
from selfedit.progress import Progress
from selfedit.routing import Query
from selfedit.search.evaluator import Asked, Evaluator
from selfedit.types import Answer, Evaluation, Model, Probe, Task

_Put = tuple[tuple[Task, Probe], Recalled]
"""A probe of a task, and who answers it."""


class Exam:
    """Puts questions to versions as `ask` does. What was asked once is recorded, and not asked again.

    Where a router chooses, it sees the question alone, and the answer is sought under the title that it chose. Where
    one model answers everything, the question stands under its own title, as in the paper.
    """

    def __init__(self, evaluator: Evaluator, records: Records, progress: Progress) -> None:
        self._evaluator, self._records, self._progress = evaluator, records, progress

    def evaluate(self, recall: Recall, tasks: Sequence[Task], label: str) -> tuple[Evaluation, ...]:
        """One evaluation a task."""
        asked = _put(recall, tasks)
        answers = iter(self._ask(recall, asked, label))
        grader = self._evaluator.grader_name
        return tuple(Evaluation(task.id, grader, tuple(next(answers) for _ in task.probes)) for task in tasks)

    def compare(self, before: Recall, after: Recall, tasks: Sequence[Task], label: str) -> Compared:
        """The probes that another model answers after the update, or under another title; the others are counted."""
        pairs = zip(_put(before, tasks), _put(after, tasks), strict=True)
        other = [(old, new) for old, new in pairs if old[1].key != new[1].key]
        same = sum(len(task.probes) for task in tasks) - len(other)
        was = self._ask(before, [old for old, _ in other], f"{label}, before")
        now = self._ask(after, [new for _, new in other], f"{label}, after")
        return Compared(tuple(was), tuple(now), same)

    def _ask(self, recall: Recall, asked: Sequence[_Put], label: str) -> Sequence[Answer]:
        if not asked:
            return ()
        # With their words: a file of questions may be another one when an interrupted run goes on.
        questions = [(task.id, probe, recalled.key) for (task, probe), recalled in asked]
        key = hashlib.sha256(repr((recall.knowledge.memory, questions)).encode()).hexdigest()[:32]
        recorded = self._records.get("answers", key, tuple[Answer, ...])
        if recorded is None:
            with self._progress.bar(label, len(asked), "questions") as bar:
                recorded = tuple(self._evaluator.ask(self._settled(asked), bar.advance))
            self._records.put("answers", key, recorded)
        return recorded

    def _settled(self, asked: Sequence[_Put]) -> list[Asked]:
        """Each question, put to the one that answers it; where several might, all are asked, and it is the surest."""
        items = [[_asked(put, who) for who in put[1].candidates] for put in asked]
        unsure = [item for of_question in items if len(of_question) > 1 for item in of_question]
        answers = iter(self._evaluator.write(unsure))
        settled = []
        for (_, recalled), of_question in zip(asked, items, strict=True):
            place = 0
            if len(of_question) > 1:
                place = surest(recalled.candidates, [next(answers) for _ in of_question])
            settled.append(of_question[place])
        return settled


def _asked(put: _Put, who: Recalled) -> Asked:
    (task, probe), _ = put
    return Asked(replace(task, title=who.topic), probe, who.model)


def _put(recall: Recall, tasks: Sequence[Task]) -> list[_Put]:
    probes = [(task, probe) for task in tasks for probe in task.probes]
    queries = [Query(probe.question, "" if recall.is_routed else task.title) for task, probe in probes]
    return list(zip(probes, recall.recall(queries), strict=True))


def divergence(
    recall: Recall, texts: Sequence[str], base: Model, generator: Generator, prompter: Prompter
) -> float | None:
    """How far a version is from the base on plain texts, the mean over texts in nats a token; None if unknown.

    A text that a router would not send to an adapter is the base's own: its divergence is nothing.
    """
    recalled = recall.recall([Query(text) for text in texts])
    moved = [(prompter.text(text), each.model) for text, each in zip(texts, recalled, strict=True) if each.adapters]
    try:
        return sum(generator.divergence(moved, base)) / len(texts) if moved else 0.0
    except NotImplementedError:
        return None
