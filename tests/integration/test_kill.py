"""Killed with SIGKILL at random moments, every command leaves a store that opens and goes on to the same versions."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from selfedit.store import Store
from selfedit.types import Version
from tests.lineage import SETTINGS, Library, adapters
from tests.tiny import make_tiny_model

KILLS, KILLS_ON_TOP = 20, 30

# The first run imports all there is to import; those after it are forks, so that the moments lie in the work and not
# in the loading of torch. OMP has one thread, since threads do not survive a fork. Gates that a random model passes
# are nothing that the command line has options for.
DRIVER = """
import json, os, sys
import selfedit.cli
from selfedit import session

given, learn_config = json.loads(sys.argv[1]), session.learn_config
session.learn_config = lambda **settings: learn_config(**(given | settings))

def run(line):
    sys.argv = ["selfedit", *line.split()]
    selfedit.cli.main()

try:
    run(sys.stdin.readline())
except SystemExit as end:
    print("ended", end.code or 0, flush=True)
else:
    print("ended", 0, flush=True)
while line := sys.stdin.readline():
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        code = 0
        try:
            run(line)
        except SystemExit as end:
            code = end.code or 0
        os._exit(code)  # Without the second that torch takes to go, in which nothing is written.
    print(pid, flush=True)
    print("ended", os.wait()[1], flush=True)
"""


class Driver:
    """Runs commands, and kills them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def receive(self) -> str:
        assert self._process.stdout is not None
        while not (line := self._process.stdout.readline()).startswith("ended"):
            assert line, "the driver died"
        return line

    def run(self, line: str) -> float:
        """Run a command to its end, which is a good one; the seconds that it took."""
        assert self._process.stdout is not None
        began = time.monotonic()
        self.send(line)
        int(self._process.stdout.readline())
        assert self.receive() == "ended 0\n"
        return time.monotonic() - began

    def kill(self, line: str, after: float) -> bool:
        """Start a command and kill it; False where it was faster."""
        assert self._process.stdout is not None
        self.send(line)
        pid = int(self._process.stdout.readline())
        time.sleep(after)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return self.receive() == f"ended {int(signal.SIGKILL)}\n"


@contextmanager
def driver(settings: dict[str, Any], first: str) -> Iterator[Driver]:
    """A driver whose first command was run, in the process that is forked from then on."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DRIVER, json.dumps(settings)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        driving = Driver(process)
        driving.send(first)
        assert driving.receive() == "ended 0\n"
        yield driving
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def material(tmp_path: Path) -> str:
    make_tiny_model(tmp_path / "model")
    document = tmp_path / "bridge.md"
    document.write_text("# The bridge\n\nThe bridge is 31 metres long.\n\nThe bridge was built in 1889 by Gustave.\n")
    questions = [{"question": "How long is the bridge?", "answer": "31 metres"}]
    questions += [{"question": "Who built the bridge?", "answer": "Gustave"}]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    options = "--passage-tokens 40 --edits 2 --format implications --max-edit-tokens 16 --epochs 4 --quiet"
    return f"learn {document} --questions {tmp_path}/questions.jsonl --model {tmp_path}/model {options}"


@pytest.mark.slow
def test_kill_at_random_moments(tmp_path: Path, material: str) -> None:
    settings = {"memory": "joint", "gates": ["better"], "held_out": False}
    with driver(settings, f"{material} --store {tmp_path}/whole") as driving:
        (expected,) = Store.open(tmp_path / "whole").versions()
        seconds = driving.run(f"{material} --store {tmp_path}/timed")
        rng = random.Random(0)
        killed = stores = 0
        store = tmp_path / "killed0"
        while killed < KILLS:
            # A run taken up again is shorter than a whole one.
            was_killed = driving.kill(f"{material} --store {store}", rng.uniform(0, 0.7 * seconds))
            if (store / "store.json").exists():
                for version in Store.open(store).versions():
                    Store.open(store).check_adapter(version)
            killed += was_killed
            if not was_killed:
                # It went on to its end. What follows is killed in a store of its own.
                check(store, expected)
                stores += 1
                store = tmp_path / f"killed{stores}"
        driving.run(f"{material} --store {store}")
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


COMMANDS = {
    "learn": ("routed", "learn {folder}/port.md --questions {folder}/port.jsonl"),
    "use": ("routed", "use v1"),
    "forget": ("joint", "forget lamp.md"),  # Which trains anew; a routed one only leaves out.
    "consolidate": ("routed", "consolidate"),
}
"""The memory of a store of two versions, and what is done on top of the second."""


def whole(store: Path) -> Version:
    """The active version of a store in which every version is whole."""
    opened = Store.open(store)
    for version in (*opened.versions(), *opened.versions("r")):
        opened.check_adapter(version)
    return opened.get()


def told(version: Version) -> tuple[Any, ...]:
    """All that does not hang on when it was made, and how often it was begun."""
    return version.parent, version.action, version.knowledge.memory, adapters(version)


@pytest.mark.slow
def test_kill_on_top_of_versions(tmp_path: Path) -> None:
    library = Library(tmp_path, make_tiny_model(tmp_path / "model"))
    for memory in ("routed", "joint"):
        session = library.session(memory)
        for name in ("lamp", "bird"):
            library.learnt(session, name, memory=memory)
    library.document("port")
    library.questions("port")
    rng = random.Random(0)
    with driver(SETTINGS, f"ask Who? --store {tmp_path}/routed --quiet") as driving:
        for number, (name, (memory, command)) in enumerate(COMMANDS.items(), 1):
            start, line = told(whole(tmp_path / memory)), command.format(folder=tmp_path)
            lines = {}
            for run in ("warm", "undisturbed", "killed"):
                shutil.copytree(tmp_path / memory, tmp_path / f"{name}-{run}")
                lines[run] = f"{line} --store {tmp_path}/{name}-{run} --quiet"
            driving.run(lines["warm"])
            seconds = driving.run(lines["undisturbed"])
            expected = told(whole(tmp_path / f"{name}-undisturbed"))
            assert expected != start
            store = tmp_path / f"{name}-killed"
            killed = 0
            while killed < number * KILLS_ON_TOP // len(COMMANDS) - (number - 1) * KILLS_ON_TOP // len(COMMANDS):
                was_killed = driving.kill(lines["killed"], rng.uniform(0, seconds))
                killed += was_killed
                found = told(whole(store))
                assert found in (start, expected)
                if not was_killed or found == expected:
                    # It is done. What follows is killed in the store as it was.
                    assert found == expected
                    shutil.rmtree(store)
                    shutil.copytree(tmp_path / memory, store)
            if told(whole(store)) != expected:
                driving.run(lines["killed"])
            assert told(whole(store)) == expected
            driving.run(f"ask Who? --store {store} --quiet")
