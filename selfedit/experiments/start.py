"""Starts a run, or goes on with it, and writes its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.domains import load_domain
from selfedit.errors import UserError
from selfedit.executors import Setup, check_executor, make_executor
from selfedit.experiments.checks import (
    check_algorithm,
    check_rank,
    check_regimes,
    check_start,
    check_targets,
    check_window,
    judged_rewards,
)
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData, overlap, read_data
from selfedit.experiments.named_policy import START, load_policy
from selfedit.experiments.runs.folder import RunFolder
from selfedit.experiments.runs.page import conditions, report_page
from selfedit.experiments.runs.published import check_published
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.runs.side_by_side import side_by_side
from selfedit.experiments.tracking import check_tracker, make_tracker
from selfedit.files.disk import exists, write_whole, writing
from selfedit.files.hashing import update_sha256
from selfedit.files.journal import Journal
from selfedit.graders import make_grader
from selfedit.models import resolve
from selfedit.policies.file import FilePolicy
from selfedit.progress import Progress
from selfedit.report import Page, Table, comparison_table, to_html, to_markdown
from selfedit.runtime import software_versions
from selfedit.text.reading import read_bytes, sha256
from selfedit.types import Adapter, Model, Task

if TYPE_CHECKING:
    from selfedit.experiments.plan import Plan
    from selfedit.models.load import BaseModel
    from selfedit.search.stages import Stages


def train(config: TrainConfig, path: Path, device: str | None, progress: Progress) -> RunFolder:
    """Run the outer loop in the folder `path`, to its end.

    Raises:
        UserError: something in the configuration, the data or the folder is wrong; nothing was overwritten.
    """
    data = _check_train(config)
    if shared := overlap(data):
        progress.note(shared)

    def make_work(base: Model) -> tuple[dict[str, str], Work]:
        from selfedit.experiments.runs.policy_folders import PolicyFolders
        from selfedit.experiments.train import TrainRun

        def work(journal: Journal, stages: Stages) -> None:
            tracker = make_tracker(config.engine.tracking, path)
            folders = PolicyFolders(path, base.base.name)
            try:
                TrainRun(stages, config, base, folders, journal, progress, tracker).run(data)
            finally:
                tracker.close()

        return judged_rewards(config), work

    return _run("train", config, data, path, device, progress, make_work)


def evaluate(config: TrainConfig, path: Path, run: Path | None, device: str | None, progress: Progress) -> RunFolder:
    """Run the comparisons in the folder `path`, to their end.

    Args:
        run: a training run whose policies are compared, too.

    Raises:
        UserError: something in the configuration, the data or the folders is wrong; nothing was overwritten.
    """
    data, trained = _check_eval(config, run)
    RunFolder.check(path)
    files = _edit_files(config, data.validation, progress)
    rounds = config.evaluation.policy_rounds

    def make_work(base: Model) -> tuple[dict[str, str], Work]:
        from selfedit.experiments.evaluate import EvalRun

        policies = _policies(run, trained, base) if run is not None and trained is not None else {}
        policies = {number: path for number, path in policies.items() if rounds is None or number in rounds}
        edits_from = config.evaluation.edits_from
        hashes = {f"edits_from.{name}": sha256(read_bytes(edits_from[name])) for name in files}
        hashes |= {f"policy {number}": update_sha256(path[-1]) for number, path in policies.items()}

        def work(journal: Journal, stages: Stages) -> None:
            EvalRun(stages, config, base, path, journal, progress, files, policies).run(data.validation)

        return hashes, work

    return _run("eval", config, data, path, device, progress, make_work)


def check(kind: str, config: TrainConfig, path: Path, run: Path | None, progress: Progress) -> Plan:
    """All that can be said against a run before its model is loaded, and what it would do.

    Args:
        kind: train, or eval, which may have a training `run`.

    Raises:
        UserError: as `train` and `evaluate` would.
    """
    data, trained = (_check_train(config), None) if kind == "train" else _check_eval(config, run)
    RunFolder.check(path)
    warnings = [shared] if (shared := overlap(data)) else []
    if kind == "eval":
        _edit_files(config, data.validation, progress)
    from selfedit.experiments.plan import Planner
    from selfedit.models.load import outline

    base = outline(config.model, progress=progress)
    stages = _composed(config, data, base, progress)
    rounds = config.evaluation.policy_rounds or ()
    if trained is None and kind == "eval" and "policy" in config.evaluation.conditions and rounds:
        warnings.append("without --run no policy is compared; its work is counted here")
    policies = rounds or tuple(node.round for node in (trained.policies.nodes if trained else ()))
    return Planner(config, data, base, stages, policies).plan(kind, warnings)


def _check_train(config: TrainConfig) -> RunData:
    """What can be wrong with a training run and needs no model to be seen; its data."""
    if config.engine.generator == "vllm":
        raise UserError("engine.generator: 'vllm' does not see the policy that a round trains. Leave it out.")
    data = read_data(config)
    check_start(config)
    check_published(config.published)
    check_tracker(config.engine.tracking)
    check_executor(config.engine.executor)
    check_rank(config)
    check_algorithm(config)
    judged_rewards(config)  # A judge says here what it lacks.
    return data


def _check_eval(config: TrainConfig, run: Path | None) -> tuple[RunData, RunRecords | None]:
    """The same of a comparison; its data, and the training run whose policies are compared."""
    if run is not None and config.engine.generator == "vllm":
        raise UserError("engine.generator: 'vllm' does not see the policies of --run. Leave one of them out.")
    if run is not None and "policy" not in config.evaluation.conditions:
        raise UserError("--run gives policies, and evaluation.conditions has no 'policy'. Leave one of them out.")
    data = read_data(config, training=False)
    check_regimes(config)
    check_start(config)
    check_published(config.published)
    check_executor(config.engine.executor)
    trained = RunRecords(run) if run is not None else None
    if trained is None:
        return data, None
    rounds = {node.round for node in trained.policies.nodes}
    if not rounds:
        raise UserError(f"--run {run} has no policy: no round ended with one. Leave --run out, or train on.")
    if gone := set(config.evaluation.policy_rounds or ()) - rounds:
        raise UserError(f"evaluation.policy_rounds names {min(gone)}, and --run {run} has no policy of that round.")
    return data, trained


def _policies(run: Path, trained: RunRecords, base: Model) -> dict[int, tuple[Adapter, ...]]:
    """The policies of a run by the number of their round, each with those that it lies on."""
    from selfedit.experiments.runs.policy_folders import PolicyFolders

    if trained.facts.model.fingerprint != base.base.fingerprint:
        raise UserError(f"The run in {run} trained {trained.facts.model.name}, not {base.base.name}.")
    start = update_sha256(base.merged[0]) if base.merged else ""
    if trained.facts.hashes.get(START, "") != start:
        raise UserError(f"The run in {run} began from another policy.start; give --set policy.start the same here.")
    folders, tree = PolicyFolders(run, base.base.name), trained.policies
    return {node.round: tuple(map(folders.load, tree.path(node.id))) for node in tree.nodes}


Work = Callable[[Journal, "Stages"], None]
MakeWork = Callable[[Model], tuple[dict[str, str], Work]]
"""From the model that a run begins with to the hashes of what else it reads, and to what it does."""


def _run(
    kind: str,
    config: TrainConfig,
    data: RunData,
    path: Path,
    device: str | None,
    progress: Progress,
    make_work: MakeWork,
) -> RunFolder:
    """Begin a run or go on with it: load the model, compose the stages, do what is left, write the report."""
    RunFolder.check(path)
    grader = make_grader(config.evaluation.grader, config.wording).identity  # A judge says here what it lacks.
    resolve(config.model).check()
    # torch is only imported once all that needs no model was checked.
    from selfedit.models.load import load

    # What was chosen by measuring stays chosen, or what is left would be computed in another precision.
    begun = RunFolder.read(path).facts.precision if (path / "run.json").exists() else ""
    base = load(config.model, device=device, dtype=begun or None, progress=progress)
    stages = _composed(config, data, base, progress)
    model = Model(base.ref)
    started = {}
    if (policy := load_policy(config.policy.start, base)) is not None:
        model, started = model.merge(policy), {START: update_sha256(policy)}
    hashes, work = make_work(model)
    precision = str(base.dtype).removeprefix("torch.")
    folder = RunFolder.open(
        path, kind, config, data.hashes | hashes | started, base.ref, software_versions(), grader, precision
    )
    setup = Setup(base, config.composition, device, config.engine.workers, config.chunk, path.name, progress)

    def executed(journal: Journal) -> None:
        executor = make_executor(config.engine.executor, setup)
        try:
            work(journal, replace(stages, executor=executor))
        finally:
            if executor is not None:
                executor.close()

    return _finish(folder, executed, progress)


def _composed(config: TrainConfig, data: RunData, base: BaseModel, progress: Progress) -> Stages:
    """The stages of a run, whose adapters have layers and whose tasks fit the window."""
    from selfedit.compose import compose

    stages = compose(base, config.composition, progress.note)
    check_targets(config, base)
    check_window(data, config, base, stages)
    return stages


def _edit_files(config: TrainConfig, tasks: Sequence[Task], progress: Progress) -> dict[str, FilePolicy]:
    """The files that edits come from; says at once which of them leave passages out."""
    format_ = load_domain(config.domain).formats[config.policy.format]
    files = {}
    for name, file in config.evaluation.edits_from.items():
        if not exists(file):
            raise UserError(f"{file} (evaluation.edits_from.{name}) is not there.")
        files[name] = FilePolicy(file, format_)
        files[name].check(tasks)
        if without := sum(not files[name].covers(task) for task in tasks):
            progress.note(f"{file} has no edit about {without} of the {len(tasks)} passages.")
    return files


def _finish(folder: RunFolder, work: Callable[[Journal], None], progress: Progress) -> RunFolder:
    """Do what is left of a run, and write its report."""
    path = folder.path
    if folder.facts.status == "finished":
        progress.note(f"The run in {path} is finished already.")
        if not (path / "report.html").exists():
            write_report(path)
        return folder
    started = time.monotonic()
    finished = False
    try:
        with folder.records() as journal:
            work(journal)
        finished = True
    finally:
        folder.worked(time.monotonic() - started, finished)
    write_report(path)
    return folder


def write_report(path: Path) -> Page:
    """Write report.md, report.html, report.csv and the figures of a run beside its records."""
    records = RunRecords(path)
    page = report_page(records)
    with writing(path, "free some space"):
        _write_page(page, path)
        answered, _ = conditions(records)
        if answered:
            write_whole(path / "report.csv", comparison_table(answered, next(iter(answered))).to_csv().encode())
    return page


def _write_page(page: Page, folder: Path) -> None:
    """A page as report.md, report.html and its figures."""
    (folder / "figures").mkdir(exist_ok=True)
    for name, svg in page.figures.items():
        write_whole(folder / "figures" / f"{name}.svg", svg.encode())
    write_whole(folder / "report.md", to_markdown(page, "figures").encode())
    write_whole(folder / "report.html", to_html(page).encode())


def write_comparison(paths: Sequence[Path], out: Path | None) -> list[Table]:
    """The conditions of several runs, a table a measure, written to the new folder `out` as report.md and report.html.

    Raises:
        UserError: the runs were not asked the same questions, or `out` is there already.
    """
    page = side_by_side([RunRecords(path) for path in paths])
    if out is not None:
        if out.exists():
            raise UserError(f"{out} is there already. Name another folder, or remove it.")
        with writing(out, "free some space"):
            out.mkdir(parents=True)
            _write_page(page, out)
    return [block for block in page.sections[0].blocks if isinstance(block, Table)]
