"""What a self-edit is trained on."""

from __future__ import annotations

from typing import Any

import pytest

from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.models.prompt import Prompter
from selfedit.types import Example, Hyperparameters, Probe, SelfEdit, Task
from tests.tiny import make_tiny_tokenizer

TASK = Task("t", "The bridge", "It is long. It was built in 1889.", (Probe("q", "When was it built?", ("1889",)),))
END = 2


@pytest.fixture(params=[True, False], ids=["chat", "plain"])
def prompter(request: pytest.FixtureRequest) -> Prompter:
    return Prompter(make_tiny_tokenizer(vocab=400), chat=request.param)


def edit(format_name: str, text: str) -> SelfEdit:
    return SelfEdit("t.e0", "t", format_name, "", text, seed=0)


def texts(prompter: Prompter, examples: tuple[Example, ...], labelled: bool = False) -> list[Any]:
    return [
        prompter.tokenizer.decode(
            [t for t, bears in zip(e.tokens[:-1], e.weights[:-1], strict=True) if bears or not labelled]
        )
        for e in examples
    ]


def test_lines_stand_under_the_title_with_passage_and_sentences(prompter: Prompter) -> None:
    recipe = KnowledgeDomain(prompter, END).recipe(TASK, edit("rewrite", "1. Long it is."), Hyperparameters(), 7)
    assert texts(prompter, recipe.examples) == [
        f"The bridge\n{text}" for text in (TASK.context, "It is long.", "It was built in 1889.", "Long it is.")
    ]
    assert all(example.tokens[-1] == END and all(example.weights) for example in recipe.examples)
    assert (recipe.id, recipe.seed) == ("t.e0", 7)


def test_pairs_are_asked_as_they_will_be_with_the_loss_on_the_answer(prompter: Prompter) -> None:
    domain = KnowledgeDomain(prompter, END, sentences=False)
    recipe = domain.recipe(TASK, edit("self-qa", "Question: How is it?\nAnswer: long"), Hyperparameters(), 0)
    passage, pair = recipe.examples
    asked = domain.ask("How is it?", "The bridge")
    assert pair.tokens == (*asked, *domain.answer("long"), END)
    assert pair.weights == (0.0,) * len(asked) + (1.0,) * (len(pair.tokens) - len(asked))
    assert all(passage.weights)


def test_ungrounded_pairs_and_the_probes_own_questions_are_never_trained_on(prompter: Prompter) -> None:
    text = "Question: When was it BUILT?\nAnswer: 1889\nQuestion: Who?\nAnswer: Eiffel\nQuestion: How?\nAnswer: long"
    lessons = KnowledgeDomain(prompter, END).lessons(TASK, edit("self-qa", text))
    assert [lesson.question for lesson in lessons] == ["How?"]
    ungrounded = KnowledgeDomain(prompter, END, grounded=False).lessons(TASK, edit("self-qa", text))
    assert [lesson.question for lesson in ungrounded] == ["Who?", "How?"]


def test_an_edit_without_lessons_is_unusable_unless_it_is_the_passage_alone(prompter: Prompter) -> None:
    domain = KnowledgeDomain(prompter, END, sentences=False)
    assert not domain.is_usable(TASK, edit("self-qa", "nothing"), Hyperparameters())
    with pytest.raises(ValueError, match="could be used"):
        domain.recipe(TASK, edit("self-qa", "nothing"), Hyperparameters(), 0)
    assert len(domain.recipe(TASK, edit("none", ""), Hyperparameters(), 0).examples) == 1
