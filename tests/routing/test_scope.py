"""A correction answers its own question, however it is worded, and no other about the same things."""

from __future__ import annotations

import pytest

from selfedit.routing import Query, Route
from selfedit.routing.scope import Scopes

ROUTES = [
    Route(
        "asked", "Corvane 300 Coffee Grinder - First use", "", ("How often do the burrs of the Corvane 300 need oil?",)
    ),
    Route("trees", "The Umberlin Beetle - Life", "", ("In which kind of trees does the umberlin beetle live?",)),
]


@pytest.mark.parametrize(
    ("question", "topic", "chosen"),
    [
        ("How often do the burrs of the Corvane 300 need oil?", "", ("asked", True)),
        ("When do you have to oil the burrs of a Corvane 300?", "", ("asked", True)),
        ("How often do the burrs need oil?", "Corvane 300 Coffee Grinder", ("asked", True)),
        ("At what interval should the Corvane 300's burrs be cleaned?", "", ("asked", False)),
        ("How many grams of beans does the Corvane 300 hold?", "", None),  # Another question about it.
        ("How often do the burrs of the Marvane 200 need oil?", "", None),  # The same about another thing.
        ("How often do the burrs need oil?", "", None),  # About nothing that is said.
        ("How often do they need oil?", "", None),
        ("Who first described the umberlin beetle?", "", None),
        ("What sort of tree is home to the umberlin beetle?", "", ("trees", False)),
    ],
)
def test_its_own_question_and_no_other(question: str, topic: str, chosen: tuple[str, bool] | None) -> None:
    assert Scopes(ROUTES).choose(Query(question, topic)) == chosen


def test_what_a_passage_was_taught_word_for_word_goes_there() -> None:
    taught, corrected = "Which oil do the burrs of the Corvane 300 need?", ROUTES[0].questions[0]
    assert Scopes(ROUTES).choose(Query(taught)) == ("asked", True)
    scopes = Scopes(ROUTES, [taught, corrected])
    assert scopes.choose(Query(taught)) is None
    assert scopes.choose(Query(corrected)) == ("asked", True)  # It was taught what was wrong.


def test_none() -> None:
    assert Scopes([]).choose(Query("Who?")) is None
