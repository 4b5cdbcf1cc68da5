"""Workers that are processes, one of which is killed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from selfedit.experiments.runs.workers import works
from tests.executors.inline import by_trial
from tests.experiments.test_train import run


def kill_one(records: Path, killed: list[int]) -> None:
    """Kill a worker once a chunk is recorded."""
    while not (records.exists() and b'"work"' in records.read_bytes()):
        time.sleep(0.05)
    workers = [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]
    workers[0].kill()
    killed.append(workers[0].pid)


@pytest.mark.slow  # Each process imports torch.
def test_a_process_is_killed_and_the_run_is_the_local_one(folder: Path, local: list[Any]) -> None:
    killed: list[int] = []
    path = folder / "runs" / "processes"
    killer = threading.Thread(target=kill_one, args=(path / "records" / "journal.jsonl", killed), daemon=True)
    killer.start()
    records = run(folder, "processes", engine__chunk=2, engine__executor="processes", engine__workers=2)
    killer.join()
    assert killed
    assert by_trial(records) == local
    assert works(records)  # On a busy machine one worker may have done it all before the other one was there.
    assert not [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]
