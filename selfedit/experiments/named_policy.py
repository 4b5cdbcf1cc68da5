"""A policy by the name that a user gives it: a run's id, a PEFT folder, or the one that comes with a base model."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.errors import UserError
from selfedit.experiments.runs.listing import find
from selfedit.experiments.runs.policy_folders import load_checked
from selfedit.experiments.runs.records import RunRecords
from selfedit.files.peft_folder import CONFIG_FILE, load_adapter
from selfedit.types import Adapter, LoraFactors

if TYPE_CHECKING:
    from selfedit.models.load import BaseModel
    from selfedit.progress import Progress

NONE, BUNDLED = "none", "bundled"
START = "policy.start"
"""The key of the hash of what a run began from."""

RUNS = Path("runs")


def starting_policy(base_name: str) -> Path | None:
    """The folder of the policy that comes with a base model; None where there is none."""
    folder = Path(str(files("selfedit"))) / "data" / "policies" / base_name
    return folder if "/" not in base_name and (folder / CONFIG_FILE).is_file() else None


def check_policy(name: str | None, runs: Path = RUNS) -> None:
    """Before a model is loaded: is there such a policy?

    Raises:
        UserError: there is none; the nearest run is named.
    """
    if name in (None, NONE, BUNDLED):
        return
    assert name is not None
    if not (Path(name) / CONFIG_FILE).is_file():
        _run(name, runs)


def load_policy(name: str | None, base: BaseModel, runs: Path = RUNS) -> Adapter | None:
    """The weights of a policy, as one adapter over the base; None where there is none.

    Args:
        name: a run's id, with the round behind a colon (`squad_cpu:r1`; by default the newest that took effect); a PEFT
            folder; "none"; or None for the one that comes with the base.

    Raises:
        UserError: there is no such policy, or it is of another base.
    """
    if name == NONE:
        return None
    if name in (None, BUNDLED):
        folder = starting_policy(base.ref.name)
        return _whole_precision(load_adapter(folder)) if folder is not None else None
    assert name is not None
    if (Path(name) / CONFIG_FILE).is_file():
        policy = _whole_precision(load_adapter(Path(name)))
    else:
        policy = _of_run(name, base, runs)
    _check_layers(name, policy, base)
    return policy


def load_policy_for(model: str, name: str | None, progress: Progress, runs: Path = RUNS) -> Adapter | None:
    """As `load_policy`, before the weights of the model are loaded: what does not fit it is said at once."""
    if name == NONE:
        return None
    from selfedit.models import fingerprint, resolve
    from selfedit.models.load import outline

    base = outline(model, progress=progress)
    is_run = name not in (None, BUNDLED) and not (Path(str(name)) / CONFIG_FILE).is_file()
    if is_run:  # The hash of a base is over its weights.
        base = replace(base, fingerprint=fingerprint(resolve(model).folder(progress)))
    return load_policy(name, base, runs)


def _run(name: str, runs: Path) -> tuple[Path, RunRecords, str]:
    """A run's folder and records, and the id of the policy in it that is meant."""
    run_id, _, round_ = name.partition(":")
    path = find(runs, run_id)
    records = RunRecords(path)
    tree = records.policies
    chosen = round_ or tree.newest
    known = [node.id for node in tree.nodes]
    if chosen not in known:
        has = f"it has {', '.join(known)}" if known else "it trained none"
        raise UserError(f"The run {run_id} has no policy '{chosen}': {has}.")
    return path, records, chosen


def _of_run(name: str, base: BaseModel, runs: Path) -> Adapter:
    """What a run trained, with what it began from: their ranks side by side."""
    from selfedit.files.hashing import update_sha256
    from selfedit.multilora.merge import side_by_side

    path, records, chosen = _run(name, runs)
    made_for = records.facts.model
    if made_for.fingerprint != base.ref.fingerprint:
        instead = f"use --model {made_for.name}"
        raise UserError(f"The policy {name} was made for {made_for.name}, not for {base.ref.name}; {instead}.")
    stack = [load_checked(path / f"policy-{node.id}", node.sha256) for node in records.policies.path(chosen)]
    if began := records.facts.hashes.get(START):
        start = load_policy(str(records.facts.config["policy"]["start"]), base, runs)
        if start is None or update_sha256(start) != began:
            raise UserError(f"What the run {name} began from has changed since; train it again.")
        stack.insert(0, start)
    return side_by_side(stack, name) if len(stack) > 1 else stack[0]


def _whole_precision(policy: Adapter) -> Adapter:
    """In float32, in which the engine keeps adapters; files may hold half of it."""
    factors = {name: LoraFactors(pair.a_RI.float(), pair.b_OR.float()) for name, pair in policy.factors.items()}
    return replace(policy, factors=factors)


def _check_layers(name: str, policy: Adapter, base: BaseModel) -> None:
    from selfedit.multilora.model import layer_shapes

    modules = dict(base.model.named_modules())
    unknown = [layer for layer in policy.factors if layer not in modules]
    if unknown:
        raise UserError(f"The policy {name} is not for {base.ref.name}, which has no layer {unknown[0]}.")
    for layer, shape in layer_shapes(base.model, list(policy.factors)).items():
        pair = policy.factors[layer]
        if (pair.a_RI.shape[1], pair.b_OR.shape[0]) != tuple(shape):
            raise UserError(f"The policy {name} is not for {base.ref.name}: its layer {layer} is of another size.")
