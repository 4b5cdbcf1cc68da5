"""`learn`, killed with SIGKILL at random moments, leaves a store that opens and goes on to the same version."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from selfedit.store import Store
from selfedit.types import Version
from tests.tiny import make_tiny_model

KILLS = 20

# The first run imports all there is to import; those after it are forks, so that the moments lie in the work and not
# in the loading of torch. OMP has one thread, since threads do not survive a fork.
DRIVER = """
import os, sys
import selfedit.cli

def run(line):
    sys.argv = ["selfedit", *line.split()]
    selfedit.cli.main()

try:
    run(sys.stdin.readline())
except SystemExit as end:
    print("ended", end.code or 0, flush=True)
while line := sys.stdin.readline():
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        run(line)
        os._exit(0)
    print(pid, flush=True)
    print("ended", os.wait()[1], flush=True)
"""


@pytest.fixture
def material(tmp_path: Path) -> list[str]:
    make_tiny_model(tmp_path / "model")
    document = tmp_path / "bridge.md"
    document.write_text("# The bridge\n\nThe bridge is 31 metres long.\n\nThe bridge was built in 1889 by Gustave.\n")
    questions = [{"question": "How long is the bridge?", "answer": "31 metres"}]
    questions += [{"question": "Who built the bridge?", "answer": "Gustave"}]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    options = "--passage-tokens 40 --edits 2 --format implications --max-edit-tokens 16 --epochs 4 --quiet"
    return [
        *("learn", str(document), "--questions", str(tmp_path / "questions.jsonl")),
        *("--model", str(tmp_path / "model"), *options.split()),
    ]


@pytest.mark.slow
def test_kill_at_random_moments(tmp_path: Path, material: list[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None

        def send(store: Path) -> None:
            assert driver.stdin is not None
            driver.stdin.write(" ".join([*material, "--store", str(store)]) + "\n")
            driver.stdin.flush()

        def receive() -> str:
            assert driver.stdout is not None
            while not (line := driver.stdout.readline()).startswith("ended"):
                assert line, "the driver died"
            return line

        def start(store: Path) -> int:
            assert driver.stdout is not None
            send(store)
            return int(driver.stdout.readline())

        send(tmp_path / "whole")
        assert receive() == "ended 0\n"
        (expected,) = Store.open(tmp_path / "whole").versions()
        began = time.monotonic()
        start(tmp_path / "timed")
        assert receive() == "ended 0\n"
        seconds = time.monotonic() - began

        rng = random.Random(0)
        killed = stores = 0
        store = tmp_path / "killed0"
        while killed < KILLS:
            pid = start(store)
            # A run taken up again is shorter than a whole one.
            time.sleep(rng.uniform(0, 0.7 * seconds))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            was_killed = receive() == f"ended {int(signal.SIGKILL)}\n"
            if (store / "store.json").exists():
                for version in Store.open(store).versions():
                    Store.open(store).check_adapter(version)
            killed += was_killed
            if not was_killed:
                # It went on to its end. What follows is killed in a store of its own.
                check(store, expected)
                stores += 1
                store = tmp_path / f"killed{stores}"
        start(store)
        assert receive() == "ended 0\n"
        driver.stdin.close()
    check(store, expected)


def check(store: Path, expected: Version) -> None:
    """A run that was killed and taken up again makes what an undisturbed one makes: the adapter, to the bit."""
    versions = Store.open(store).versions()
    assert versions
    assert {version.adapter_sha256 for version in versions} == {expected.adapter_sha256}
    assert [version.after for version in versions] == [expected.after] * len(versions)
    for version in versions:
        rollouts = [(r.edit.id, r.edit.text, r.kept) for r in version.rollouts]
        assert rollouts == [(r.edit.id, r.edit.text, r.kept) for r in expected.rollouts]
