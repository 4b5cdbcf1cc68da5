"""Which runs there are in a folder: those whose `run.json` says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from selfedit.errors import UserError, nearest
from selfedit.experiments.runs.folder import RunFolder

DEFAULT_RUNS = Path("runs")


@dataclass(frozen=True)
class RunEntry:
    """A run in a line. `id` is what its folder is called."""

    id: str
    kind: str
    created: str
    status: str
    model: str
    seconds: float


def entries(runs: Path) -> list[RunEntry]:
    """All runs in a folder, oldest first. Somebody else's files and damaged ones are passed over."""
    listed = []
    for path in runs.glob("*/run.json") if runs.is_dir() else ():
        try:
            facts = RunFolder.read(path.parent).facts
        except UserError:
            continue
        row = (facts.kind, facts.created, facts.status, facts.model.name, facts.seconds)
        listed.append(RunEntry(path.parent.name, *row))
    return sorted(listed, key=lambda entry: (entry.created, entry.id))


def find(runs: Path, run_id: str) -> Path:
    """The folder of a run. Raises UserError, with the nearest id, if there is none."""
    ids = [entry.id for entry in entries(runs)]
    if run_id in ids:
        return runs / run_id
    hint = nearest(run_id, ids) if ids else "Begin one with: selfedit train CONFIG.yaml"
    raise UserError(f"There is no run '{run_id}' in {runs}. {hint}")
