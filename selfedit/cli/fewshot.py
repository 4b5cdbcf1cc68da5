"""`selfedit solve`, `selfedit arc show` and `selfedit arc filter`."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.domains.fewshot.problem import demonstrations_of, input_of
from selfedit.domains.fewshot.read import DATASETS, arc_ids, read_source
from selfedit.domains.fewshot.values import Kind
from selfedit.errors import UserError, nearest
from selfedit.files.disk import exists, write_whole, writing
from selfedit.models import DEFAULT_MODEL
from selfedit.progress import make_progress
from selfedit.release_0_1 import renamed
from selfedit.settings import Composition
from selfedit.solve.load import TaskSolver, default_composition, one_task
from selfedit.solve.run import left_out_right
from selfedit.text.reading import decode, parse_json, read_bytes
from selfedit.types import Value

if TYPE_CHECKING:
    from selfedit.solve.run import Solution
    from selfedit.types import Task

_Task = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="An ARC id, a task's .json file (FILE#ID of several), or a .jsonl file of rows.",
        show_default=False,
    ),
]
_Model = Annotated[str, typer.Option("--model", metavar="NAME", help="Base model, named as for `selfedit learn`.")]
_Vote = Annotated[bool, typer.Option("--vote", help="See grids turned and mirrored, too, and let predictions vote.")]
_MostTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        min=0,
        help="Training tokens of an edit, all epochs together, 0 for no bound; by default 16000 on a CPU.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "solve",
        epilog=options.examples("selfedit solve dates.jsonl", "selfedit solve a85d4709 --edits 4 --vote"),
    )(_solve)
    group = typer.Typer(help="Puzzles of the Abstraction and Reasoning Corpus.", no_args_is_help=True)
    group.command("show", epilog=options.examples("selfedit arc show a85d4709 --svg task.svg"))(_show)
    group.command(
        "filter",
        epilog=options.examples("selfedit arc filter arc1-train --max-prompt 400 --limit 20 --out solvable.jsonl"),
    )(_filter)
    app.add_typer(group, name="arc")


def _solve(
    task: _Task,
    edits: Annotated[int, typer.Option("--edits", min=1, help="Self-edits to choose from by leave-one-out.")] = 1,
    fixed: Annotated[bool, typer.Option("--fixed", help="Train by the fixed recipe, without a self-edit.")] = False,
    free: Annotated[bool, typer.Option("--free", help="Sample until valid, not by the grammar.")] = False,
    vote: _Vote = False,
    max_tokens: _MostTokens = None,
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
    model: _Model = DEFAULT_MODEL,
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


def _show(
    task: _Task,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write the picture to a file instead.")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show a task's demonstrations and inputs."""
    from selfedit.report.grids import row_svg, side_by_side, stacked_svg

    read = one_task(task)
    kind, pairs = demonstrations_of(read)
    rows: list[tuple[list[str], list[Value]]] = [
        ([f"input {number}", f"output {number}"], [pair.input, pair.output]) for number, pair in enumerate(pairs, 1)
    ]
    for number, probe in enumerate(read.probes, 1):
        values: list[Value] = [input_of(probe)]
        golds = [kind.read(gold) or gold for gold in probe.answers]
        rows.append(([f"test {number}", f"answer {number}"][: 1 + len(golds)], values + golds))
    if svg is not None:
        if svg.exists():
            raise UserError(f"{svg} is there already. Name another file, or remove it.")
        with writing(svg, "name another file with --svg"):
            write_whole(svg, stacked_svg([row_svg(titles, values) for titles, values in rows]).encode())
    if json:
        output.print_json({"task": read.id, "rows": [dict(zip(t, v, strict=True)) for t, v in rows]})
    elif svg is not None:
        output.say(f"Written: {svg}")
    else:
        for titles, values in rows:
            output.console().print(side_by_side(titles, values))


def _filter(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="arc1-train, arc1-eval, arc2-train, arc2-eval, or a file or folder of tasks."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSONL file of results; done tasks are kept.")],
    max_prompt: Annotated[
        int, typer.Option("--max-prompt", min=1, help="Leave out tasks with longer prompts, in tokens.")
    ] = 8000,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many tasks.")] = None,
    vote: _Vote = False,
    max_tokens: _MostTokens = None,
    model: _Model = DEFAULT_MODEL,
    seed: options.Seed = None,
    json: options.Json = False,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find the tasks that a model can solve at all, after training by the fixed recipe.

    The paper chose its tasks so. Interrupted, the same command goes on with the tasks that are missing.
    """
    tasks = _tasks(source)
    with writing(out, "name another file with --out"):
        out.open("a").close()
    settings = {"model": model, "seed": seed or 0, "vote": vote, "max_tokens": max_tokens}
    done = _done(out, settings)
    progress = make_progress(quiet)
    solver = TaskSolver(model, device, default_composition(vote=vote), progress, fixed=True, max_tokens=max_tokens)
    chosen = [task for task in tasks if solver.prompt_length(task) <= max_prompt and solver.fits(task)][:limit]
    with progress.bar("Tasks", len(chosen), "tasks") as bar:
        for task in chosen:
            if task.id not in done:
                solution = solver.solver.solve(task, 1, seed or 0)
                done[task.id] = as_json(solution) | settings
                with out.open("a", encoding="utf-8") as file:
                    file.write(json_module.dumps(done[task.id]) + "\n")
            bar.advance()
    solved = [task.id for task in chosen if done[task.id]["solved"]]
    if json:
        output.print_json({"tasks": len(chosen), "left_out": len(tasks) - len(chosen), "solved": solved} | settings)
        return
    output.say(f"{len(solved)} of {len(chosen)} tasks solved: {' '.join(solved) or '-'}")
    left_out = len(tasks) - len(chosen)
    output.say(f"{left_out} others were left out (--max-prompt, --limit, the model's window).")
    output.say(f"Each one's result: {out}")


def _tasks(source: str) -> list[Task]:
    dataset, _, split = source.partition("-")
    if dataset in DATASETS and not exists(Path(source)):
        if split not in ("train", "eval"):
            sets = [f"{known}-{part}" for known in DATASETS for part in ("train", "eval")]
            raise UserError(f"Unknown set '{source}'. {nearest(source, sets)}")
        return [task for id in arc_ids(dataset, split) for task in read_source(f"{dataset}:{id}")]
    return read_source(source)


def _done(out: Path, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The results of an interrupted run. A last line that was cut off is dropped.

    Raises:
        UserError: the file is of other settings, or of something else; it is left as it is.
    """
    if not out.stat().st_size:
        return {}
    results = {}
    whole, _, rest = decode(read_bytes(out), out).rpartition("\n")
    if not whole and not rest.startswith(_RESULT):
        raise _not_ours(out)
    for line in whole.split("\n") if whole else ():
        try:
            row = parse_json(line)
        except ValueError:
            raise _not_ours(out) from None
        if not isinstance(row, dict) or "task" not in row:
            raise _not_ours(out)
        row = renamed(row)
        if differing := [key for key, value in settings.items() if row.get(key) != value]:
            raise UserError(f"{out} is of another run: {', '.join(differing)} differ. Name another file with --out.")
        results[row["task"]] = row
    write_whole(out, f"{whole}\n".encode() if whole else b"")
    return results


_RESULT = '{"task": '


def _not_ours(out: Path) -> UserError:
    return UserError(f"{out} holds something else than results of `arc filter`. Name another file with --out.")
