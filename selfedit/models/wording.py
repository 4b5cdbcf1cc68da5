"""A researcher's own words for writing, asking and judging: one YAML file, checked before a model is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from selfedit.errors import UserError, nearest
from selfedit.text.reading import decode, read_bytes

_PLACE = re.compile(r"\{(\w+)\}")


def fill(template: str, **values: str) -> str:
    """The template with a value for each {name} in it; a value's own braces are left alone."""
    return _PLACE.sub(lambda match: values[match[1]], template)


def _template(needed: tuple[str, ...], known: tuple[str, ...]) -> AfterValidator:
    """Checks that a text, unless it is empty, has the places that it needs and no others than it may have."""

    def check(text: str) -> str:
        places = _PLACE.findall(text)
        if unknown := [place for place in places if place not in known]:
            raise ValueError(f"has no place {{{unknown[0]}}}. {nearest(unknown[0], known)}")
        if text and (missing := [place for place in needed if place not in places]):
            raise ValueError(f"needs the place {{{missing[0]}}}")
        return text

    return AfterValidator(check)


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Writing(_Group):
    """The request for a self-edit in one format. A text that ends in white space says itself where the edit begins.

    Attributes:
        opening: how the edit begins, put into the writer's mouth.
    """

    request: Annotated[str, Field(min_length=1), _template(("passage",), ("title", "passage"))]
    opening: str = ""


class Asking(_Group):
    """How a question is asked, without its passage and with it; empty is our own form.

    Attributes:
        stop: strings that end an answer; None is a line's end. An empty list leaves it to the model.
    """

    question: Annotated[str, _template(("question",), ("title", "question"))] = ""
    in_context: Annotated[str, _template(("question", "passage"), ("title", "question", "passage"))] = ""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] | None = None


class Wording(_Group):
    """All of it; what is not given is said as selfedit says it.

    Attributes:
        writing: by the name of the format.
        judging: the question to a judge, which has to answer yes or no.
        scoring: the question to a judge that scores a self-edit, which has to answer with four marks from 1 to 5.
    """

    writing: Mapping[str, Writing] = {}
    asking: Asking = Asking()
    judging: Annotated[str, _template(("question", "gold", "answer"), ("question", "gold", "answer"))] = ""
    scoring: Annotated[str, _template(("passage", "edit"), ("title", "passage", "edit"))] = ""


def read_wording(path: Path) -> Wording:
    """The wording in a file.

    Raises:
        UserError: it is no YAML, has a key that is not known, or a text without a place that it needs; says which.
    """
    try:
        raw = yaml.safe_load(decode(read_bytes(path), path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} has no wording: it needs keys such as 'writing' and 'asking'.")
    try:
        return Wording(**raw)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: '{'.'.join(map(str, first['loc']))}': {message.rstrip('.')}.") from None
