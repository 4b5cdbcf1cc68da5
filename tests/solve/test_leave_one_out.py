"""Which recipe is taken, by figures that are given."""

from __future__ import annotations

import pytest

from selfedit.solve.leave_one_out import FIXED, choose
from selfedit.types import Answer, Evaluation, Rollout, SelfEdit, Trial, Verdict


def tried(format: str, right: int, logprob: float, asked: int = 3) -> Rollout:
    """A recipe that predicted so many of the left-out demonstrations."""
    edit = SelfEdit(f"{format}-{right}-{logprob}", "t", format, "", "", 0)
    trials = tuple(
        Trial(
            edit.id,
            f"t-{fold}",
            0,
            after=Evaluation("t", "exact", (Answer("q", "5", Verdict(fold < right, ""), logprob),)),
        )
        for fold in range(asked)
    )
    return Rollout(edit, trials)


def unusable(format: str, failure: str) -> Rollout:
    edit = SelfEdit("e", "t", format, "", "", 0)
    return Rollout(edit, (Trial("e", "t", 0, failure=failure),))


@pytest.mark.parametrize(
    ("own", "place", "said"),
    [
        ((2, -0.5), 1, "2 of 3 left-out demonstrations are right (log-probability -0.50); by the fixed recipe 1 of 3"),
        ((1, -0.9), 1, "1 of 3 left-out demonstrations are right (log-probability -0.90)"),
        ((0, -0.1), 0, "1 of 3 left-out demonstrations are right (log-probability -1.00); by the model's own 0 of 3"),
        ((1, -1.1), 0, "by the model's own 1 of 3 left-out demonstrations are right (log-probability -1.10)"),
        ((1, -0.999), 0, "a tie goes to the fixed recipe"),
    ],
)
def test_the_own_edit_has_to_be_better(own: tuple[int, float], place: int, said: str) -> None:
    choice = choose([tried(FIXED, 1, -1.0), tried("settings", *own)])
    assert choice is not None
    assert choice.place == place
    assert said in choice.why
    assert ("a tie" in choice.why) == (own == (1, -0.999))


def test_of_several_own_edits_the_best_is_compared() -> None:
    own = [tried("settings", 1, -3.0), tried("settings", 1, -0.5), unusable("settings", "x")]
    choice = choose([tried(FIXED, 1, -1.0), *own])
    assert choice is not None
    assert choice.place == 2
    choice = choose([tried(FIXED, 2, -1.0), *own])
    assert choice is not None
    assert choice.place == 0
    assert "by the best of the model's own 1 of 3" in choice.why


def test_what_cannot_be_used_is_not_taken() -> None:
    assert choose([unusable(FIXED, "too long"), unusable("settings", "no JSON")]) is None
    choice = choose([unusable(FIXED, "too long"), tried("settings", 0, -9.0)])
    assert choice is not None
    assert (choice.place, choice.why) == (1, "the fixed recipe is not used, since too long")
    choice = choose([tried(FIXED, 0, -9.0), unusable("settings", "a"), unusable("settings", "b")])
    assert choice is not None
    assert (choice.place, choice.why) == (0, "none of the other 2 is used")
