"""`selfedit train`, `eval`, `runs` and `report`: experiments from one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfedit.cli import options, output
from selfedit.errors import UserError
from selfedit.experiments.runs import listing
from selfedit.progress import make_progress

if TYPE_CHECKING:
    from selfedit.experiments.config import TrainConfig
    from selfedit.report import Table

_Config = Annotated[
    Path, typer.Argument(help="YAML file, or the name of one that `selfedit configs` lists.", show_default=False)
]
_Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, as outer.edits=3.")
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="The run's folder; by default runs/ and the name of CONFIG, with -eval for `eval`."
    ),
]
_Check = Annotated[
    bool,
    typer.Option(
        "--check", help="Check everything and print the plan, with the first prompt of each kind; no training."
    ),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder that the runs are in.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "train",
        epilog=options.examples("selfedit train squad_cpu", "selfedit train squad_paper --check"),
    )(_train)
    app.command(
        "eval",
        epilog=options.examples("selfedit eval squad_cpu", "selfedit eval squad_cpu --run runs/squad_cpu"),
    )(_eval)
    app.command("report", epilog=options.examples("selfedit report squad_cpu", "selfedit report rewrite self-qa"))(
        _report
    )
    group = typer.Typer(help="Runs of `selfedit train` and `selfedit eval`.", invoke_without_command=True)
    group.callback(epilog=options.examples("selfedit runs", "selfedit runs show squad_cpu"))(_list)
    group.command("show", epilog=options.examples("selfedit runs show squad_cpu --json"))(_show)
    app.add_typer(group, name="runs")
    configs = typer.Typer(help="Configurations that come with selfedit.", invoke_without_command=True)
    configs.callback(epilog=options.examples("selfedit configs", "selfedit configs copy squad_cpu"))(_configs)
    configs.command("copy", epilog=options.examples("selfedit configs copy squad_cpu my-folder"))(_copy)
    app.add_typer(configs, name="configs")


def _train(
    config: _Config,
    set_: _Set = None,
    out: _Out = None,
    check: _Check = False,
    json: options.Json = False,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Teach a model to write better self-edits: rounds of ReST-EM, ending in a table.

    Killed or interrupted, the same command goes on where it was and ends in the same figures.
    """
    from selfedit.experiments.config import load_config
    from selfedit.experiments.start import train

    settings = load_config(config, tuple(set_ or ()))
    path = out or listing.DEFAULT_RUNS / config.stem
    if check:
        _print_plan("train", settings, path, None, json, quiet)
        return
    folder = train(settings, path, device, make_progress(quiet))
    _print_result(folder.path, json)


def _eval(
    config: _Config,
    set_: _Set = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Id or folder of a training run whose policies are compared, too."),
    ] = None,
    out: _Out = None,
    check: _Check = False,
    json: options.Json = False,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare conditions on the same passages, questions and seeds: no update, in context, passage alone, edits.

    Killed or interrupted, the same command goes on where it was and ends in the same figures.
    """
    from selfedit.experiments.config import load_config
    from selfedit.experiments.start import evaluate

    settings = load_config(config, tuple(set_ or ()))
    trained = run_folder(run, listing.DEFAULT_RUNS) if run is not None else None
    path = out or listing.DEFAULT_RUNS / "-".join([config.stem, "eval", *([trained.resolve().name] if trained else [])])
    if check:
        _print_plan("eval", settings, path, trained, json, quiet)
        return
    folder = evaluate(settings, path, trained, device, make_progress(quiet))
    _print_result(folder.path, json)


def _report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids or folders of runs.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write the comparison of several runs to this new folder, too."),
    ] = None,
    runs_dir: Runs = listing.DEFAULT_RUNS,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write report.md, report.html and report.csv of runs into their folders, and print the tables.

    Of several runs on the same questions the conditions are set side by side, paired by question.
    """
    from selfedit.experiments.start import write_comparison, write_report

    paths = [run_folder(run, runs_dir) for run in runs]
    for path in paths:
        write_report(path)
    if len(paths) == 1:
        _print_result(paths[0], json)
        return
    tables = write_comparison(paths, out)
    if json:
        output.print_json({"runs": list(map(str, paths)), "tables": list(map(_plain, tables))})
        return
    for table in tables:
        output.table(table.columns, table.rows, table.title)
        output.say(table.note)


def _configs(context: typer.Context, json: options.Json = False, debug: options.Debug = False) -> None:
    """List the configurations that come with selfedit; `selfedit train NAME` runs one."""
    from selfedit.experiments.shipped import shipped_configs

    if context.invoked_subcommand is not None:
        return
    configs = shipped_configs()
    if json:
        output.print_json({"configs": configs})
    else:
        output.table(("name", "what"), configs.items())


def _copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which one.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to.")] = Path(),
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Copy a configuration, to be changed. Nothing is overwritten."""
    from selfedit.experiments.shipped import copy_config

    path = copy_config(name, folder)
    if json:
        output.print_json({"config": str(path)})
    else:
        output.say(f"Copied to {path}. Run it: selfedit train {path}")


def run_folder(run: str, runs_dir: Path) -> Path:
    """The folder of a run that is named by its folder or its id."""
    return Path(run) if (Path(run) / "run.json").exists() else listing.find(runs_dir, run)


def _list(
    context: typer.Context,
    runs_dir: Runs = listing.DEFAULT_RUNS,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the runs, oldest first."""
    if context.invoked_subcommand is not None:
        return
    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"{runs_dir} is a file: name the folder that the runs are in.")
    runs = listing.entries(runs_dir)
    if json:
        output.print_json({"runs": [entry.__dict__ for entry in runs]})
    elif not runs:
        output.say(f"No run yet in {runs_dir}. Begin one: selfedit train squad_cpu (`selfedit configs` lists others)")
    else:
        rows = [(e.id, e.kind, e.created, e.status, e.model, f"{e.seconds:.0f}") for e in runs]
        output.table(("id", "kind", "begun", "status", "model", "seconds"), rows)


def _show(
    id: Annotated[str, typer.Argument(metavar="ID", help="Which run.", show_default=False)],
    runs_dir: Runs = listing.DEFAULT_RUNS,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show a run: its settings and its tables."""
    _print_result(listing.find(runs_dir, id), json)


def _print_result(path: Path, json: bool) -> None:
    from selfedit.experiments.runs.page import report_page
    from selfedit.experiments.runs.records import RunRecords
    from selfedit.experiments.runs.workers import workers_table, works
    from selfedit.report import Bullets, Table

    records = RunRecords(path)
    page = report_page(records)
    blocks = [block for section in page.sections for block in section.blocks]
    tables = [block for block in blocks if isinstance(block, Table)]
    notes = [note for block in blocks if isinstance(block, Bullets) for note in block.items]
    if json:
        facts = records.facts
        output.print_json(
            {
                "id": facts.id,
                "folder": str(path),
                "status": facts.status,
                "seconds": facts.seconds,
                "config": dict(facts.config),
                "tables": list(map(_plain, tables)),
                "notes": notes,
                "work": [work.__dict__ for work in works(records)],
            }
        )
        return
    for table in tables[:-1]:  # The last one is the settings, which the report has.
        output.table(table.columns, table.rows, table.title)
        output.say()
    if (workers := workers_table(records)) is not None:
        output.table(workers.columns, workers.rows, workers.title)
        output.say()
    for note in notes:
        output.say(note)
    output.say(f"{records.facts.status}; report: {path / 'report.html'}")


def _print_plan(kind: str, settings: TrainConfig, path: Path, run: Path | None, json: bool, quiet: bool) -> None:
    from selfedit.experiments.start import check

    plan = check(kind, settings, path, run, make_progress(quiet))
    if json:
        output.print_json(plan.as_json())
        return
    for what, text in plan.prompts.items():
        output.say(f"--- {what}\n{text}\n")
    columns = ("part", "edits", "adapters", "questions", "tokens trained", "written", "read")
    rows = [
        (
            part.what,
            *(str(n) for n in (part.edits, part.adapters, part.questions, part.trained, part.written, part.read)),
        )
        for part in plan.work
    ]
    output.table(columns, rows)
    output.say(f"\n{plan.as_text()}")


def _plain(table: Table) -> dict[str, object]:
    return {"title": table.title, "columns": table.columns, "rows": table.rows, "note": table.note}
