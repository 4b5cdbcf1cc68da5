"""Runs the command as a user does: as a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from selfedit.cli import main
from tests.store.make import contents

# Says, last of all, whether the command got as far as importing torch.
_WRAPPER = """
import os, sys
from selfedit.cli import main
if "AS_NOBODY" in os.environ:
    # Run by root, permission bits would not hold it back. What is imported later may lie where nobody may look.
    import selfedit.learn.prepare, selfedit.policies.file
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    main()
finally:
    sys.stdout.flush()
    print(f"torch: {'torch' in sys.modules}", file=sys.stderr)
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str
    imported_torch: bool

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout. Anything beside it is an error."""
        assert self.code == 0, self.err
        value: dict[str, Any] = json.loads(self.out)
        return value


def error_of(outcome: Outcome) -> str:
    """The one line of a command that was refused with --json: on stderr, and as an object on stdout."""
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
    line = outcome.err.removeprefix("error: ").strip()
    assert json.loads(outcome.out) == {"error": {"kind": "user", "message": line}}, outcome
    return line


class Cli:
    """Runs selfedit in a folder, with a cache that is empty and without a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "SELFEDIT_HOME": str(folder / "home"),
            "OMP_NUM_THREADS": "1",
            "PIP_INDEX_URL": "http://127.0.0.1:9",
            "PIP_RETRIES": "0",
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "140",
            "SELFEDIT_ACTOR": "tester",
        }

    def __call__(self, *arguments: str | Path) -> Outcome:
        """Run a command in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", _WRAPPER, *map(str, arguments)],
            cwd=self.folder,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        err, _, said = done.stderr.rpartition("torch: ")
        return Outcome(done.returncode, done.stdout, err, said.strip() == "True")

    def inside(self, *arguments: str | Path) -> Outcome:
        """Run a command in this process, which saves the seconds that importing torch takes."""
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["selfedit", *map(str, arguments)])
            for name, value in self.environment.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Outcome(code, out.getvalue(), err.getvalue(), True)

    def refused(self, *arguments: str | Path, store: Path, torch: bool = False) -> str:
        """Run a command on a store that must say in one line what is wrong and change no byte; return the line.

        Only with `torch` may the command get as far as importing it; then it is run in this process.
        """
        existed = store.exists()
        saved = contents(store)
        run = self.inside if torch else self
        outcome = run(*arguments, "--store", store, "--quiet")
        assert (outcome.code, outcome.out) == (2, ""), outcome
        assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
        assert "Traceback" not in outcome.err
        assert store.exists() == existed and contents(store) == saved
        assert torch or not outcome.imported_torch, "what is wrong could have been said before the model was loaded"
        return outcome.err.removeprefix("error: ").strip()
