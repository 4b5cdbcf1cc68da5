"""Training that is interrupted goes on to the same bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfedit.files.hashing import update_sha256
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.checkpoint import CheckpointFolder
from selfedit.types import Adapter, LoraSpec, Recipe, Update
from tests.engine import BARE, VOCAB, load_tiny, random_adapter
from tests.recipes import recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


def recipes() -> list[Recipe]:
    """More than there are slots, of other lengths and batch sizes, one with dropout and one on fewer layers."""
    made = [recipe(i, VOCAB, learning_rate=1e-2) for i in range(6)]
    spec = replace(made[2].hyperparameters.lora, dropout=0.2)
    made[2] = replace(made[2], hyperparameters=replace(made[2].hyperparameters, lora=spec))
    made[5] = recipe(5, VOCAB, targets=("q_proj", "v_proj"), learning_rate=1e-2)
    return made


class _Cut(Exception):
    pass


def run(
    model: Any, work: Sequence[Recipe], folder: Path, passes: int | None = None, **changes: Any
) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Train with a snapshot after each pass; cut off after so many of them."""
    left = [passes]

    def on_tokens(_: int) -> None:
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise _Cut

    base = changes.pop("onto", BARE)
    loop = BatchedInnerLoop(model, slots=2, token_budget=changes.pop("token_budget", 40))
    updates: Iterator[Update] = loop.adapt(work, base, on_tokens, CheckpointFolder(folder, every_s=0.0))
    ended = {}
    for update in updates:
        assert isinstance(update, Adapter)
        ended[update.recipe_id] = (update_sha256(update), update.losses)
    return ended


def test_interrupted_again_and_again_it_ends_in_the_same_bits(model: Any, tmp_path: Path) -> None:
    work = recipes()
    whole = run(model, work, tmp_path / "whole")
    rng = random.Random(0)
    cuts = 0
    while True:
        try:
            resumed = run(model, work, tmp_path / "cut", rng.randint(1, 6))
            break
        except _Cut:
            cuts += 1
    assert cuts > 5
    assert resumed == whole


def test_what_had_ended_is_not_trained_again(model: Any, tmp_path: Path) -> None:
    work = recipes()
    run(model, work, tmp_path)
    with_none_left = run(model, work, tmp_path, passes=0)  # A single pass would raise.
    assert len(with_none_left) == len(work)


def test_other_work_begins_anew(model: Any, tmp_path: Path) -> None:
    work = recipes()[:2]
    on_policy = BARE.merge(random_adapter(model, "policy", rank=4, seed=0))
    for change in ({"token_budget": 41}, {"onto": on_policy}):
        run(model, work, tmp_path)
        with pytest.raises(_Cut):
            run(model, work, tmp_path, passes=0, **change)
    run(model, work, tmp_path)
    longer = [work[0], replace(work[1], seed=work[1].seed + 1)]
    with pytest.raises(_Cut):
        run(model, longer, tmp_path, passes=0)


def test_a_damaged_snapshot_is_no_snapshot(model: Any, tmp_path: Path) -> None:
    work = recipes()[:2]
    whole = run(model, work, tmp_path)
    (tmp_path / "state.safetensors").write_bytes(b"nonsense")
    assert run(model, work, tmp_path) == whole


def test_training_that_takes_seconds_writes_nothing(model: Any, tmp_path: Path) -> None:
    list(BatchedInnerLoop(model).adapt(recipes(), BARE, None, CheckpointFolder(tmp_path / "none")))
    assert not (tmp_path / "none").exists()


# Trains in forks of a process that has torch and the model: what takes long is not what is to be killed. Each says its
# id and what it came to, and "ended" follows, however it ended.
FORKING = """
import os, sys
from pathlib import Path
from selfedit.inner.checkpoint import CheckpointFolder
from selfedit.files.hashing import update_sha256
from selfedit.inner.batched import BatchedInnerLoop
from tests.engine import BARE, load_tiny
from tests.inner.test_checkpoint import long_recipe
model = load_tiny(Path(sys.argv[1]) / "model")
while name := sys.stdin.readline().strip():
    if (pid := os.fork()) == 0:
        print(os.getpid(), flush=True)
        folder = CheckpointFolder(Path(sys.argv[1]) / name, every_s=0.0)
        (adapter,) = BatchedInnerLoop(model).adapt([long_recipe()], BARE, None, folder)
        print(update_sha256(adapter), len(adapter.losses), adapter.losses[-1], flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


def long_recipe() -> Recipe:
    made = recipe(1, VOCAB, learning_rate=1e-3, epochs=60)
    return replace(made, hyperparameters=replace(made.hyperparameters, lora=LoraSpec(rank=4, alpha=8)))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_it_ends_in_the_same_bits(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FORKING, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def start(name: str) -> int:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        start("whole")
        expected = process.stdout.readline()
        assert len(expected.split()) == 3 and process.stdout.readline() == "ended\n"
        killed = start("killed")
        while not (tmp_path / "killed" / "state.safetensors").exists():
            time.sleep(0.005)
        time.sleep(0.1)
        os.kill(killed, signal.SIGKILL)
        assert process.stdout.readline() == "ended\n"
        start("killed")
        assert process.stdout.readline() == expected
        process.stdin.close()
