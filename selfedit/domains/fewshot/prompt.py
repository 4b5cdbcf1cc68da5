"""The requests for self-edits, in words: with the ranges of what may be chosen, or open, as in the paper."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

from selfedit.domains.fewshot.choices import FIXED, OPEN, parse, schema, write
from selfedit.domains.fewshot.problem import demonstrations_of
from selfedit.domains.fewshot.values import KINDS, Kind
from selfedit.policies.formats import Format
from selfedit.types import Lesson, Task, Value

_ABOUT = {
    "grid": (
        "The demonstrations below turn an input grid into an output grid. A model will be trained on them, to do the "
        "same to new grids. Choose how: which augmentations of the grids (basic: turns, flips, shifts; size: doubled; "
        "chain: both, one after another; repeat: tiled)"
    ),
    "text": (
        "The demonstrations below turn an input text into an output text. A model will be trained on them, to do the "
        "same to new texts. Choose how: which training problems to make (demonstrations in other orders; one left out "
        "and asked for; two left out)"
    ),
}
_REST = (
    ", whether the loss is on all tokens or on the output's only, the learning rate{rates} and the number of "
    "epochs{epochs}. Answer with one JSON object and nothing else."
)


@dataclass(frozen=True)
class SettingsFormat(Format):
    """Asks for the settings of a training run, as JSON."""

    @property
    def examples(self) -> tuple[tuple[str, str], ...]:
        """None: the prompt itself shows the form."""
        return ()

    def prompt(self, task: Task) -> str:
        """The request: what may be chosen, and the task's demonstrations."""
        kind, pairs = demonstrations_of(task)
        listed = "\n\n".join(f"Input:\n{kind.write(pair.input)}\nOutput:\n{kind.write(pair.output)}" for pair in pairs)
        rest = _REST.format(rates=" (0.00001 to 0.01)", epochs=" (1 to 10)")
        return f"{_ABOUT[kind.name]}{rest}\nIts form: {_form(kind)}\n\n{listed}"

    def schema(self, task: Task) -> str:
        return schema(demonstrations_of(task)[0])


@dataclass(frozen=True)
class OpenSettingsFormat(SettingsFormat):
    """The same as the official code asks for it (few-shot/self-edit.py, lines 368 to 391; utils/prompts.py).

    The demonstrations stand above the request, cells apart, and no range of a learning rate or of epochs is named; what
    comes back is held to none. The words are ours.
    """

    def prompt(self, task: Task) -> str:
        kind, pairs = demonstrations_of(task)
        listed = "".join(
            f"Input:\n{_apart(kind, pair.input)}\n\nOutput:\n{_apart(kind, pair.output)}\n\n" for pair in pairs
        )
        about = _ABOUT[kind.name].replace("below", "above")
        return f"{listed}------\n\n{about}{_REST.format(rates='', epochs='')}\nIts form: {_form(kind)}"


def _apart(kind: Kind, value: Value) -> str:
    """A value with spaces between the cells of a grid."""
    return kind.write(value) if isinstance(value, str) else "\n".join(" ".join(map(str, row)) for row in value)


def _form(kind: Kind) -> str:
    """What an answer looks like, with words in place of values: an example's would be copied."""
    form = json.loads(write(FIXED[kind.name]))
    form["data_generation"] = dict.fromkeys(form["data_generation"], "true or false")
    form["training"] = {
        "strategy": '"train_using_all_tokens" or "train_using_output_tokens"',
        "learning_rate": "a number",
        "num_train_epochs": "a number",
    }
    parts = (
        f'"{group}": {{{", ".join(f"{json.dumps(key)}: {value}" for key, value in values.items())}}}'
        for group, values in form.items()
    )
    return f"{{{', '.join(parts)}}}"


def read_lessons(text: str, bounded: bool = True) -> tuple[Lesson, ...]:
    """What an edit chooses, a line each; nothing if it is no edit of any kind."""
    for kind in KINDS:
        try:
            choices = parse(kind, text, bounded)
        except ValueError:
            continue
        training = choices.training
        return (
            Lesson(f"augmentations: {', '.join(choices.groups) or 'none'}"),
            Lesson(f"loss: {training.strategy.removeprefix('train_using_').replace('_', ' ')}"),
            Lesson(f"learning rate: {training.learning_rate:g}"),
            Lesson(f"epochs: {training.num_train_epochs}"),
        )
    return ()


FORMATS: dict[str, Format] = {
    "settings": SettingsFormat("settings", "settings", "", "", read_lessons),
    OPEN: OpenSettingsFormat(OPEN, "settings", "", "", partial(read_lessons, bounded=False)),
    "none": Format("none", "", "", "", lambda _: ()),
}
"""How an edit may be written; `none` is the fixed recipe, which nobody wrote."""
