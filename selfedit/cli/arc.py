"""`selfedit arc show` and `selfedit arc filter`: puzzles, many of them."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.cli.solve import MaxTokens, TaskModel, TaskSource, Vote, as_json
from selfedit.domains.fewshot.problem import demonstrations_of, input_of
from selfedit.domains.fewshot.read import DATASETS, arc_ids, read_source
from selfedit.errors import UserError, nearest
from selfedit.files.disk import exists, write_whole, writing
from selfedit.models import DEFAULT_MODEL
from selfedit.progress import make_progress
from selfedit.release_0_1 import renamed
from selfedit.solve.load import TaskSolver, default_composition, one_task
from selfedit.text.reading import decode, parse_json, read_bytes
from selfedit.types import Value

if TYPE_CHECKING:
    from selfedit.types import Task


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Puzzles of the Abstraction and Reasoning Corpus.", no_args_is_help=True)
    group.command("show", epilog=options.examples("selfedit arc show a85d4709 --svg task.svg"))(_show)
    group.command(
        "filter",
        epilog=options.examples("selfedit arc filter arc1-train --max-prompt 400 --limit 20 --out solvable.jsonl"),
    )(_filter)
    app.add_typer(group, name="arc")


def _show(
    task: TaskSource,
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
    vote: Vote = False,
    max_tokens: MaxTokens = None,
    model: TaskModel = DEFAULT_MODEL,
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
    solver = TaskSolver(model, device, default_composition(vote=vote), progress, max_tokens=max_tokens)
    chosen = [task for task in tasks if solver.prompt_length(task) <= max_prompt and solver.fits(task)][:limit]
    with progress.bar("Tasks", len(chosen), "tasks") as bar:
        for task in chosen:
            if task.id not in done:
                solution = solver.solver.solve(task, 0, seed or 0)
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
