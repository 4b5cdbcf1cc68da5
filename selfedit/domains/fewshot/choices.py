"""The self-edit of a few-shot task: a JSON object that says how to train on its demonstrations (paper, section 3.2)."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import replace
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from selfedit.domains.fewshot.problem import demonstrations_of
from selfedit.domains.fewshot.values import Kind
from selfedit.types import SelfEdit, Task

LEARNING_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
"""What constrained sampling chooses among. A parsed edit may have any other within the bounds."""

MAX_EPOCHS = 10
_LONGEST_TEXT = 200


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Training(_Strict):
    """Loss on what, how fast, how long."""

    strategy: Literal["train_using_all_tokens", "train_using_output_tokens"]
    learning_rate: float = Field(ge=1e-6, le=1e-2)
    num_train_epochs: int = Field(ge=1, le=MAX_EPOCHS)


class Choices(_Strict):
    """What a self-edit of one kind of value may choose."""

    training: Training

    @property
    @abstractmethod
    def groups(self) -> tuple[str, ...]:
        """The names of the chosen augmentation groups."""

    @property
    def paraphrases(self) -> tuple[Paraphrase, ...]:
        """Inputs put differently; only texts have them."""
        return ()


class GridGeneration(_Strict):
    """The paper's four groups."""

    use_basic_augmentations: bool
    use_size_augmentations: bool
    use_chain_augmentations: bool
    use_repeat_augmentations: bool


class GridChoices(Choices):
    """A self-edit about grids, with the paper's keys."""

    data_generation: GridGeneration

    @property
    def groups(self) -> tuple[str, ...]:
        chosen = self.data_generation.model_dump()
        return tuple(name for name in ("basic", "size", "chain", "repeat") if chosen[f"use_{name}_augmentations"])


class Paraphrase(_Strict):
    """Another way to say a demonstration's input, which keeps its output. Demonstrations count from 1."""

    demonstration: int = Field(ge=1)
    input: str = Field(min_length=1, max_length=_LONGEST_TEXT)


class TextGeneration(_Strict):
    """What makes sense for texts."""

    use_order_permutations: bool
    use_leave_one_out: bool
    use_leave_two_out: bool
    paraphrases: list[Paraphrase] = Field(default=[], max_length=4)


class TextChoices(Choices):
    """A self-edit about texts."""

    data_generation: TextGeneration

    @property
    def groups(self) -> tuple[str, ...]:
        chosen = self.data_generation.model_dump()
        return tuple(name for name in ("order_permutations", "leave_one_out", "leave_two_out") if chosen[f"use_{name}"])

    @property
    def paraphrases(self) -> tuple[Paraphrase, ...]:
        return tuple(self.data_generation.paraphrases)


_CHOICES: dict[str, type[Choices]] = {"grid": GridChoices, "text": TextChoices}

FIXED: dict[str, Choices] = {
    "grid": GridChoices(
        data_generation=GridGeneration(
            use_basic_augmentations=True,
            use_size_augmentations=False,
            use_chain_augmentations=False,
            use_repeat_augmentations=False,
        ),
        training=Training(strategy="train_using_output_tokens", learning_rate=1e-3, num_train_epochs=2),
    ),
    "text": TextChoices(
        data_generation=TextGeneration(
            use_order_permutations=True, use_leave_one_out=True, use_leave_two_out=False, paraphrases=[]
        ),
        training=Training(strategy="train_using_output_tokens", learning_rate=1e-3, num_train_epochs=3),
    ),
}
"""The recipe that no policy chose: what the comparison calls fixed."""


@cache
def parse(kind: str, text: str) -> Choices:
    """The choices that a self-edit's text makes.

    Raises:
        ValueError: the text is not exactly one JSON object of the right form; says what is wrong, and where.
    """
    try:
        return _CHOICES[kind].model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the edit"
        raise ValueError(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def without_paraphrases(edit: SelfEdit) -> SelfEdit:
    """The same edit for fewer demonstrations: its paraphrases name them by numbers that others would then have."""
    if edit.format == "none" or "paraphrases" not in edit.text:
        return edit
    raw = json.loads(edit.text)
    raw["data_generation"].pop("paraphrases", None)
    return replace(edit, text=json.dumps(raw))


def choices_of(task: Task, edit: SelfEdit) -> Choices:
    """What an edit about a task chooses; the fixed recipe in format `none`.

    Raises:
        ValueError: the edit does not parse; says why.
    """
    kind, _ = demonstrations_of(task)
    return FIXED[kind.name] if edit.format == "none" else parse(kind.name, edit.text)


def write(choices: Choices) -> str:
    """The JSON text of choices, as an edit has it."""
    raw = choices.model_dump()
    if not choices.paraphrases:
        raw["data_generation"].pop("paraphrases", None)
    return json.dumps({"data_generation": raw["data_generation"], "training": raw["training"]})


@cache
def schema(kind: Kind) -> str:
    """A JSON schema whose every text `parse` takes: for sampling that cannot go wrong. Without paraphrases."""
    fields = _CHOICES[kind.name].model_fields["data_generation"].annotation
    assert fields is not None
    flags = [name for name in fields.model_fields if name.startswith("use_")]
    return json.dumps(
        _object(
            data_generation=_object(**{name: {"type": "boolean"} for name in flags}),
            training=_object(
                strategy={"enum": ["train_using_all_tokens", "train_using_output_tokens"]},
                learning_rate={"enum": list(LEARNING_RATES)},
                num_train_epochs={"enum": list(range(1, MAX_EPOCHS + 1))},
            ),
        )
    )


def _object(**properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
