"""Versions and adapters for tests, and a look at what a folder holds, byte by byte."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from selfedit.types import (
    Adapter,
    Answer,
    DocumentRef,
    Evaluation,
    LoraFactors,
    LoraSpec,
    ModelRef,
    Probe,
    ProbeSource,
    Rollout,
    SelfEdit,
    Task,
    Trial,
    Verdict,
    Version,
)


def make_evaluation(right: int, wrong: int) -> Evaluation:
    answers = [
        Answer(f"p{i}", f"answer {i}\n", Verdict(i < right, "contains 'x'"), -0.1 - i / 3) for i in range(right + wrong)
    ]
    return Evaluation("task", "contains", tuple(answers))


def make_rollout(seed: int, *, kept: bool = False) -> Rollout:
    edit = SelfEdit(
        f"e{seed}",
        "task",
        "implications",
        "List \u2028 several",
        "Ünïcode\r\n\x85 'text'",
        seed,
        (1, 2, 3),
        (-0.5, -math.pi, 0.0),
    )
    losses = (3.0, 1e-300, 0.1 + 0.2)
    trial = Trial(edit.id, "task", seed, "c" * 64, losses, make_evaluation(2, 1))
    return Rollout(edit, (trial,), (2 / 3,), 1 / 3, kept)


def make_failure(seed: int) -> Rollout:
    edit = make_rollout(seed).edit
    return Rollout(edit, (Trial(edit.id, "task", seed, failure="diverged"),), base_reward=1 / 3)


def make_version(id: str = "", *, probe_source: ProbeSource = "model", base: str = "tiny") -> Version:
    return Version(
        id=id,
        created="2026-01-02T03:04:05Z",
        base=ModelRef(base, "f" * 64),
        documents=(DocumentRef("/home/me/note|s.md", "Notes on *boats*", "a" * 64),),
        tasks=(Task("task", "Notes", "Boats float.", (Probe("p0", "Do boats float?", ("yes", "Yes, they do")),)),),
        probe_source=probe_source,
        probes_dropped=2,
        settings={"seed": 7, "learning_rate": 1e-3, "nested": {"list": [1, 2.5, None, True, "x"]}},
        software={"torch": "2.9.1"},
        rollouts=(make_rollout(3, kept=True), make_rollout(4), make_failure(5)),
        before=(make_evaluation(1, 2),),
        after=(make_evaluation(2, 1),),
        losses=(2.5, 0.3),
        seconds=12.75,
    )


def make_adapter(
    shapes: dict[str, tuple[int, int]] | None = None, *, seed: int = 0, lora: LoraSpec | None = None
) -> Adapter:
    """Random factors of layers of these input and output widths."""
    import torch

    lora = lora or LoraSpec(rank=4, alpha=8.0)
    generator = torch.Generator().manual_seed(seed)
    factors = {
        name: LoraFactors(
            torch.randn(lora.rank, inputs, generator=generator), torch.randn(outputs, lora.rank, generator=generator)
        )
        for name, (inputs, outputs) in (shapes or {"model.layers.0.mlp.up_proj": (8, 16)}).items()
    }
    return Adapter("recipe", lora, factors, (2.5, 0.1 + 0.2))


def layer_shapes(model: Any, names: Collection[str]) -> dict[str, tuple[int, int]]:
    """Input and output width of each named layer; transformers' Conv1D stores its weight transposed."""
    import torch

    shapes = {}
    for name in names:
        module = model.get_submodule(name)
        first, second = module.weight.shape
        shapes[name] = (second, first) if isinstance(module, torch.nn.Linear) else (first, second)
    return shapes


def same_adapter(left: Adapter, right: Adapter) -> bool:
    import torch

    return (
        (left.recipe_id, left.lora, left.losses) == (right.recipe_id, right.lora, right.losses)
        and left.factors.keys() == right.factors.keys()
        and all(
            torch.equal(pair.a_RI, right.factors[name].a_RI) and torch.equal(pair.b_OR, right.factors[name].b_OR)
            for name, pair in left.factors.items()
        )
    )


def contents(folder: Path) -> dict[str, str]:
    """The hash of each file under `folder`, by relative path; empty lock files do not count."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (path.name.endswith("lock") and path.stat().st_size == 0)
    }
