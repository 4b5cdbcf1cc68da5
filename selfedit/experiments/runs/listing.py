"""Which runs there are: an SQLite index beside the run folders, which can be made anew from them at any time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from selfedit.files.disk import writing
from selfedit.errors import UserError, nearest
from selfedit.experiments.runs.folder import RunFacts, RunFolder

DEFAULT_RUNS = Path("runs")
_FILE = "index.sqlite"
_TABLE = """CREATE TABLE IF NOT EXISTS runs
    (id TEXT PRIMARY KEY, kind TEXT, created TEXT, status TEXT, model TEXT, seconds REAL)"""


@dataclass(frozen=True)
class RunEntry:
    """One line of the index."""

    id: str
    kind: str
    created: str
    status: str
    model: str
    seconds: float


def record(runs: Path, facts: RunFacts) -> None:
    """Enter a run, or what is new about it."""
    row = (facts.id, facts.kind, facts.created, facts.status, facts.model.name, facts.seconds)
    with _connection(runs) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", row)


def entries(runs: Path) -> list[RunEntry]:
    """All runs in a folder, oldest first; those that the index does not know, or that are gone, are set right."""
    if not runs.is_dir():
        return []
    folders = {path.parent.name: path.parent for path in runs.glob("*/run.json")}
    with _connection(runs) as connection:
        known = {row[0] for row in connection.execute("SELECT id FROM runs")}
        with connection:
            connection.executemany("DELETE FROM runs WHERE id = ?", [(name,) for name in known - folders.keys()])
        for name in folders.keys() - known:
            try:
                facts = RunFolder.read(folders[name]).facts
            except UserError:
                continue  # Somebody else's file, or a damaged one: no reason not to list the others.
            row = (name, facts.kind, facts.created, facts.status, facts.model.name, facts.seconds)
            with connection:
                connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", row)
        rows = connection.execute("SELECT id, kind, created, status, model, seconds FROM runs ORDER BY created, id")
        return [RunEntry(*row) for row in rows]


def find(runs: Path, run_id: str) -> Path:
    """The folder of a run. Raises UserError, with the nearest id, if there is none."""
    ids = [entry.id for entry in entries(runs)]
    if run_id in ids:
        return runs / run_id
    hint = nearest(run_id, ids) if ids else "Begin one with: selfedit train CONFIG.yaml"
    raise UserError(f"There is no run '{run_id}' in {runs}. {hint}")


@contextmanager
def _connection(runs: Path) -> Iterator[sqlite3.Connection]:
    with writing(runs, "use another --out"):
        runs.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(runs / _FILE, timeout=30)) as connection:
                connection.execute(_TABLE)
                yield connection
        except sqlite3.DatabaseError as error:
            raise UserError(f"{runs / _FILE} is damaged ({error}); delete it, it is made anew from the runs.") from None
