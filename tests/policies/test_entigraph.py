"""Edits about pairs and triples of what a passage names."""

from __future__ import annotations

from selfedit.models.prompt import Prompter
from selfedit.policies.entigraph import PAIRS, TRIPLES, EntigraphPolicy
from selfedit.policies.formats import get_format
from selfedit.types import Task
from tests.policies.test_answer_first import BASE, Scripted
from tests.tiny import make_tiny_tokenizer

TASK = Task("t", "Lumen Harbor", "Odalys Brenk founded Lumen Harbor in a boat shed with Piet Sol.", ())
NAMED = " Odalys Brenk\n2. Lumen Harbor\n3. Piet Sol\n4. boat shed\n5. Atlantis"


def said(prompt: str) -> str:
    own = prompt.rpartition("<|im_start|>user")[2]
    if "List the people" in own:
        return NAMED if "Harbor" in own else " nothing"
    return own.partition("Write a paragraph on ")[2].partition(" are connected")[0]


def policy() -> EntigraphPolicy:
    prompter = Prompter(make_tiny_tokenizer(), chat=True)
    return EntigraphPolicy(Scripted(prompter, said), prompter)


def test_each_edit_has_other_pairs_and_triples_of_what_stands_in_the_passage() -> None:
    edits = policy().propose([TASK], 2, seed=0, model=BASE)
    parts = [[lesson.text for lesson in get_format("entigraph").parse(edit.text)] for edit in edits]
    assert [len(texts) for texts in parts] == [PAIRS + TRIPLES] * 2
    assert len({text for texts in parts for text in texts}) == 2 * (PAIRS + TRIPLES)
    assert all("Atlantis" not in text for texts in parts for text in texts)
    assert [text.count(",") for text in parts[0]] == [0] * PAIRS + [1] * TRIPLES
    assert [edit.text for edit in policy().propose([TASK], 2, seed=0, model=BASE)] == [edit.text for edit in edits]


def test_a_passage_that_names_nothing_has_empty_edits() -> None:
    (edit,) = policy().propose([Task("u", "Fog", "It was grey.", ())], 1, seed=0, model=BASE)
    assert edit.text == "" and get_format("entigraph").parse(edit.text) == ()
