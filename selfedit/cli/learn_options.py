"""The options of `selfedit learn`, which `estimate` and `watch` have, too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from selfedit.graders import GRADERS
from selfedit.learn.config import LearnConfig, final_default
from selfedit.memory import DEFAULT_MEMORY, MEMORIES
from selfedit.policies.formats import FORMATS

STREAM = "What comes"
_WRITING, _TRAINING, _LINEAGE = "Writing self-edits and questions", "Training", "What was learnt before"


def _default(field: str) -> Any:
    return LearnConfig.model_fields[field].default


def _training(field: str) -> str:
    """How the two trainings differ by default, in the words of a help text."""
    tried, final = getattr(_default("edit_training"), field), getattr(final_default(DEFAULT_MEMORY), field)
    return f"[default: {final}]" if tried == final else f"[default: {final}, and {tried} where edits are only tried]"


def _writing_option(field: str, help: str, metavar: str | None = None) -> Any:
    default = _default(field)
    said = "" if default is None else f" [default: {default}]"
    # The square bracket is escaped from rich's markup.
    text = help + said.replace("[", r"\[")
    name = f"--{field.replace('_', '-')}"
    return typer.Option(name, help=text, metavar=metavar, show_default=False, rich_help_panel=_WRITING)


def _training_option(field: str, help: str) -> Any:
    text = f"{help} {_training(field)}".replace("[", r"\[")
    return typer.Option(f"--{field.replace('_', '-')}", help=text, show_default=False, rich_help_panel=_TRAINING)


Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Files and folders: .txt, .md, .html, .pdf, SQuAD .json; or - for JSON lines on standard input.",
        show_default=False,
    ),
]
Settle = Annotated[
    float,
    typer.Option("--settle", metavar="SECONDS", help="Learn when nothing came for so long.", rich_help_panel=STREAM),
]
AtOnce = Annotated[int, typer.Option("--at-once", help="Files learnt together at most.", rich_help_panel=STREAM)]
Edits = Annotated[int | None, _writing_option("edits", "Self-edits written for each passage.")]
EditFormat = Annotated[str | None, _writing_option("format", f"Form of the self-edits: {', '.join(FORMATS)}.")]
Policy = Annotated[
    str | None,
    _writing_option(
        "policy", "What writes: a training run's id (squad_cpu:r1), a PEFT folder, or none. By default the model's own."
    ),
]
EditsFrom = Annotated[
    Path | None, _writing_option("edits_from", "JSONL file of self-edits that something else wrote.", "FILE")
]
Questions = Annotated[
    Path | None,
    _writing_option("questions", "JSONL or SQuAD file of questions with answers. Without it the model asks.", "FILE"),
]
QuestionsPerPassage = Annotated[
    int | None, _writing_option("questions_per_passage", "Questions that the model writes where none are given.")
]
PassageTokens = Annotated[int | None, _writing_option("passage_tokens", "Longest passage, in tokens.")]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Make the best of so much time: 90s, 20m, 2h. Less is asked and trained where it is short.",
        show_default=False,
        rich_help_panel=_WRITING,
    ),
]
Temperature = Annotated[float | None, _writing_option("temperature", "Of sampling self-edits.")]
TopP = Annotated[float | None, _writing_option("top_p", "Of sampling self-edits.")]
Grader = Annotated[
    str | None, _writing_option("grader", f"What decides whether an answer is right: {', '.join(GRADERS)}.")
]
MaxEditTokens = Annotated[int | None, _writing_option("max_edit_tokens", "Longest self-edit, in tokens.")]
KeepUntested = Annotated[
    bool | None,
    typer.Option(
        "--keep-untested/--drop-untested",
        help="Learn passages that no question asks about, too. \\[default: where each has one self-edit]",
        show_default=False,
        rich_help_panel=_WRITING,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help=f"How old and new live together: {', '.join(MEMORIES)}. \\[default: as before, or {DEFAULT_MEMORY}]",
        show_default=False,
        rich_help_panel=_LINEAGE,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="ID",
        help="Go on from this version. [default: the active one]".replace("[", r"\["),
        show_default=False,
        rich_help_panel=_LINEAGE,
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Begin anew, knowing nothing of earlier documents.", rich_help_panel=_LINEAGE)
]
Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="FILE",
        help="Questions that are to stay right.",
        show_default=False,
        rich_help_panel=_LINEAGE,
    ),
]
Again = Annotated[
    bool,
    typer.Option("--again", help="Learn documents anew that are known as they are.", rich_help_panel=_LINEAGE),
]
Epochs = Annotated[int | None, _training_option("epochs", "Times each example is trained on.")]
LearningRate = Annotated[float | None, _training_option("learning_rate", "Step size of AdamW at its start.")]
Rank = Annotated[int | None, _training_option("rank", "Rank of the LoRA adapters.")]
BatchSize = Annotated[int | None, _training_option("batch_size", "Examples in one optimizer step.")]


def settings_of(writing: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """Settings for `Session.learn` out of options, of which those not given are None."""
    settings = {name: value for name, value in writing.items() if value is not None}
    given = {name: value for name, value in training.items() if value is not None}
    if given:
        settings["edit_training"] = _default("edit_training").model_dump() | given
        settings["final_training"] = given
    return settings
