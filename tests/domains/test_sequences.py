"""Edits that are taken as they stand become the training sequences that the paper's official code makes of them.

The counts and hashes here came of running its `build_train_sequences` once (Continual-Intelligence/SEAL, commit
4cb1e7d, knowledge-incorporation/src/utils.py:165), with `split_newlines` on for lines and off for whole edits: on the
first 100 published edits of each writer, and on the texts below. A hash is the SHA-256 of an edit's sequences joined
by NUL; those of all edits of a file are joined by two.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import pytest

from selfedit.domains import check_settings
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.errors import UserError
from selfedit.models.prompt import Prompter
from selfedit.types import Hyperparameters, SelfEdit, Task
from tests.tiny import make_tiny_tokenizer

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "selfedits"
Sequences = Literal["lessons", "lines", "edit"]

OFFICIAL: dict[str, dict[Sequences, tuple[int, str]]] = {
    "gpt-4.1": {"lines": (1522, "322305bb8efcb24e"), "edit": (213, "bec3fe0f5c44ac05")},
    "qwen2.5-7b-base": {"lines": (940, "4e5d5c8e4a82abf9"), "edit": (200, "671fc00d828a9aa6")},
    "qwen2.5-7b-seal-round1": {"lines": (814, "2b5eb463170a7698"), "edit": (200, "73fe9d5453c9265b")},
    "qwen2.5-7b-seal-round2": {"lines": (762, "8b6b90e2a846e6f8"), "edit": (200, "3f012fd84f22be43")},
}

MADE_UP = (
    "1. It is old.\n\n  2. It is red. \n2. It is red.",
    "Sure, here is what follows:\n1. It is old.\n2. It is red.",
    "1. It is old.\n1. It is red.",
    "It is old.\n1.5 million cross it.",
    "It is old.\n---\n- It is red.\n- It is wide.\n---\n",
    "Who built it?\nAnswer: Odo\nQuestion 2: When?\nAnswer: in 1889\nby hand\n\nQuestion 3: Why?\nAnswer: to cross",
    "Question 1: Who built it?\nAnswer : Odo --- Question 2: When?\nAnswer: 1889",
)
MADE_UP_OFFICIAL: dict[Sequences, tuple[tuple[int, str], ...]] = {
    "lines": (
        (4, "2de05ce17150e525"),
        (3, "bbf1eeee1a2c0d84"),
        (2, "0c5b82922d04f2cf"),
        (2, "6a4b264b4e28c130"),
        (4, "1a63cea664331717"),
        (4, "9e91f572a06677d1"),
        (2, "fe3e3342614202a2"),
    ),
    "edit": (
        (2, "766e21383b2faf1c"),
        (2, "f747814fe6cfb58f"),
        (2, "f7ea74ae2b559bab"),
        (2, "47d62588b7e53617"),
        (3, "4bf8b498bea3d5de"),
        (2, "3faa064d11c4aac3"),
        (3, "c4a5bcc9e2be0d6c"),
    ),
}


def prompter() -> Prompter:
    return Prompter(make_tiny_tokenizer(vocab=400), chat=False)


def sequences(shown: Prompter, how: Sequences, task: Task, text: str) -> list[str]:
    """What an edit is trained on, the passage last as in the official code; the order does not matter."""
    domain = KnowledgeDomain(shown, 2, sentences=False, sequences=how)
    recipe = domain.recipe(task, SelfEdit("t.e0", task.id, "implications", "", text, seed=0), Hyperparameters(), 0)
    passage, *others = [str(shown.tokenizer.decode(list(example.tokens[:-1]))) for example in recipe.examples]
    return [*others, passage]


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"there is no {PUBLISHED}")
@pytest.mark.parametrize("writer", OFFICIAL)
@pytest.mark.parametrize("how", ["lines", "edit"])
def test_published_edits_become_the_official_sequences(writer: str, how: Sequences) -> None:
    shown, made = prompter(), []
    for line in (PUBLISHED / f"{writer}.jsonl").read_text(encoding="utf-8").split("\n"):
        if line:
            row = json.loads(line)
            made.append(sequences(shown, how, Task("t", row["title"], row["context"].strip(), ()), row["self_edit"]))
    counted = sum(map(len, made))
    assert (counted, hashed("\0\0".join(map("\0".join, made)))) == OFFICIAL[writer][how]


@pytest.mark.parametrize("how", ["lines", "edit"])
def test_texts_of_other_forms_become_the_official_sequences(how: Sequences) -> None:
    task = Task("t", "The bridge", "It is long.", ())
    made = [sequences(prompter(), how, task, text) for text in MADE_UP]
    assert tuple((len(one), hashed("\0".join(one))) for one in made) == MADE_UP_OFFICIAL[how]


def test_an_edit_without_words_is_unusable_and_the_bare_passage_is_not() -> None:
    task = Task("t", "The bridge", "It is long.", ())
    with pytest.raises(ValueError, match="could be used"):
        sequences(prompter(), "edit", task, " \n---\n ")
    domain = KnowledgeDomain(prompter(), 2, sentences=False, sequences="edit")
    alone = domain.recipe(task, SelfEdit("p", "t", "none", "", "", seed=0), Hyperparameters(), 0)
    assert len(alone.examples) == 1


def test_an_unknown_kind_of_sequence_is_refused_before_a_model_is_loaded() -> None:
    with pytest.raises(UserError, match=r"domain_settings\.sequences is 'words'\. Known: edit, lessons, lines"):
        check_settings("knowledge", {"sequences": "words"})
