"""Reading lessons out of what a model wrote."""

from __future__ import annotations

import pytest

from selfedit.errors import UserError
from selfedit.policies.formats import EXAMPLE, FORMATS, get_format, parse_lines, parse_pairs
from selfedit.types import Lesson


def test_lines_lose_markers_and_repeats() -> None:
    text = "1. The sky is low.\n- The sky is low.\n\n* **Rain falls.**\n## Heading here\n3)\n42\n2. 12 men came."
    assert [lesson.text for lesson in parse_lines(text)] == [
        "The sky is low.",
        "Rain falls.",
        "Heading here",
        "12 men came.",
    ]


def test_a_line_that_only_says_that_a_list_follows_is_dropped() -> None:
    listed = "1. It rains.\n2. It pours."
    assert parse_lines(f"Sure, here is a list:\n\n{listed}") == parse_lines(listed)
    whole = "It rains.\n1.5 million get wet."
    assert [lesson.text for lesson in parse_lines(whole)] == whole.splitlines()
    assert [lesson.text for lesson in parse_lines("1. It rains.\n1. It pours.")] == ["It rains.", "It pours."]


def test_a_number_that_belongs_to_the_fact_stays() -> None:
    facts = ["3.5 million people live in Borsk.", "12:30 is when it opens.", "-5 degrees is the mean in winter."]
    assert [lesson.text for lesson in parse_lines("\n".join(facts))] == facts
    assert [lesson.text for lesson in parse_lines("1. 3.5 million people live in Borsk.")] == facts[:1]


@pytest.mark.parametrize(
    "text",
    [
        "Question: Who came?\nAnswer: Ada\nQuestion: When?\nAnswer: at 9:30",
        "Q: Who came?\nA: Ada\nQ: When?\nA: at 9:30",
        "1. Question: Who came?\n   Answer: Ada\n\n2. Question: When?\n   Answer: at 9:30",
        "**Question 1:** Who came?\n**Answer 1:** Ada\n**Question 2:** When?\n**Answer 2:** at 9:30",
        "Question: Who\ncame?\nAnswer: Ada\nQuestion: who came?\nAnswer: Bo\nQuestion: When?\nAnswer: at 9:30",
    ],
)
def test_pairs_in_the_ways_models_write_them(text: str) -> None:
    assert parse_pairs(text) == (Lesson("Ada", "Who came?"), Lesson("at 9:30", "When?"))


@pytest.mark.parametrize("text", ["", "Question: Who came?", "Answer: Ada", "Question: Who came?\nAnswer:", "words"])
def test_what_is_no_pair_is_left_out(text: str) -> None:
    assert parse_pairs(text) == ()


def test_the_worked_examples_are_in_their_own_form() -> None:
    for format_ in FORMATS.values():
        if format_.example:
            assert len(format_.parse(format_.example)) >= 2
            assert format_.example.startswith(format_.opening)
            assert format_.examples[0][0].endswith(EXAMPLE.passage)


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'implications'"):
        get_format("implication")
