"""A researcher's own words: checked, and then what the model reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.errors import UserError
from selfedit.experiments.shipped import FOLDER
from selfedit.graders import GRADERS
from selfedit.graders.judge import JudgeGrader
from selfedit.judge import Endpoint
from selfedit.models.prompt import Prompter
from selfedit.models.wording import fill, read_wording
from selfedit.policies.formats import FORMATS, get_format
from selfedit.types import Probe, Task
from tests.tiny import make_tiny_tokenizer

TASK = Task("t", "The {bridge}", "It is {long}.", (Probe("q", "How long?", ("a mile",)),))
OWN = """
writing:
  implications: {request: "Of {title}: {passage}\\n=> ", opening: "First, "}
asking: {question: "{title}? {question}\\n", in_context: "{passage} {question} ", stop: []}
judging: "{question} {gold} {answer}"
"""


def read(folder: Path, text: str) -> Path:
    path = folder / "words.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_own_words_are_what_is_said(tmp_path: Path) -> None:
    wording = read_wording(read(tmp_path, OWN))
    prompter = Prompter(make_tiny_tokenizer(vocab=400), chat=False, wording=wording)
    format_ = get_format("implications").worded(wording, worked_example=True)
    said = prompter.chat_prompt(format_.prompt(TASK), format_.opening, format_.examples)
    assert prompter.tokenizer.decode(list(said)) == "Of The {bridge}: It is {long}.\n=> First, "
    domain = KnowledgeDomain(prompter, 2)
    assert domain.stop == ()
    asked = domain.question(TASK, TASK.probes[0])
    assert prompter.tokenizer.decode([*asked, *domain.answer("a mile")]) == "The {bridge}? How long?\na mile"
    shown = domain.question(TASK, TASK.probes[0], with_context=True)
    assert prompter.tokenizer.decode(list(shown)) == "It is {long}. How long? "


def test_a_judge_asks_in_own_words_and_says_so() -> None:
    endpoint = Endpoint("http://localhost:9/v1", "m")
    own = JudgeGrader(endpoint, template="{question} {gold} {answer}")
    assert own.shown(TASK.probes[0], " two {answer} ") == "How long? a mile two {answer}"
    assert own.identity.startswith("judge m, asked ") and JudgeGrader(endpoint).identity == "judge m"
    assert all(grader.shown is not JudgeGrader.shown for name, grader in GRADERS.items() if name != "judge")


def test_what_is_not_given_is_said_as_ever() -> None:
    wording = read_wording(FOLDER.parent / "prompts" / "base_model.yaml")
    rewrite = get_format("answer-first")
    assert rewrite.worded(wording, worked_example=True) == rewrite
    assert rewrite.worded(wording, worked_example=False).examples == ()
    assert set(wording.writing) == set(list(FORMATS)[:5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("asking: {question: 'What?'}", "'asking.question': needs the place {question}"),
        ("asking: {question: '{question} {titel}'}", "'asking.question': has no place {titel}"),
        ("writing: {implications: {request: '{title}'}}", "needs the place {passage}"),
        ("writing: {implications: {ask: '{title}'}}", "'writing.implications.request'"),
        ("judging: '{question} {answer}'", "needs the place {gold}"),
        ("asks: {}", "'asks': Extra inputs"),
        ("[1]", "has no wording"),
        ("a: b: c", "is not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        read_wording(read(tmp_path, text))
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_values_are_not_templates() -> None:
    assert fill("{a} {b}", a="{b}", b="c") == "{b} c"
