"""Runs the command as a user does, as a process of its own, or inside this one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from selfedit.cli import main
from tests.store.make import contents

# Imports the command, and forks for every run of it: starting Python and importing takes longer than most commands.
# Forked, it says last of all whether it got as far as importing torch, which the process that it comes from never does.
_FORKING = """
import json, os, signal, sys
before = dict(os.environ)
from selfedit.cli import main
import selfedit.learn.prepare, selfedit.policies.file  # Most commands do. Also, nobody may look where they lie.
imported = {name: value for name, value in os.environ.items() if name not in before}
while line := sys.stdin.readline():
    if (pid := os.fork()) == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()
given = json.loads(line)
signal.alarm(600)
os.chdir(given["folder"])
os.environ.clear()
os.environ.update(imported | given["environment"])
for number, path in enumerate((os.devnull, given["out"], given["err"])):
    os.dup2(os.open(path, os.O_RDWR), number)
sys.argv = ["selfedit", *given["arguments"]]
if "AS_NOBODY" in os.environ and os.getuid() == 0:
    # Root is not held back by permission bits.
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    main()
finally:
    sys.stdout.flush()
    print(f"torch: {'torch' in sys.modules}", file=sys.stderr)
"""


class Processes:
    """Makes processes that run the command."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder = process, folder

    def run(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Outcome:
        """Run the command in a process of its own, in a folder, with nothing but this environment."""
        out, err = self._folder / "out", self._folder / "err"
        for path in (out, err):
            path.write_bytes(b"")
        given = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(given | {"out": str(out), "err": str(err)}) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        said, _, torch = err.read_text(encoding="utf-8").rpartition("torch: ")
        return Outcome(code, out.read_text(encoding="utf-8"), said, torch.strip() == "True")


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """For the time of the block; the folder is for what they print."""
    command = [sys.executable, "-c", _FORKING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Processes(process, folder)
        assert process.stdin is not None
        process.stdin.close()


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
    """Runs selfedit in a folder, with a cache that is empty and without a network.

    Args:
        processes: may be left out where all is run inside.
    """

    def __init__(self, folder: Path, processes: Processes | None = None) -> None:
        self.folder, self._processes = folder, processes
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
        assert self._processes is not None
        return self._processes.run([*map(str, arguments)], self.folder, os.environ | self.environment)

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
