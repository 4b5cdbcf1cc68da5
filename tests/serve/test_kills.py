"""A short one of benchmarks/serve_kills.py: killed while it learns and answers, each document is learnt once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_kills(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.serve_kills", "--documents", "3", "--kills", "1"]
    command += ["--most-seconds", "300", "--out", str(tmp_path / "out.json")]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(root),
        "SELFEDIT_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["kills"], result["known in the end"], result["learnt more than once"]) == (1, 3, 0)
    assert (result["jobs"], result["findings in log and store"]) == ({"learned": 3}, 0)
    assert result["answers"] > 0 and result["different answers to one question"] == 1
