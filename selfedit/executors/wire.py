"""What workers are sent and what they answer, as bytes: JSON, and safetensors where there are weights. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from selfedit.files.serialize import decode, encode, plain_dict
from selfedit.search.executor import TrialJob
from selfedit.settings import Composition
from selfedit.types import (
    Adapter,
    Evaluation,
    Example,
    FullWeights,
    Hyperparameters,
    LoraFactors,
    LoraSpec,
    Model,
    ModelRef,
    Recipe,
    SelfEdit,
    Task,
    Trial,
    Update,
)

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@dataclass(frozen=True)
class Training:
    """Train one adapter a job, and ask it its task's probes. Answered by a trial a job."""

    jobs: tuple[TrialJob, ...]


@dataclass(frozen=True)
class Writing:
    """Write `count` self-edits a task. Answered by the edits."""

    tasks: tuple[Task, ...]
    count: int
    seed: int


@dataclass(frozen=True)
class Asking:
    """Ask the probes of a model as it is. Answered by an evaluation a task."""

    tasks: tuple[Task, ...]
    with_context: bool


Order = Training | Writing | Asking
"""What a worker may be told to do."""

Results = tuple[Trial, ...] | tuple[SelfEdit, ...] | tuple[Evaluation, ...]


@dataclass(frozen=True)
class Spec:
    """What a worker is made of: the same base and stages as the driver's.

    Attributes:
        model: the base's name, and `fingerprint` the hash of its weights.
        dtype: of the weights, and `device` where they should be; None is the GPU, where there is one.
        base_bytes: what the weights take in memory.
        software: versions of packages, and the hash of selfedit's code, which have to be the same.
    """

    model: str
    fingerprint: str
    dtype: str
    device: str | None
    base_bytes: int
    software: Mapping[str, str]
    composition: Composition


@dataclass(frozen=True)
class Answer:
    """What came of an order: its results, or why there are none; `user` where a user can mend that."""

    key: str
    results: str = ""
    failure: str = ""
    user: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class _SentRecipe:
    id: str
    examples: tuple[Example, ...]
    hyperparameters: Hyperparameters
    seed: int


@dataclass(frozen=True)
class _SentJob:
    task: Task
    edit_id: str
    recipe: _SentRecipe


_KINDS: dict[str, Any] = {"training": tuple[_SentJob, ...], "writing": Writing, "asking": Asking}
_RESULTS: dict[type[Order], Any] = {
    Training: tuple[Trial, ...],
    Writing: tuple[SelfEdit, ...],
    Asking: tuple[Evaluation, ...],
}


def pack_spec(spec: Spec) -> bytes:
    """What a worker is made of, as JSON."""
    made_of = plain_dict(spec.composition)
    wording = spec.composition.wording.model_dump(mode="json")
    return encode({**plain_dict(spec), "composition": {**made_of, "wording": wording}})


def unpack_spec(data: bytes) -> Spec:
    """The spec that was packed."""
    return decode(Spec, data)


def pack_message(key: str, order: bytes) -> bytes:
    """An order with its key."""
    return key.encode() + b"\n" + order


def unpack_message(data: bytes) -> tuple[str, bytes]:
    """The key, and the order."""
    key, _, order = data.partition(b"\n")
    return key.decode(), order


def pack_order(order: Order) -> bytes:
    """An order as one line of JSON after its kind.

    Raises:
        ValueError: a recipe begins where another adapter ended, which is not sent.
    """
    value: object = order
    if isinstance(order, Training):
        if any(job.recipe.start is not None for job in order.jobs):
            raise ValueError("a recipe that begins from an adapter is trained where that is")
        value = [_sent(job) for job in order.jobs]
    return type(order).__name__.lower().encode() + b"\n" + encode(value)


def unpack_order(data: bytes) -> Order:
    """The order that was packed."""
    kind, _, body = data.partition(b"\n")
    value: Any = decode(_KINDS[kind.decode()], body)
    if kind != b"training":
        order: Order = value
        return order
    return Training(
        tuple(TrialJob(each.task, each.edit_id, Recipe(**{**plain_dict(each.recipe), "start": None})) for each in value)
    )


def _sent(job: TrialJob) -> dict[str, object]:
    """A job without what is not sent: where its recipe begins."""
    recipe = plain_dict(job.recipe)
    del recipe["start"]
    return {**plain_dict(job), "recipe": recipe}


def unpack_results(order: type[Order], data: str) -> Results:
    """What a worker answered to an order of that kind."""
    results: Results = decode(_RESULTS[order], data.encode())
    return results


def pack_model(model: Model) -> bytes:
    """A model's updates as safetensors, with the rest in their metadata."""
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    heads: list[dict[str, object]] = []
    for number, update in enumerate(model.updates):
        if isinstance(update, FullWeights):
            heads.append({"kind": "full", "recipe_id": update.recipe_id, "losses": update.losses})
            parts = {f"{number}/{name}": weight for name, weight in update.weights.items()}
        else:
            heads.append({"kind": "adapter", "head": replace(update, factors={})})
            pairs = update.factors.items()
            parts = {f"{number}/{name}/a": factors.a_RI for name, factors in pairs}
            parts |= {f"{number}/{name}/b": factors.b_OR for name, factors in pairs}
        # A copy: safetensors refuses tensors that share their memory.
        tensors |= {name: tensor.detach().cpu().clone().contiguous() for name, tensor in parts.items()}
    facts = {"base": model.base, "merged": len(model.merged), "updates": heads}
    return save(tensors, metadata={"model": encode(facts).decode()})


def unpack_model(data: bytes) -> Model:
    """The model that was packed."""
    from safetensors.torch import load

    length = int.from_bytes(data[:8], "little")
    facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["model"])
    tensors = load(data)
    updates: list[Update] = []
    for number, head in enumerate(facts["updates"]):
        parts = {name.partition("/")[2]: t for name, t in tensors.items() if name.startswith(f"{number}/")}
        if head["kind"] == "full":
            updates.append(FullWeights(head["recipe_id"], parts, tuple(head["losses"])))
            continue
        own = head["head"]
        names = sorted(name.removesuffix("/a") for name in parts if name.endswith("/a"))
        factors = {name: LoraFactors(parts[f"{name}/a"], parts[f"{name}/b"]) for name in names}
        spec = decode(LoraSpec, encode(own["lora"]))
        updates.append(Adapter(own["recipe_id"], spec, factors, tuple(own["losses"]), own["fan_in_fan_out"]))
    merged = facts["merged"]
    adapters = [update for update in updates[merged:] if isinstance(update, Adapter)]
    return Model(ModelRef(**facts["base"]), tuple(updates[:merged]), adapters[0] if adapters else None)
