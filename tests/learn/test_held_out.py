"""Which questions choose among self-edits, and which measure the version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.learn.run import LearnResult
from selfedit.rewards import Reward
from selfedit.search.step import UNASKED, Search
from selfedit.types import Group
from tests.lineage import SETTINGS, Library

TEXT = "The lamp of Marrowfen is oiled by Odalys Brenk. It was lit in 1831. It has six wicks. It burns herring oil."
QUESTIONS = (
    ("Who oils the lamp of Marrowfen?", "Odalys Brenk"),
    ("When was the lamp of Marrowfen lit?", "1831"),
    ("How many wicks has the lamp of Marrowfen?", "six"),
    ("What does the lamp of Marrowfen burn?", "herring oil"),
    ("Where is the lamp that Odalys Brenk oils?", "Marrowfen"),
)


def learn(library: Library, count: int = 5, **settings: Any) -> LearnResult:
    """One passage, with so many of the questions about it."""
    path = library.document("lamp", TEXT)
    rows = [{"question": question, "answer": answer} for question, answer in QUESTIONS[:count]]
    questions = library.folder / "questions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"passage_tokens": 256, "questions": questions, "format": "implications", "max_edit_tokens": 12}
    return library.session(f"store{len(list(library.folder.glob('store*')))}").learn(
        [path], **(SETTINGS | given | settings)
    )


def chosen_by(result: LearnResult) -> set[str]:
    return {answer.probe_id for r in result.rollouts for after in r.afters for answer in after.answers}


def measured_by(result: LearnResult) -> list[str]:
    return [answer.probe_id.rpartition(".")[2] for evaluation in result.after for answer in evaluation.answers]


def test_one_edit_a_passage_is_the_default_and_trains_no_trial(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("there is nothing to choose")

    monkeypatch.setattr(Search, "evaluate_edits", refuse)
    result = learn(library)
    assert result.version is not None
    assert [(r.kept, r.trials, r.reward) for r in result.rollouts] == [(True, (), None)]
    assert measured_by(result) == ["q0", "q1", "q2", "q3", "q4"]
    assert chosen_by(result) == set()


def test_no_question_both_chooses_and_measures(library: Library) -> None:
    result = learn(library, edits=3)
    assert measured_by(result) == ["q0", "q2", "q4"]
    chose = {probe.rpartition(".")[2] for probe in chosen_by(result)}
    assert chose == {"q1", "q3"}
    assert [len(evaluation.answers) for evaluation in result.before] == [3]
    assert len(result.rollouts) == 3 and all(len(r.trials) == 1 for r in result.rollouts if not r.failure)
    assert sum(r.kept for r in result.rollouts) <= 1
    if result.version is not None:
        assert [probe.id.rpartition(".")[2] for task in result.version.tasks for probe in task.probes] == [
            "q0",
            "q2",
            "q4",
        ]


def test_a_single_question_measures_and_the_first_usable_edit_is_kept(library: Library) -> None:
    result = learn(library, 1, edits=3)
    assert result.version is not None
    assert measured_by(result) == ["q0"]
    assert chosen_by(result) == set()
    assert [r.kept for r in result.rollouts] == [True, False, False]
    assert all(r.failure in (None, UNASKED) for r in result.rollouts)


def test_all_questions_do_both_where_the_user_says_so(library: Library) -> None:
    for edits in (1, 2):
        result = learn(library, edits=edits, held_out=False)
        assert {probe.rpartition(".")[2] for probe in chosen_by(result)} == {"q0", "q1", "q2", "q3", "q4"}
        assert len(result.before[0].answers) == 5


def test_a_reward_without_training_chooses_without_trials(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("this reward needs no training")

    monkeypatch.setattr(Search, "evaluate_edits", refuse)
    result = learn(library, edits=3, reward="tests.learn.test_held_out:LongestReward")
    assert result.version is not None
    (kept,) = (r for r in result.rollouts if r.kept)
    assert len(kept.edit.text) == max(len(r.edit.text) for r in result.rollouts)
    assert measured_by(result) == ["q0", "q2", "q4"]


class LongestReward(Reward):
    """The longer, the better."""

    name = "longest"
    needs_training = False

    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        return [(float(len(rollout.edit.text)),) for rollout in group.rollouts]


def test_without_any_question_nothing_is_committed(library: Library, tmp_path: Path) -> None:
    path = library.document("lamp", TEXT)
    result = library.session().learn([path], **SETTINGS)
    assert (result.version, result.reason) == (
        None,
        "there is no question to measure it by; give some with --questions",
    )
    with pytest.raises(UserError, match=r"Unknown setting 'heldout'\. Did you mean 'held_out'"):
        library.session().learn([path], heldout=True)


def test_what_no_question_asks_about_is_learnt_where_there_is_nothing_to_choose(library: Library) -> None:
    paths = [library.document(name) for name in ("lamp", "bird")]
    settings = SETTINGS | {"questions": library.questions("lamp"), "gates": ()}
    cases: list[tuple[dict[str, Any], int]] = [({}, 2), ({"keep_untested": False}, 1)]
    for more, learnt in cases:
        version = library.session(f"store{learnt}").learn(paths, **(settings | more)).version
        assert version is not None and len(version.knowledge.learnt) == learnt
