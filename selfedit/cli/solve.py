"""`selfedit solve`: one task of a few demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.domains.fewshot.problem import demonstrations_of, input_of
from selfedit.domains.fewshot.values import Kind
from selfedit.errors import UserError
from selfedit.models import DEFAULT_MODEL
from selfedit.progress import make_progress
from selfedit.settings import Composition
from selfedit.solve.load import TaskSolver, default_composition, one_task
from selfedit.solve.run import left_out_right
from selfedit.types import Value

if TYPE_CHECKING:
    from selfedit.solve.run import Solution

TaskSource = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="An ARC id, a task's .json file (FILE#ID of several), or a .jsonl file of rows.",
        show_default=False,
    ),
]
TaskModel = Annotated[str, typer.Option("--model", metavar="NAME", help="Base model, named as for `selfedit learn`.")]
Vote = Annotated[bool, typer.Option("--vote", help="See grids turned and mirrored, too, and let predictions vote.")]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        min=0,
        help="Training tokens of an edit, all epochs together, 0 for no bound; by default 16000 on a CPU.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "solve",
        epilog=options.examples("selfedit solve dates.jsonl", "selfedit solve a85d4709 --edits 4 --vote"),
    )(_solve)


def _solve(
    task: TaskSource,
    edits: Annotated[int, typer.Option("--edits", min=1, help="Self-edits to choose from by leave-one-out.")] = 1,
    fixed: Annotated[bool, typer.Option("--fixed", help="Train by the fixed recipe, without a self-edit.")] = False,
    free: Annotated[bool, typer.Option("--free", help="Sample until valid, not by the grammar.")] = False,
    vote: Vote = False,
    max_tokens: MaxTokens = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.01, help="Of the self-edits; 1 by default.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="CONFIG",
            help="Solve as a configuration of `selfedit train` says, for example arc_paper; its model and data are not "
            "read.",
            show_default=False,
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of --config.", show_default=False),
    ] = None,
    model: TaskModel = DEFAULT_MODEL,
    seed: options.Seed = None,
    json: options.Json = False,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Adapt to a task of a few demonstrations, and predict its outputs.

    The model writes a self-edit (how to train on the demonstrations), trains an adapter, and answers. A row of a .jsonl
    file has `input` and `output`, or `input` alone: that one is to be predicted.
    """
    read = one_task(task)
    if fixed and edits > 1:
        raise UserError("--fixed writes no self-edits to choose from: leave --edits out.")
    progress = make_progress(quiet)
    _, pairs = demonstrations_of(read)
    if len(pairs) == 1:
        progress.note("One demonstration cannot be left out: it is trained on by itself, and edits are not compared.")
    composition = _composition(config, sets or [], free, vote, temperature)
    solver = TaskSolver(model, device, composition, progress, fixed=fixed, max_tokens=max_tokens)
    solver.check(read)
    solution = solver.solver.solve(read, edits, seed or 0)
    if json:
        output.print_json(as_json(solution) | {"model": solver.name, "seed": seed or 0})
    else:
        _print(solution)


def _composition(
    config: Path | None, sets: Sequence[str], free: bool, vote: bool, temperature: float | None
) -> Composition:
    """By a configuration, or by options.

    Raises:
        UserError: by both, or the configuration is wrong or of another domain.
    """
    if config is None:
        if sets:
            raise UserError("--set changes a setting of a configuration: name one with --config.")
        return default_composition(constrained=not free, vote=vote, temperature=temperature or 1.0)
    from selfedit.experiments.config import load_config

    for option, given, key in (
        ("--free", free, "policy.constrained=false"),
        ("--vote", vote, "domain_settings.views=rigid"),
        ("--temperature", temperature is not None, f"policy.temperature={temperature}"),
    ):
        if given:
            raise UserError(f"{option} is a setting of the configuration: write --set {key} instead.")
    settings = load_config(config, tuple(sets))
    if settings.domain != "fewshot":
        raise UserError(f"{config} is about tasks of the domain '{settings.domain}'; `solve` needs 'fewshot'.")
    return settings.composition


def as_json(solution: Solution) -> dict[str, Any]:
    """A solution as plain data."""
    kind, _ = demonstrations_of(solution.task)
    return {
        "task": solution.task.id,
        "predictions": [_plain(kind, text) for text in solution.predictions],
        "guesses": [[_plain(kind, text) for text in made] for made in solution.guesses],
        "solved": solution.solved,
        "edits": [
            {
                "text": rollout.edit.text or rollout.edit.format,
                "failure": rollout.failure,
                "samples": rollout.edit.attempts,
                "left_out_right": left_out_right(rollout),
                "left_out_asked": len(rollout.afters),
                "chosen": place == solution.chosen,
            }
            for place, rollout in enumerate(solution.rollouts)
        ],
        "examples": solution.examples,
        "losses": [round(loss, 4) for loss in solution.losses],
        "seconds": round(solution.seconds, 1),
    }


def _plain(kind: Kind, text: str) -> Any:
    """A prediction as JSON has it: a list of rows, or the text; text as well where it is no grid."""
    value = kind.read(text)
    return [list(row) for row in value] if isinstance(value, tuple) else text


def _print(solution: Solution) -> None:
    from selfedit.report.grids import side_by_side

    kind, _ = demonstrations_of(solution.task)
    rows = [
        (
            "*" if place == solution.chosen else "",
            rollout.edit.text or "fixed recipe",
            f"{left_out_right(rollout)} of {len(rollout.afters)}" if rollout.afters else rollout.failure or "-",
        )
        for place, rollout in enumerate(solution.rollouts)
    ]
    output.table(("", "self-edit", "left out and right"), rows)
    output.say()
    for probe, guesses in zip(solution.task.probes, solution.guesses, strict=False):
        asked: Value = input_of(probe)
        titles = ["input", "prediction", *(f"guess {number}" for number in range(2, len(guesses) + 1))]
        values = [asked, *(kind.read(said) or said or "nothing" for said in guesses)]
        if probe.answers:
            titles.append("answer")
            values.append(kind.read(probe.answers[0]) or probe.answers[0])
        output.console().print(side_by_side(titles, values))
    if solution.chosen is None:
        output.say("No self-edit could be used, so nothing was predicted. --fixed trains without one.")
        return
    told = {True: "Solved", False: "Not solved", None: "The answer is not known"}[solution.solved]
    trained = f"{solution.examples} training problems, {len(solution.losses)} steps"
    output.say(
        f"{told}; {trained}, loss {solution.losses[0]:.2f} to {solution.losses[-1]:.2f}, {solution.seconds:.0f} s."
    )
