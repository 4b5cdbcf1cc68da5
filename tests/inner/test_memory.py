"""The memory plan holds, and running out of memory costs time, not recipes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from selfedit.errors import UserError
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.memory import plan_memory
from selfedit.multilora.model import resolve_targets
from tests.engine import VOCAB, load_tiny, train
from tests.inner.test_batched import distance, flat
from tests.recipes import recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


# A process of its own, so that what it reaches at most is what this work needs. It prints, for each n, the plan and
# what was added to the resident memory, with a pass's tokens growing as n does.
GROWTH = """
import json, sys, threading, time
import psutil, torch
from transformers import AutoConfig, AutoModelForCausalLM
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.memory import plan_memory
from selfedit.multilora.model import resolve_targets
from selfedit.types import Example, Hyperparameters, LoraSpec, Model, ModelRef, Recipe

BARE = Model(ModelRef("", ""))
torch.set_num_threads(1)
n, length = int(sys.argv[1]), 64
config = AutoConfig.for_model("llama", hidden_size=256, intermediate_size=512, num_hidden_layers=6,
    num_attention_heads=4, num_key_value_heads=2, vocab_size=2000, tie_word_embeddings=True)
model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
def recipes(count):
    hyperparameters = Hyperparameters(LoraSpec(rank=32), epochs=2)
    example = Example(tuple(range(3, 3 + length)), (1.0,) * length)
    return [Recipe(f"r{i}", (example,), hyperparameters, i) for i in range(count)]
layers = resolve_targets(model, "all-linear")
plan = plan_memory(model, recipes(n), layers, n, n * length)
process = psutil.Process()
list(BatchedInnerLoop(model, 1, length).adapt(recipes(1), BARE))  # Libraries take their workspaces.
start, peak, done = process.memory_info().rss, [0], threading.Event()
def watch():
    while not done.is_set():
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
for adapter in BatchedInnerLoop(model, n, n * length).adapt(recipes(n), BARE):
    del adapter
done.set()
watcher.join()
print(json.dumps({"slots": plan.slots, "planned": plan.total - plan.fixed, "measured": peak[0] - start}))
"""


@pytest.mark.slow
def test_memory_grows_with_n_as_planned() -> None:
    measured = {}
    for n in (8, 40):
        # Large blocks go back to the system when freed, so that what is resident is what is used.
        environment = {"PATH": "", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", GROWTH, str(n)], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        measured[n] = json.loads(done.stdout.splitlines()[-1])
    assert measured[40]["slots"] == 40
    growth, planned = (measured[40][what] - measured[8][what] for what in ("measured", "planned"))
    assert growth == pytest.approx(planned, rel=0.15)


def test_the_plan_shrinks_to_the_limit(model: Any) -> None:
    recipes = [recipe(i, VOCAB) for i in range(8)]
    layers = resolve_targets(model, "all-linear")
    free = plan_memory(model, recipes, layers, 8, 4096)
    assert (free.slots, free.token_budget) == (8, 4096)
    tight = plan_memory(model, recipes, layers, 8, 4096, limit=free.fixed + 4 * free.per_slot + 200 * free.per_token)
    assert tight.total <= free.fixed + 4 * free.per_slot + 200 * free.per_token
    assert 1 <= tight.slots <= 8
    assert tight.token_budget >= max(len(e.tokens) for r in recipes for e in r.examples)
    with pytest.raises(UserError, match="GiB"):
        plan_memory(model, recipes, layers, 8, 4096, limit=free.fixed + free.per_slot)


# The address space is limited for real; the plan is told that there is plenty.
OUT_OF_MEMORY = """
import resource, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.types import Example, Hyperparameters, LoraSpec, Model, ModelRef, Recipe

BARE = Model(ModelRef("", ""))
torch.set_num_threads(1)
config = AutoConfig.for_model("llama", hidden_size=128, intermediate_size=512, num_hidden_layers=4,
    num_attention_heads=4, num_key_value_heads=2, vocab_size=2000)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
example = Example(tuple(range(3, 503)), (1.0,) * 500)
recipes = [Recipe(f"r{i}", (example,) * 3, Hyperparameters(LoraSpec(rank=4), epochs=1), i) for i in range(24)]
lines = []
loop = lambda: BatchedInnerLoop(model, 24, 12_000, memory_limit=2**40, tell=lines.append)
free = {a.recipe_id: a for a in loop().adapt(recipes, BARE)} if sys.argv[1] == "free" else None
if free is None:
    next(BatchedInnerLoop(model, 1, 500).adapt(recipes[:1], BARE))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 450 * 2**20,) * 2)
    free = {a.recipe_id: a for a in loop().adapt(recipes, BARE)}
print(len(lines), len(free), repr(free["r7"].losses))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_running_out_of_memory_halves_the_budget_and_finishes_all() -> None:
    ends = {}
    for limit in ("free", "tight"):
        done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY, limit], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        told, finished, losses = done.stdout.splitlines()[-1].split(maxsplit=2)
        ends[limit] = int(told), int(finished), eval(losses)
    assert ends["free"][0] == 0
    assert ends["tight"][0] >= 1
    assert ends["tight"][1] == 24
    assert ends["tight"][2] == pytest.approx(ends["free"][2], abs=1e-4)


def test_steps_begun_anew_after_running_out_give_the_same_adapter(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from selfedit.inner import backward

    recipes = [recipe(i, VOCAB) for i in range(4)]
    expected = {a.recipe_id: flat(a) for a in train(BatchedInnerLoop(model, 4, 120), recipes)}
    real = backward.accumulate_gradients
    calls = []

    def fails_after_the_backward(*arguments: Any) -> list[float]:
        calls.append(arguments)
        losses = real(*arguments)
        if len(calls) in (2, 5):
            # The worst moment: all gradients were added, and the pass is lost all the same.
            raise torch.OutOfMemoryError("no memory left")
        return losses

    monkeypatch.setattr("selfedit.inner.halves.accumulate_gradients", fails_after_the_backward)
    lines: list[str] = []
    actual = {a.recipe_id: flat(a) for a in train(BatchedInnerLoop(model, 4, 120, tell=lines.append), recipes)}
    assert len(lines) == 2
    assert all(distance(actual[name], expected[name]) < 1e-3 for name in expected)
