"""What `match` calls right and wrong, and why."""

from __future__ import annotations

import pytest

from selfedit.errors import UserError
from selfedit.graders import GRADERS
from selfedit.graders.match import MatchGrader
from selfedit.learn.config import learn_config
from selfedit.types import Probe


@pytest.mark.parametrize(
    ("question", "gold", "answer"),
    [
        ("How many lamps are there?", "three", "There are 3 lamps."),
        ("How many people live there?", "3,000", "About 3000 people."),
        ("How many people live there?", "4.5 million", "4,500,000 people live there."),
        ("How many keys has it?", "thirty-seven", "It has 37 keys."),
        ("Which century was it?", "tenth century", "It was the 10th century."),
        ("What share was lost?", "60%", "Sixty percent was lost."),
        ("When was it signed?", "24 January 1848", "It was signed on January 24, 1848."),
        ("In what year was it signed?", "1848", "It was signed on January 24, 1848."),
        ("What grew there?", "apple trees", "An apple tree grew there."),
        ("What moved the mill?", "alternating current", "It was moved by AC."),
        ("Who led them?", "Ögedei Khan", "They were led by Ogedei Khan."),
        ("Which tribes were united?", "Mongol and Turkic tribes", "The Turkic and Mongol ones."),
    ],
)
def test_right(question: str, gold: str, answer: str) -> None:
    verdict = MatchGrader().grade(Probe("q", question, (gold,)), answer)
    assert verdict.correct, verdict.reason
    assert gold in verdict.reason


@pytest.mark.parametrize(
    ("question", "gold", "answer"),
    [
        ("How many lamps are there?", "three", "There are 13 lamps."),
        ("How many people live there?", "3,000", "About 3,000,000 people."),
        ("When was it signed?", "24 January 1848", "It was signed on January 25, 1848."),
        ("When was it signed?", "24 January 1848", "Between January 24, 1846 and May 1848."),
        ("Which bridge is it?", "the Ferrow bridge", "It is the bridge."),
        ("Who built the Ferrow bridge?", "Gustave Orlan", "The Ferrow bridge was built by Gustave Petit."),
        ("Who built the Ferrow bridge?", "Gustave Orlan", ""),
        ("What moved the mill?", "alternating current", "It was moved by DC."),
    ],
)
def test_wrong(question: str, gold: str, answer: str) -> None:
    verdict = MatchGrader().grade(Probe("q", question, (gold,)), answer)
    assert not verdict.correct, verdict.reason


def test_any_gold_answer_is_right() -> None:
    probe = Probe("q", "How many?", ("seven", "a handful"))
    assert MatchGrader().grade(probe, "A handful.").reason == "contains 'a handful'"
    assert MatchGrader().grade_all([(probe, "7"), (probe, "8")])[1].correct is False


def test_what_follows_a_label_or_an_answer_does_not_count() -> None:
    probe = Probe("q", "Who keeps it?", ("Mira",))
    assert MatchGrader().grade(probe, "Answer: Mira\n\nQuestion: Who built it?").correct
    assert not MatchGrader().grade(probe, "Orlan\n\nQuestion: Who is Mira?").correct


def test_all_graders_may_be_named_in_the_settings() -> None:
    for name in GRADERS:
        assert learn_config(grader=name).grader == name
    with pytest.raises(UserError, match="Did you mean 'learned'"):
        learn_config(grader="lerned")
