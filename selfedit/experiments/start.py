"""Starts a run, or goes on with it, and writes its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.domains import load_domain
from selfedit.errors import UserError
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData, read_data
from selfedit.experiments.runs import listing as index
from selfedit.experiments.runs.folder import RunFolder
from selfedit.experiments.runs.page import conditions, report_page
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.runs.side_by_side import side_by_side
from selfedit.experiments.tracking import check_tracker, make_tracker
from selfedit.files.disk import exists, write_whole, writing
from selfedit.graders import GRADERS
from selfedit.models import resolve
from selfedit.policies.file import FilePolicy
from selfedit.progress import Progress
from selfedit.report import Page, Table, comparison_table, to_html, to_markdown
from selfedit.runtime import software_versions
from selfedit.store import Journal
from selfedit.text.reading import read_bytes, sha256
from selfedit.types import Adapter, ModelRef, Task

if TYPE_CHECKING:
    from selfedit.experiments.stages import OuterStages


def train(config: TrainConfig, path: Path, device: str | None, progress: Progress) -> RunFolder:
    """Run the outer loop in the folder `path`, to its end.

    Raises:
        UserError: something in the configuration, the data or the folder is wrong; nothing was overwritten.
    """
    if config.engine.generator == "vllm":
        raise UserError("engine.generator: 'vllm' does not see the policy that a round trains. Leave it out.")
    data = read_data(config)
    RunFolder.check(path)
    grader = GRADERS[config.evaluation.grader]().identity  # A judge says here what it lacks.
    resolve(config.model).check()
    check_tracker(config.engine.tracking)
    _check_rank(config)
    # torch is only imported once all that needs no model was checked.
    from selfedit.experiments.stages import build_stages
    from selfedit.experiments.train import TrainRun
    from selfedit.models.load import load

    base = load(config.model, device=device, progress=progress)
    stages = build_stages(config, base, progress)
    _check_targets(config, stages)
    _check_window(data, config, stages)
    reference = ModelRef(base.name, base.fingerprint)
    folder = RunFolder.open(path, "train", config, data.hashes, reference, software_versions(), grader)

    def work(journal: Journal) -> None:
        tracker = make_tracker(config.engine.tracking, path)
        try:
            TrainRun(stages, config, path, journal, progress, tracker).run(data)
        finally:
            tracker.close()

    return _finish(folder, work, progress)


def evaluate(config: TrainConfig, path: Path, run: Path | None, device: str | None, progress: Progress) -> RunFolder:
    """Run the comparisons in the folder `path`, to their end.

    Args:
        run: a training run whose policies are compared, too.

    Raises:
        UserError: something in the configuration, the data or the folders is wrong; nothing was overwritten.
    """
    if run is not None and config.engine.generator == "vllm":
        raise UserError("engine.generator: 'vllm' does not see the policies of --run. Leave one of them out.")
    if run is not None and "policy" not in config.evaluation.conditions:
        raise UserError("--run gives policies, and evaluation.conditions has no 'policy'. Leave one of them out.")
    data = read_data(config, training=False)
    _check_regimes(config)
    RunFolder.check(path)
    files = _edit_files(config, data.validation, progress)
    trained = RunRecords(run) if run is not None else None
    rounds = [record.number for record in trained.rounds() if record.policy_sha256] if trained is not None else []
    if run is not None and not rounds:
        raise UserError(f"--run {run} has no policy: no round ended with one. Leave --run out, or train on.")
    grader = GRADERS[config.evaluation.grader]().identity
    resolve(config.model).check()
    from selfedit.experiments.evaluate import EvalRun
    from selfedit.experiments.stages import build_stages
    from selfedit.experiments.trials import fingerprint
    from selfedit.files.peft_folder import load_adapter
    from selfedit.models.load import load

    base = load(config.model, device=device, progress=progress)
    policies: dict[int, Adapter] = {}
    if run is not None and trained is not None:
        if trained.facts.model.fingerprint != base.fingerprint:
            raise UserError(f"The run in {run} trained {trained.facts.model.name}, not {base.name}.")
        policies = {number: load_adapter(run / f"policy-r{number}") for number in rounds}
    hashes = data.hashes | {
        f"edits_from.{name}": sha256(read_bytes(config.evaluation.edits_from[name])) for name in files
    }
    hashes |= {f"policy {number}": fingerprint(policy) for number, policy in policies.items()}
    stages = build_stages(config, base, progress)
    _check_targets(config, stages)
    _check_window(data, config, stages)
    reference = ModelRef(base.name, base.fingerprint)
    folder = RunFolder.open(path, "eval", config, hashes, reference, software_versions(), grader)

    def work(journal: Journal) -> None:
        EvalRun(stages, config, path, journal, progress, files, policies).run(data.validation)

    return _finish(folder, work, progress)


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
    index.record(path.parent, folder.facts)
    started = time.monotonic()
    finished = False
    try:
        with folder.records() as journal:
            work(journal)
        finished = True
    finally:
        folder.worked(time.monotonic() - started, finished)
    index.record(path.parent, folder.facts)
    write_report(path)
    return folder


def _check_regimes(config: TrainConfig) -> None:
    """Enough validation passages for every regime."""
    evaluation, there = config.evaluation, config.data.validation_contexts
    if "sequential" in evaluation.regimes and evaluation.sequence * evaluation.sequences > there:
        raise UserError(
            f"evaluation.sequences: {evaluation.sequences} sequences of {evaluation.sequence} passages need more than "
            f"the {there} of data.validation_contexts."
        )
    if "many" in evaluation.regimes and max(evaluation.many) > there:
        raise UserError(f"evaluation.many names {max(evaluation.many)} passages; data.validation_contexts is {there}.")


def write_report(path: Path) -> Page:
    """Write report.md, report.html, report.csv and the figures of a run beside its records."""
    records = RunRecords(path)
    page = report_page(records)
    with writing(path, "free some space"):
        (path / "figures").mkdir(exist_ok=True)
        for name, svg in page.figures.items():
            write_whole(path / "figures" / f"{name}.svg", svg.encode())
        write_whole(path / "report.md", to_markdown(page, "figures").encode())
        write_whole(path / "report.html", to_html(page).encode())
        found, _ = conditions(records)
        if found:
            write_whole(path / "report.csv", comparison_table(found, next(iter(found))).to_csv().encode())
    return page


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
            write_whole(out / "report.md", to_markdown(page, "figures").encode())
            write_whole(out / "report.html", to_html(page).encode())
    return [block for block in page.sections[0].blocks if isinstance(block, Table)]


def _check_rank(config: TrainConfig) -> None:
    """A rank above the width of the model is a mistake: no update has more."""
    from selfedit.models.shape import guess_shape

    shape = guess_shape(config.model)
    if shape is None:
        return
    for name, training in (("inner", config.inner), ("outer.training", config.outer.training)):
        if training.rank * shape.widths > 2 * shape.parameters:
            raise UserError(
                f"{name}.rank is {training.rank}: adapters would be larger than {config.model} itself. Lower it."
            )


def _check_targets(config: TrainConfig, stages: OuterStages) -> None:
    """Every adapter that the run may train has layers to adapt."""
    from selfedit.multilora.model import resolve_targets

    wanted = {
        "inner": config.inner,
        "outer.training": config.outer.training,
        "evaluation.many_training": config.evaluation.many_training,
    }
    for name, training in wanted.items():
        try:
            resolve_targets(stages.base.model, training.hyperparameters().lora.target_modules)
        except UserError as error:
            raise UserError(f"{name}.{error}") from None


def _check_window(data: RunData, config: TrainConfig, stages: OuterStages) -> None:
    """Every task must fit the model's window: with the prompt and the edit about it, and with its longest question."""
    window = stages.base.context_window
    for task in (task for tasks in (*data.rounds, data.validation) for task in tasks):
        writing = stages.policy.prompt_tokens(task) + config.policy.max_edit_tokens
        if writing > window:
            raise UserError(
                f"Task {task.id} ('{task.title}') takes {writing} tokens with the prompt and policy.max_edit_tokens, "
                f"and the model's window is {window}. Lower policy.max_edit_tokens, or leave the task out."
            )
        questions = (len(stages.domain.question(task, probe, with_context=True)) for probe in task.probes)
        asking = max(questions, default=0) + config.evaluation.max_answer_tokens
        if asking > window:
            raise UserError(
                f"Task {task.id} ('{task.title}') takes {asking} tokens with its longest question and "
                f"evaluation.max_answer_tokens, and the model's window is {window}. Lower "
                "evaluation.max_answer_tokens, or leave the task out."
            )
