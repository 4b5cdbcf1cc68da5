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
from selfedit.experiments.named_policy import BUNDLED, NONE, check_policy, load_policy_for
from selfedit.models import DEFAULT_MODEL, resolve
from selfedit.progress import make_progress
from selfedit.settings import Composition
from selfedit.solve.leave_one_out import is_fixed, left_out_right
from selfedit.solve.load import TaskSolver, default_composition, one_task
from selfedit.types import Adapter, Value

if TYPE_CHECKING:
    from selfedit.solve.run import Solution
    from selfedit.types import Rollout

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
CompareTokens = Annotated[
    int | None,
    typer.Option(
        "--compare-tokens",
        min=0,
        help="Training tokens of an adapter that leave-one-out compares, 0 for as many as at the end; by default a "
        "sixth of --max-tokens.",
        show_default=False,
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="What writes and is trained on: a training run's id (words_cpu:r1) or a PEFT folder. By default none: "
        "what comes with the default model was taught about passages.",
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
    own: Annotated[
        bool, typer.Option("--own", help="Train by a self-edit, without the fixed recipe beside it.")
    ] = False,
    policy: Policy = None,
    free: Annotated[bool, typer.Option("--free", help="Sample until valid, not by the grammar.")] = False,
    vote: Vote = False,
    max_tokens: MaxTokens = None,
    compare_tokens: CompareTokens = None,
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

    The model writes a self-edit (how to train on the demonstrations). It is set beside a fixed recipe: both are trained
    without some of the demonstrations and asked for them. The better one is trained on all, and answers. A row of a
    .jsonl file has `input` and `output`, or `input` alone, which is predicted; its `answer`, if given, marks that.
    """
    read = one_task(task)
    if fixed and (own or edits > 1):
        raise UserError(f"--fixed writes no self-edits to choose from: leave {'--own' if own else '--edits'} out.")
    check_policy(policy)
    progress = make_progress(quiet)
    _, pairs = demonstrations_of(read)
    if len(pairs) == 1 and not fixed:
        instead = "the first self-edit is trained by" if own else "the fixed recipe is taken (--own takes a self-edit)"
        progress.note(f"One demonstration cannot be left out, so that nothing is compared: {instead}.")
    composition = _composition(config, sets or [], free, vote, temperature)
    resolve(model).check()
    adapter = load_policy_for(model, policy or NONE, progress)
    if adapter is not None:
        progress.note(f"Policy: {policy or 'the one that comes with the model'}.")
    solver = TaskSolver(
        model, device, composition, progress, policy=adapter, max_tokens=max_tokens, compare_tokens=compare_tokens
    )
    solver.check(read)
    solution = solver.solver.solve(read, 0 if fixed else edits, seed or 0, fixed=not own)
    if json:
        facts = {"model": solver.name, "policy": policy_facts(policy, adapter), "seed": seed or 0}
        output.print_json(as_json(solution) | {"compare_tokens": solver.compare_tokens} | facts)
    else:
        _print(solution)


def policy_facts(name: str | None, policy: Adapter | None) -> dict[str, str] | None:
    """Which policy it was, by name and hash; None for the bare model."""
    from selfedit.files.hashing import update_sha256

    return None if policy is None else {"name": name or BUNDLED, "sha256": update_sha256(policy)}


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
        "right": list(solution.right),
        "taken": _called(solution.rollouts[solution.chosen]) if solution.chosen is not None else None,
        "why": solution.choice.why if solution.choice is not None else None,
        "edits": [
            {
                "recipe": "fixed" if is_fixed(rollout) else "own",
                "text": rollout.edit.text or rollout.edit.format,
                "failure": rollout.failure,
                "samples": rollout.edit.attempts,
                "left_out_right": left_out_right(rollout),
                "left_out_asked": len(rollout.afters),
                "left_out_logprob": round(rollout.gold_logprob, 4) if rollout.afters else None,
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


def _called(rollout: Rollout) -> str:
    return "the fixed recipe" if is_fixed(rollout) else "the model's own self-edit"


def _print(solution: Solution) -> None:
    _print_recipes(solution)
    output.say()
    _print_outputs(solution)
    if solution.choice is None:
        output.say("No self-edit could be used, so nothing was predicted. --fixed trains without one.")
        return
    known = [right for right in solution.right if right is not None]
    told = f"{sum(known)} of {len(known)} known answers right" if known else "No answer is known"
    trained = f"{solution.examples} training problems, {len(solution.losses)} steps"
    output.say(
        f"{told}; {trained}, loss {solution.losses[0]:.2f} to {solution.losses[-1]:.2f}, {solution.seconds:.0f} s."
    )


def _print_recipes(solution: Solution) -> None:
    """What there was to choose from, what was taken, and why."""
    rows = [
        (
            "*" if place == solution.chosen else "",
            rollout.edit.text or "fixed recipe",
            f"{left_out_right(rollout)} of {len(rollout.afters)}" if rollout.afters else rollout.failure or "-",
            f"{rollout.gold_logprob:.2f}" if rollout.afters else "-",
        )
        for place, rollout in enumerate(solution.rollouts)
    ]
    output.table(("", "recipe", "left out and right", "log-probability"), rows)
    if solution.choice is not None:
        output.say(f"Taken: {_called(solution.rollouts[solution.choice.place])}: {solution.choice.why}.")


def _print_outputs(solution: Solution) -> None:
    """Each input with its prediction, and with the answer and a mark where that is known."""
    from selfedit.report.grids import side_by_side

    kind, _ = demonstrations_of(solution.task)
    for probe, guesses, right in zip(solution.task.probes, solution.guesses, solution.right, strict=False):
        asked: Value = input_of(probe)
        titles = ["input", "prediction", *(f"guess {number}" for number in range(2, len(guesses) + 1))]
        values = [asked, *(kind.read(said) or said or "nothing" for said in guesses)]
        if probe.answers:
            titles += ["answer", ""]
            values += [kind.read(probe.answers[0]) or probe.answers[0], "right" if right else "wrong"]
        output.console().print(side_by_side(titles, values))
