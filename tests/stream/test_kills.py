"""A short one of benchmarks/watch_kills.py: killed in between, each document is learnt once and none is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_kills(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.watch_kills", "--documents", "9", "--kills", "2"]
    command += ["--between", "1", "--most-seconds", "100", "--out", str(tmp_path / "out.json")]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(root),
        "SELFEDIT_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["kills"], result["known in the end"]) == (2, 9)
    assert (result["learnt more than once"], result["set aside"], result["findings in log and store"]) == (0, 0, 0)
    assert result["seconds between updates, the least"] >= 1
