"""Several processes in one store, some of them killed. They are forked from one that has torch loaded already."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from selfedit.files.peft_folder import save_adapter
from selfedit.store.store import Store
from tests.store.make import contents, make_adapter, make_version, same_adapter

LAYERS = {f"model.layers.{i}.mlp.up_proj": (64, 256) for i in range(20)}

# First three processes commit six versions each at the same time, into the store "shared", and print their ids.
# Then, 20 times, one commits into "killed" as often as it can until it is killed; what the store lists is printed.
FORKING = """
import os, random, signal, sys, time
from pathlib import Path
from selfedit.store.store import Store
from tests.store.make import make_adapter, make_version
from tests.files.test_processes import LAYERS
import peft
path, seed = Path(sys.argv[1]), int(sys.argv[2])
waiting, go = os.pipe()
for child in range(3):
    if os.fork() == 0:
        os.close(go)
        os.read(waiting, 1)
        try:
            store = Store.open(path / "shared", create=True)
            ids = [store.commit(make_version(), make_adapter(seed=10 * child + i)).id for i in range(6)]
            print(" ".join(ids), flush=True)
        finally:
            os._exit(0)
os.close(go)
for child in range(3):
    os.wait()
path = path / "killed"
store = Store.open(path, create=True)
adapter = make_adapter(LAYERS)
store.commit(make_version(), adapter)  # Loads what is loaded late.
moments = random.Random(seed)
for _ in range(20):
    child = os.fork()
    if child == 0:
        while True:
            store.commit(make_version(), adapter)
    time.sleep(moments.uniform(0.0, 0.12))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left = [entry.name for entry in (path / "staging").iterdir() if entry.is_dir()]
    again = Store.open(path)
    versions = again.versions()
    for version in versions[-2:]:
        again.adapter(version)
    print(len(versions), len(os.listdir(path / "versions")), len(left), flush=True)
"""

CREATE = """
import sys
from pathlib import Path
from selfedit.store.store import Store
sys.stdin.readline()
for i in range(200):
    store = Store.open(Path(sys.argv[1]) / str(i), create=True)
    store.ensure_writable()
print("done")
"""


@dataclass(frozen=True)
class Forked:
    folder: Path
    seed: int
    ids: set[str]
    counts: list[tuple[int, ...]]


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Forked:
    folder, seed = tmp_path_factory.mktemp("forked"), random.randrange(10**6)
    command = [sys.executable, "-W", "ignore", "-c", FORKING, str(folder), str(seed)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [len(line) for line in lines[:3]] == [6, 6, 6]
    return Forked(folder, seed, set().union(*lines[:3]), [tuple(map(int, line)) for line in lines[3:]])


def test_killed_at_any_moment(forked: Forked) -> None:
    counts = forked.counts
    assert len(counts) == 20, forked.seed
    # Everything under versions/ is whole, and some kills did come in the middle of a commit.
    assert all(listed == entries for listed, entries, _ in counts), forked.seed
    assert any(left for _, _, left in counts), forked.seed
    assert all(left <= 1 for _, _, left in counts), forked.seed  # The next commit clears what a dead process left.
    store = Store.open(forked.folder / "killed")
    versions = store.versions()
    assert [version.id for version in versions] == [f"v{n}" for n in range(1, counts[-1][0] + 1)]
    last, first = versions[-1], versions[0]
    assert last == replace(make_version(last.id), adapter_sha256=first.adapter_sha256, knowledge=last.knowledge)
    assert store.commit(make_version(), make_adapter()).id == f"v{len(versions) + 1}"
    assert [path.name for path in (store.path / "staging").iterdir()] == ["lock"]


def test_committing_at_once(forked: Forked) -> None:
    store = Store.open(forked.folder / "shared")
    assert forked.ids == set(store.ids()) == {f"v{n}" for n in range(1, 19)}
    adapters = [store.adapter(version) for version in store.versions()]
    for child in range(3):
        for i in range(6):
            assert sum(same_adapter(adapter, make_adapter(seed=10 * child + i)) for adapter in adapters) == 1


def test_same_bytes_in_every_process(forked: Forked, tmp_path: Path) -> None:
    # Sets, and maps in Rust, are in another order in each process.
    save_adapter(make_adapter(LAYERS), tmp_path, "tiny")
    committed = contents(Store.open(forked.folder / "killed").adapter_folder("v1"))
    assert {name: committed[name] for name in contents(tmp_path)} == contents(tmp_path)


def test_creating_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE, str(tmp_path)]
    makers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("\n")
        maker.stdin.flush()
    for maker in makers:
        assert maker.communicate() == ("done\n", "")
    for i in range(200):
        assert sorted(path.name for path in (tmp_path / str(i)).iterdir()) == [
            "adapters",
            "pending",
            "rejected",
            "staging",
            "store.json",
            "versions",
            "work",
        ]
