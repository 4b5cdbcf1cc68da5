"""What people said of answers, as passages to be learnt: beside what the router chose, or each by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from selfedit.guard import Guard, Known, Text
from selfedit.policies.formats import parse_pairs
from selfedit.store.feedback import DISAGREEMENT, Case, Feedback, cases, latest
from selfedit.store.store import Store
from selfedit.store.version_folders import Letter
from selfedit.text.matching import normalise
from selfedit.types import CORRECTIONS, DocumentRef, Flag, Knowledge, Learnt, Probe, SelfEdit, Task

_LETTERS: tuple[Letter, ...] = ("r", "p", "v")
"""Of versions; where several saw to the same feedback, the last counts."""

_EDIT = "feedback."
_FORMAT = "answer-first"


@dataclass(frozen=True)
class Correction:
    """A question with its right answer, and what is trained on for it.

    Attributes:
        rewordings: of the question, that are trained on; `held_out` are not, and measure.
    """

    case: Case
    rewordings: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    @property
    def feedback(self) -> Feedback:
        """What is taken to be right."""
        return self.case.newest

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all that was said of the question."""
        return tuple(each.id for each in self.case.given)

    @property
    def statement(self) -> str:
        """The correction in one sentence that no splitting divides."""
        return statement(self.feedback.question, self.feedback.answer)

    @property
    def document(self) -> DocumentRef:
        """Where it comes from; `selfedit forget` knows it by the question."""
        path = f"{CORRECTIONS}{self.feedback.id}"
        return DocumentRef(path, self.feedback.question, hashlib.sha256(path.encode()).hexdigest())

    @property
    def task(self) -> Task:
        """The correction, with the questions that measure whether it was learnt."""
        id = f"{self.document.sha256[:12]}.p0"
        asked = (self.feedback.question, *self.held_out)
        probes = tuple(Probe(f"{id}.q{n}", question, (self.feedback.answer,)) for n, question in enumerate(asked))
        return Task(id, "", self.statement, probes)

    def edit(self, task_id: str) -> SelfEdit:
        """What is trained on."""
        questions = (self.feedback.question, *self.rewordings)
        text = "\n".join(f"Question: {question}\nAnswer: {self.feedback.answer}" for question in questions)
        return SelfEdit(f"{_EDIT}{self.feedback.id}", task_id, _FORMAT, "", text, 0)

    def flag(self) -> Flag | None:
        """Why a person has to look, where people disagree."""
        if not self.case.disputed:
            return None
        said = "; ".join(f"{each.who}: {each.answer or f'{each.said!r} is wrong'}" for each in self.case.given)
        why = f"people disagree about it; '{self.feedback.answer}' was taken, which was said last"
        return Flag(DISAGREEMENT, self.task.id, self.feedback.question, self.document.path, said, why)


def statement(question: str, answer: str) -> str:
    """A corrected answer as a sentence."""
    return f'The answer to "{question}" is {answer}.'


def open_cases(store: Store, *, again: bool = False) -> list[Case]:
    """What people said and no update has seen to, a case a question.

    Args:
        again: also what an update saw to that is not in force: it was rejected, rolled back or forgotten, or waits.
    """
    said = store.feedback.all()
    if not said:
        return []
    if again:
        learnt = store.get().knowledge.learnt if store.active is not None else ()
        known = {edit.id.removeprefix(_EDIT) for item in learnt for edit in item.edits if edit.id.startswith(_EDIT)}
        return [case for case in cases(said, set()) if case.newest.id not in known]
    # One whose process was killed before it took effect is made again, and found.
    unfinished = {id for id in store.ids()[-1:] if not store.is_logged(id)}
    heads = [head for letter in _LETTERS for head in store.heads(letter) if head.id not in unfinished]
    seen = {id for head in heads for id in head.feedback}
    return [case for case in cases(said, seen) if case.open]


def became(store: Store) -> list[tuple[Feedback, str]]:
    """What people said of answers, oldest first, each with the id of the version that saw to it, or why none did."""
    said = store.feedback.all()
    made = {id: head.id for letter in _LETTERS for head in store.heads(letter) for id in head.feedback}
    current = {each.id for given in latest(said).values() for each in given}

    def state(each: Feedback) -> str:
        if each.id not in current and each.id not in made:
            return "taken back"
        return made.get(each.id, "next update" if each.answer else "needs an answer")

    return [(each, state(each)) for each in said]


def kept(store: Store) -> tuple[Task, ...]:
    """The questions that people corrected: what is answered rightly has to stay right."""
    agreed = [case.newest for case in cases(store.feedback.all(), set()) if case.newest.answer and not case.disputed]
    probes = tuple(Probe(f"feedback.{each.id}", each.question, (each.answer,)) for each in agreed)
    return (Task("feedback", "", "", probes),) if probes else ()


def screened(guards: Sequence[Guard], given: Sequence[Correction], allowed: Sequence[str]) -> list[Flag]:
    """What guards say of corrections, by themselves: that they contradict what is known is what they are for."""
    texts = [Text(each.feedback.id, each.feedback.question, each.document.path, (each.statement,)) for each in given]
    reading = [guard for guard in guards if guard.reads_edits and guard.name not in allowed]
    return [flag for guard in reading for flag in guard.screen(texts, Known())]


def by_themselves(
    given: Sequence[tuple[Correction, Learnt | None]], before: Mapping[str, Learnt], seed: int
) -> list[Learnt]:
    """Corrections, each a passage of its own that answers its question and no other: all else stays as it is.

    An adapter trained anew on its passage and the corrections answers their rewordings better, but other questions
    worse, or in the place of its neighbours: docs/safety.md has both.

    Args:
        given: with the passage that answers so far; None where the base does.
        before: corrections that are known, by their questions: a new one takes the place of an old one.
    """
    made = []
    for correction, source in given:
        old = before.get(correction.feedback.about)
        id = old.task.id if old is not None else correction.task.id
        title = source.task.title if source is not None else subject(correction.feedback.question)
        made.append(Learnt(correction.document, Task(id, title, correction.statement), (correction.edit(id),), seed))
    return made


def with_corrections(given: Sequence[tuple[Correction, Learnt | None]], seed: int) -> list[Learnt]:
    """The passages that are to be learnt anew, each with its corrections, where one model answers everything.

    Args:
        given: with the passage that answers so far; None where the base does.
    """
    passages: dict[str, tuple[Learnt, list[Correction]]] = {}
    for correction, source in given:
        if source is not None:
            passages.setdefault(source.task.id, (source, []))[1].append(correction)
    anew = by_themselves([(each, source) for each, source in given if source is None], {}, seed)
    return [*anew, *(_corrected(item, corrections) for item, corrections in passages.values())]


def subject(question: str) -> str:
    """The names in a question, for want of a title."""
    words = question.rstrip("?").split()
    return " ".join(word for word in words[1:] if word[:1].isupper())


def without_corrected(learnt: Sequence[Learnt]) -> tuple[Learnt, ...]:
    """Passages without what they teach of questions that somebody corrected: one model cannot answer both ways."""
    about = {
        normalise(lesson.question)
        for item in learnt
        if item.document.is_correction
        for edit in item.edits
        for lesson in parse_pairs(edit.text)
    }
    return tuple(item if item.document.is_correction else _without(item, about, set()) for item in learnt)


def corrected_before(known: Knowledge) -> dict[str, Learnt]:
    """The passages that are corrections and nothing else, by their questions."""
    own = (item for item in known.learnt if item.document.is_correction)
    return {normalise(item.document.title): item for item in own}


def _corrected(item: Learnt, corrections: Sequence[Correction]) -> Learnt:
    """A passage with corrections: what else it taught about the same questions goes, and what was called wrong."""
    wrong = {normalise(each.feedback.said) for each in corrections if each.feedback.said}
    about = {normalise(q) for each in corrections for q in (each.feedback.question, *each.rewordings, *each.held_out)}
    left = _without(item, about, wrong)
    edits = (*left.edits, *(correction.edit(item.task.id) for correction in corrections))
    passage = "\n".join([*left.task.passage.split("\n"), *(correction.statement for correction in corrections)])
    return replace(left, task=replace(left.task, context=passage), edits=edits, version="")


def _without(item: Learnt, about: Collection[str], wrong: Collection[str]) -> Learnt:
    """A passage that neither teaches nor is asked some questions, nor some answers; the same where it did neither."""
    edits, lines = [], item.task.passage.split("\n")
    for edit in item.edits:
        lessons = parse_pairs(edit.text)
        left = [
            lesson
            for lesson in lessons
            if normalise(lesson.question) not in about and normalise(lesson.text) not in wrong
        ]
        if len(left) == len(lessons):
            edits.append(edit)
        elif edit.id.startswith(_EDIT) and lessons[0] not in left:
            gone = statement(lessons[0].question, lessons[0].text)
            lines = [line for line in lines if line != gone]
        elif left:
            text = "\n".join(f"Question: {lesson.question}\nAnswer: {lesson.text}" for lesson in left)
            edits.append(replace(edit, text=text))
    # A question that is taught measures nothing, and `lessons` would not teach what a probe asks.
    probes = tuple(
        probe
        for probe in item.task.probes
        if normalise(probe.question) not in about and not set(map(normalise, probe.answers)).intersection(wrong)
    )
    task = replace(item.task, context="\n".join(lines), probes=probes)
    return replace(item, task=task, edits=tuple(edits))


def carried(gone: Sequence[Learnt], seed: int) -> list[Learnt]:
    """The corrections in passages that make room for what their documents say now, each by itself from now on."""
    own = []
    for item in gone:
        for edit in item.edits:
            if not edit.id.startswith(_EDIT) or not (lessons := parse_pairs(edit.text)):
                continue
            first = lessons[0]
            said = Feedback(first.question, first.text, id=edit.id.removeprefix(_EDIT))
            others = tuple(lesson.question for lesson in lessons[1:])
            own += by_themselves([(Correction(Case((said,), False), others), item)], {}, seed)
    return own


def answered(given: Sequence[Correction], rewordings: Mapping[str, Sequence[str]], hold_out: int) -> list[Correction]:
    """Corrections with the other wordings of their questions, the last ones held out to measure by."""
    made = []
    for each in given:
        words = [q for q in rewordings.get(each.task.id, ()) if normalise(q) != each.feedback.about]
        held = len(words) - hold_out if len(words) > hold_out else len(words)
        made.append(replace(each, rewordings=tuple(words[:held]), held_out=tuple(words[held:])))
    return made
