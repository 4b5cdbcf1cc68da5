"""The self-edit of a few-shot task: a JSON object that says how to train on its demonstrations (paper, section 3.2)."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import replace
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from selfedit.domains.fewshot.problem import demonstrations_of
from selfedit.domains.fewshot.values import Kind
from selfedit.types import SelfEdit, Task

LEARNING_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
"""What constrained sampling chooses among. A parsed edit may have any other within the bounds."""

MAX_EPOCHS = 10
OPEN = "settings-open"
"""The format whose edits are held to no range, and may say more than was asked, as in the official code."""

FixedName = Literal["basic", "oracle"]
_BOUNDS = {"learning_rate": (1e-6, 1e-2), "num_train_epochs": (1, MAX_EPOCHS)}
_LONGEST_TEXT = 200


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Training(_Strict):
    """Loss on what, how fast, how long; within bounds, unless the context of validation says `bounded: False`."""

    strategy: Literal["train_using_all_tokens", "train_using_output_tokens"]
    learning_rate: float = Field(gt=0)
    num_train_epochs: int = Field(ge=1)

    @field_validator("learning_rate", "num_train_epochs")
    @classmethod
    def _within(cls, value: float, info: ValidationInfo) -> float:
        lowest, highest = _BOUNDS[info.field_name or ""]
        if (info.context or {}).get("bounded", True) and not lowest <= value <= highest:
            raise PydanticCustomError(
                "bounds",
                "Input should be {relation} than or equal to {bound}",
                {"relation": "less", "bound": highest} if value > highest else {"relation": "greater", "bound": lowest},
            )
        return value


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


def _grid_recipe(*, every_group: bool, learning_rate: float) -> GridChoices:
    """Grids by their basic augmentations, or by those of every group."""
    return GridChoices(
        data_generation=GridGeneration(
            use_basic_augmentations=True,
            use_size_augmentations=every_group,
            use_chain_augmentations=every_group,
            use_repeat_augmentations=every_group,
        ),
        training=Training(strategy="train_using_output_tokens", learning_rate=learning_rate, num_train_epochs=2),
    )


FIXED: dict[str, Choices] = {
    "grid": _grid_recipe(every_group=False, learning_rate=1e-3),
    "text": TextChoices(
        data_generation=TextGeneration(
            use_order_permutations=True, use_leave_one_out=True, use_leave_two_out=False, paraphrases=[]
        ),
        training=Training(strategy="train_using_output_tokens", learning_rate=1e-3, num_train_epochs=3),
    ),
}
"""The recipe that no policy chose: what the comparison calls fixed."""

ORACLE: dict[str, Choices] = {**FIXED, "grid": _grid_recipe(every_group=True, learning_rate=1e-4)}
"""What the paper calls Oracle TTT: its code's own recipe (few-shot/ttt.py, lines 366, 367 and 410). Texts have none."""

RECIPES: dict[FixedName, dict[str, Choices]] = {"basic": FIXED, "oracle": ORACLE}


@cache
def parse(kind: str, text: str, bounded: bool = True) -> Choices:
    """The choices that a self-edit's text makes.

    Args:
        bounded: else any learning rate and epochs are taken, and keys that nobody asked for are passed over.

    Raises:
        ValueError: the text is not exactly one JSON object of the right form; says what is wrong, and where.
    """
    choices = _CHOICES[kind]
    try:
        if bounded:
            return choices.model_validate_json(text)
        asked = json.dumps(_only_asked(json.loads(text), choices))
        return choices.model_validate_json(asked, context={"bounded": False})
    except json.JSONDecodeError as error:
        raise ValueError(f"the edit: invalid JSON: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the edit"
        raise ValueError(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def _only_asked(raw: object, choices: type[Choices]) -> object:
    """An edit without the keys that it need not have."""
    if not isinstance(raw, dict):
        return raw
    groups = {name: field.annotation for name, field in choices.model_fields.items()}
    return {
        name: {key: value for key, value in raw[name].items() if key in group.model_fields}
        if isinstance(raw[name], dict)
        else raw[name]
        for name, group in groups.items()
        if name in raw and group is not None
    }


def without_paraphrases(edit: SelfEdit) -> SelfEdit:
    """The same edit for fewer demonstrations: its paraphrases name them by numbers that others would then have."""
    if edit.format == "none" or "paraphrases" not in edit.text:
        return edit
    raw = json.loads(edit.text)
    raw["data_generation"].pop("paraphrases", None)
    return replace(edit, text=json.dumps(raw))


def choices_of(task: Task, edit: SelfEdit) -> Choices:
    """What an edit about a task chooses.

    Raises:
        ValueError: the edit does not parse; says why.
    """
    return parse(demonstrations_of(task)[0].name, edit.text, bounded=edit.format != OPEN)


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
