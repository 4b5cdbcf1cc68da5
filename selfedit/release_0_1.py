"""What release 0.1 stored, in today's form. Nothing else in the package knows of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from selfedit.files.journal import Journal
from selfedit.files.serialize import decode, encode
from selfedit.types import Demonstrations, Rollout, Task, Trial, Value

_LATER_TRAINING = {"warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0}
_LATER = {"keep_untested": False, "gates": ("better",), "held_out": False} | _LATER_TRAINING
_LATER_ASKING = {"spans": 3, "wordings": 2, "tries": 2}
_LATER |= _LATER_ASKING | {"clozes": True, "budget": None}
_LATER_POLICY = {"prompt": "auto", "worked_example": True, "accept": "usable", "start": "none", "clozes": False}
_LATER_POLICY |= _LATER_ASKING
"""Settings that came later, and what they were before they could be set."""

_MARGINS = {"general": 0.05, "retained": 0.1, "divergence": 0.1}

_VALUE: Any = Value

_RENAMED = {
    "least_reward": "min_reward",
    "most_tokens": "max_tokens",
    "most_steps": "max_steps",
    "most_examples": "max_examples",
}


def renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under today's names."""
    return {_RENAMED.get(k, k): renamed(v) if isinstance(v, Mapping) else v for k, v in settings.items()}


def upgraded_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration with the settings that came later, and today's names."""
    upgraded = {key: _with_later(value) if isinstance(value, Mapping) else value for key, value in renamed(raw).items()}
    return {"published": "", **upgraded}


def _with_later(group: Mapping[str, Any]) -> dict[str, Any]:
    group = {key: _with_later(value) if isinstance(value, Mapping) else value for key, value in group.items()}
    later: dict[str, Any] = {"gates": [], "margins": _MARGINS} if "algorithm" in group else {}
    later |= {"ties": "likelihood"} if "algorithm" in group else {}
    later |= {"memory": "merge", "replay": 1.0, "keep_repeats": False} if "sequences" in group else {}
    later |= _LATER_POLICY if "max_edit_tokens" in group else {}
    later |= _LATER_TRAINING if "learning_rate" in group else {}
    return {**later, **group}


def upgraded_rollout(raw: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """A rollout of a version: it was of one adapter, whose seed and hash it did not say."""
    if "trials" in raw or "failure" not in raw:
        return dict(raw)
    trial = {"edit_id": raw["edit"]["id"], "task_id": raw["edit"]["task_id"], "seed": seed}
    trial |= {name: raw[name] for name in ("after", "losses", "failure")}
    return {"edit": raw["edit"], "trials": [trial], "kept": raw["kept"]}


def upgraded_round(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A round of a run: its outcomes were called ranked, and each said its mean reward."""
    if "ranked" not in raw:
        return dict(raw)
    rollouts = [
        {name: entry[name] for name in ("edit", "rewards", "base_reward")} | {"kept": entry["chosen"]}
        for entry in raw["ranked"]
    ]
    return {name: value for name, value in raw.items() if name != "ranked"} | {"rollouts": rollouts}


def upgraded_task(task: Task) -> Task:
    """A few-shot task, whose demonstrations and inputs were JSON in texts; any other is as it was."""
    if not isinstance(task.context, str) or not task.context.startswith('{"kind":'):
        return task
    raw = json.loads(task.context)
    context = {"kind": raw["kind"], "pairs": [{"input": a, "output": b} for a, b in raw["demonstrations"]]}
    probes = tuple(replace(probe, input=decode(_VALUE, probe.question.encode())) for probe in task.probes)
    return replace(task, context=decode(Demonstrations, encode(context)), probes=probes)


def as_release_0_1(task: Task) -> dict[str, Any]:
    """A task as it was then, by which the hashes of data are made: work begun by it goes on."""
    context: object = task.context
    if isinstance(task.context, Demonstrations):
        pairs = [[pair.input, pair.output] for pair in task.context.pairs]
        context = _dense({"kind": task.context.kind, "demonstrations": pairs})
    probes = [
        {"id": p.id, "question": p.question if p.input is None else _dense(p.input), "answers": p.answers}
        for p in task.probes
    ]
    return {"id": task.id, "title": task.title, "context": context, "probes": probes}


def _dense(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def upgrade_learn_journal(journal: Journal, seed: int) -> None:
    """Unfinished work of `learn`: what it had recorded of adapters is recorded as trials."""
    for key in journal.keys("rollouts"):
        if journal.get("trials", key, tuple[Trial, ...]) is not None:
            continue
        rows = journal.get("rollouts", key, list[dict[str, Any]]) or []
        rollouts = decode(tuple[Rollout, ...], encode([upgraded_rollout(row, seed) for row in rows]))
        journal.put("trials", key, tuple(trial for rollout in rollouts for trial in rollout.trials))


def later_settings(settings: BaseModel) -> dict[str, Any]:
    """Which of the settings came later and are as they were before, in the form of pydantic's `exclude`.

    A hash of settings leaves them out, so that work begun by release 0.1 is found.
    """
    later: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            if inner := later_settings(value):
                later[name] = inner
        elif name in _LATER and value == _LATER[name]:
            later[name] = True
    return later
