"""The composition root: what the writer is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfedit.compose import compose
from selfedit.models import load
from selfedit.settings import Composition
from selfedit.types import Task
from tests.tiny import make_tiny_model

TASK = Task("t", "The Bridge", "It is a mile long.", ())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("compose") / "model")


def writes(tiny: Path, **settings: object) -> str:
    """The prompt that asks for a self-edit."""
    base = load(str(tiny), device="cpu", dtype="float32")
    stages = compose(base, Composition(**settings), print)  # type: ignore[arg-type]
    return str(base.tokenizer.decode(list(stages.student.prompt(TASK))))


@pytest.mark.parametrize(
    ("format_", "taught", "worked_example", "shown"),
    [
        ("rewrite", False, True, True),
        ("rewrite", True, True, True),  # `train` teaches it with the example in sight.
        ("rewrite", False, False, False),
        ("answer-first", False, True, True),
        ("answer-first", True, True, False),  # It practised without.
        ("answer-first", True, False, False),
    ],
)
def test_who_sees_a_worked_example(tiny: Path, format_: str, taught: bool, worked_example: bool, shown: bool) -> None:
    prompt = writes(tiny, format=format_, taught=taught, worked_example=worked_example)
    assert ("Brindle Lighthouse" in prompt) is shown


def test_without_a_prompt_the_passage_is_all_that_is_said(tiny: Path) -> None:
    assert writes(tiny, format="no-prompt", prompt="plain") == "The Bridge\nIt is a mile long.\n\n"
    assert writes(tiny, format="none") == ""
