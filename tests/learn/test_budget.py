"""Of a given time the best is made, and no more of it is taken than was given."""

from __future__ import annotations

import pytest

from selfedit.errors import UserError
from selfedit.learn.budget import EFFORTS, epochs_left, fitted, parse_budget, plan, with_effort
from selfedit.learn.config import LearnConfig, learn_config
from tests.lineage import Library


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5 h", 5400), ("30M", 1800)])
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "-5m", "0m", "fast", "1d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match="give a time such as 90s"):
        parse_budget(text)


def by_epochs(config: LearnConfig) -> float:
    return 100.0 * config.spans * config.wordings * config.final("routed").epochs


def test_the_most_thorough_effort_that_fits_is_made() -> None:
    assert fitted(learn_config(budget=1e6), by_epochs) == 0
    chosen = fitted(learn_config(budget=1500.0), by_epochs)
    assert 0 < chosen < len(EFFORTS) - 1
    assert by_epochs(with_effort(learn_config(), EFFORTS[chosen])) <= 0.85 * 1500
    assert by_epochs(with_effort(learn_config(), EFFORTS[chosen - 1])) > 0.85 * 1500
    with pytest.raises(UserError, match=r"--budget 60 s is too small: the least .* takes about 235 s|about 4 min"):
        fitted(learn_config(budget=60.0), by_epochs)


def test_an_effort_never_asks_for_more_than_was_set() -> None:
    config = with_effort(learn_config(spans=1, wordings=1, tries=1), EFFORTS[1])
    assert (config.spans, config.wordings, config.tries) == (1, 1, 1)
    assert plan(config) == "one answer of each sentence, one wording of a question, one attempt, 6 epochs"
    least = with_effort(learn_config(), EFFORTS[-1])
    assert (least.final("routed").epochs, least.final("joint").epochs) == (2, 2)


def test_epochs_are_those_that_are_left() -> None:
    assert epochs_left(1000, 100.0, 45.0, 6) == 4
    assert epochs_left(1000, 100.0, 600.0, 6) == 6
    assert epochs_left(1000, 100.0, -5.0, 6) == 1


def test_learn_keeps_within_it_and_says_what_it_did(library: Library) -> None:
    session = library.session()
    version = library.learnt(session, "lamp", budget=3600.0, final_training=None)
    final = version.settings["final_training"]
    assert 1 <= final["epochs"] <= 6  # What was found out about the machine is recorded as what it came to.
    assert version.settings["budget"] == 3600.0
    with pytest.raises(UserError, match="too small"):
        library.learn(session, "bird", budget=0.001)
    assert session.store.ids() == [version.id]


def test_of_the_training_only_what_is_said_differs() -> None:
    config = learn_config(final_training={"rank": 4})
    final = config.final("routed")
    assert (final.rank, final.epochs, final.learning_rate) == (4, 6, 4e-3)
    assert config.final("joint").learning_rate == 2e-3
    # A later release with other defaults still knows how it was.
    kept = LearnConfig(**config.record("routed"))
    assert (kept.final("routed"), kept.final("joint")) == (final, final)
