"""The self-edit as strict JSON: what is valid, what is refused and why, and a schema that allows only valid ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from selfedit.domains.fewshot.choices import FIXED, LEARNING_RATES, parse, schema, write
from selfedit.domains.fewshot.prompt import FORMATS
from selfedit.domains.fewshot.values import KINDS

GRID: dict[str, dict[str, Any]] = {
    "data_generation": {
        "use_basic_augmentations": True,
        "use_size_augmentations": False,
        "use_chain_augmentations": False,
        "use_repeat_augmentations": True,
    },
    "training": {"strategy": "train_using_all_tokens", "learning_rate": 5e-5, "num_train_epochs": 2},
}


def changed(**training: Any) -> str:
    return json.dumps({**GRID, "training": {**GRID["training"], **training}})


def test_what_an_edit_says() -> None:
    choices = parse("grid", json.dumps(GRID))
    assert choices.groups == ("basic", "repeat")
    assert choices.training.learning_rate == 5e-5
    assert [lesson.text for lesson in FORMATS["settings"].parse(json.dumps(GRID))] == [
        "augmentations: basic, repeat",
        "loss: all tokens",
        "learning rate: 5e-05",
        "epochs: 2",
    ]
    assert FORMATS["settings"].parse("I would train it well.") == ()


@pytest.mark.parametrize("kind", KINDS)
def test_the_fixed_recipe_is_an_edit(kind: str) -> None:
    assert parse(kind, write(FIXED[kind])) == FIXED[kind]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Sure! " + json.dumps(GRID), "the edit: invalid JSON"),
        (json.dumps(GRID) + "\n" + json.dumps(GRID), "the edit: invalid JSON"),
        ("[]", "the edit: input should be an object"),
        (json.dumps({"training": GRID["training"]}), "data_generation: field required"),
        (changed(learning_rate=0.5), "training.learning_rate: input should be less than or equal to 0.01"),
        (changed(learning_rate="1e-4"), "training.learning_rate: input should be a valid number"),
        (changed(num_train_epochs=0), "training.num_train_epochs: input should be greater than or equal to 1"),
        (changed(num_train_epochs=2.5), "training.num_train_epochs: input should be a valid integer"),
        (changed(strategy="train_using_input_tokens"), "training.strategy: input should be 'train_using_all_tokens'"),
        (changed(momentum=0.9), "training.momentum: extra inputs are not permitted"),
        (json.dumps({**GRID, "data_generation": {**GRID["data_generation"], "use_size_augmentations": "yes"}}), "bool"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse("grid", text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_offers_only_what_is_valid(kind: str) -> None:
    read = json.loads(schema(KINDS[kind]))
    training = read["properties"]["training"]["properties"]
    assert training["learning_rate"]["enum"] == list(LEARNING_RATES)
    for rate in LEARNING_RATES:
        for epochs in training["num_train_epochs"]["enum"]:
            raw = json.loads(write(FIXED[kind]))
            raw["training"] |= {"learning_rate": rate, "num_train_epochs": epochs}
            parse(kind, json.dumps(raw))
    flags = set(read["properties"]["data_generation"]["properties"])
    assert flags == set(json.loads(write(FIXED[kind]))["data_generation"])
