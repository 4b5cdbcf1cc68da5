from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from selfedit.store.card import card
from selfedit.types import DocumentRef, ProbeSource
from tests.store.make import make_rollout, make_version


def front_matter(text: str) -> dict[str, object]:
    _, head, _ = text.split("---\n", 2)
    loaded = yaml.safe_load(head)
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("name", ["smollm2-135m", "org/model", 'a: "b" #\\ c', "/päth/x.gguf"])
def test_front_matter(name: str) -> None:
    head = front_matter(card(make_version("v1", base=name)))
    assert head["base_model"] == name and head["library_name"] == "peft" and "lora" in str(head["tags"])
    assert front_matter(card(make_version("v1", base=name), merged=True))["library_name"] == "transformers"


def test_says_what_was_learnt_and_measured() -> None:
    text = card(make_version("v3"))
    assert "# tiny, v3" in text
    assert f"- **Notes on \\*boats\\*** (`note|s.md`), sha256 `{'a' * 64}`" in text
    assert "/home/me" not in text  # Where a document lay is nobody else's business.
    assert "3 question(s) asked by the model itself, which wrote them" in text
    assert "| before | 1 of 3 | 33.3% |\n| with this version | 2 of 3 | 66.7% |" in text
    assert "graded by: contains" in text
    assert "2 more question(s) were dropped" in text
    assert "3 tried, 1 kept" in text and "Seeds of the kept ones: 3\n" in text
    assert '"learning_rate": 0.001' in text and "torch 2.9.1" in text


@pytest.mark.parametrize(
    ("source", "who"), [("file", "a question file"), ("documents", "the documents'"), ("model", "the model itself")]
)
def test_says_who_asked(source: ProbeSource, who: str) -> None:
    text = card(make_version("v1", probe_source=source))
    assert f"asked by {who}" in text
    assert ("tend to be easy for it" in text) == (source == "model")


def test_says_when_the_same_questions_chose_the_edits() -> None:
    warning = "The same questions served to choose"
    assert warning in card(make_version("v1"))
    assert warning not in card(replace(make_version("v1"), rollouts=()))


def test_does_not_claim_what_was_not_measured() -> None:
    version = replace(make_version("v1"), before=(), after=(), rollouts=(make_rollout(1),), losses=(), documents=())
    text = card(version)
    assert "not known whether it learnt anything" in text and "accuracy" not in text.lower()


def test_a_title_cannot_break_out_of_its_line() -> None:
    document = DocumentRef("a`b\n# x.md", "One\n\n# Two | <b>", "0" * 64)
    lines = card(replace(make_version("v1"), documents=(document,))).splitlines()
    assert f"- **One \\# Two \\| \\<b\\>** (`a'b # x.md`), sha256 `{'0' * 64}`" in lines


def test_says_how_to_load_it() -> None:
    assert 'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "THIS_FOLDER")' in card(
        make_version("v1"), exported=True
    )
    assert "~/.cache/selfedit/models/smollm2-135m" in card(make_version("v1", base="smollm2-135m"), exported=True)
    assert "PeftModel" not in card(make_version("v1"), merged=True, exported=True)
