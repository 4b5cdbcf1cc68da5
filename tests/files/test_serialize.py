from __future__ import annotations

import json
import math
import random
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfedit.files.serialize import decode, encode
from selfedit.store.version_files import HEAD, LEARNT, ROLLOUTS, decode_version, encode_version, newly_learnt
from selfedit.types import Evaluation, GateFigure, Hyperparameters, Knowledge, LoraSpec, Rollout, Version
from tests.store.make import make_evaluation, make_rollout, make_version


def parts(version: Version) -> tuple[bytes, bytes, bytes]:
    files = encode_version(version)
    return files[HEAD], files[ROLLOUTS], files[LEARNT]


def knowing(version: Version) -> Version:
    """The version with its passage in an adapter, and another passage that was learnt before."""
    (item,) = newly_learnt(version)
    old = replace(item, task=replace(item.task, id="old"), adapter="b" * 64, version="v0", seed=3)
    return replace(version, knowledge=Knowledge("routed", (old, replace(item, adapter="c" * 64))))


def test_version_survives() -> None:
    version = make_version("v1")
    assert decode_version(*parts(version)) == version
    assert decode_version(*parts(knowing(version))) == knowing(version)
    gates = (GateFigure("general", True, "3 of 120 fewer right"), GateFigure("keep", False, ""))
    later = replace(version, rollouts=(), parent="v0", action="forget", scale=0.25, rejected="worse", gates=gates)
    assert decode_version(*parts(later)) == later


def test_a_version_of_an_earlier_release_knows_what_was_new_in_it() -> None:
    version = replace(make_version("v1"), adapter_sha256="c" * 64)
    head, rollouts, _ = parts(version)
    (item,) = decode_version(head, rollouts, None).knowledge.learnt
    assert (item.task, item.document, item.adapter, item.version) == (
        version.tasks[0],
        version.documents[0],
        "c" * 64,
        "v1",
    )
    assert [edit.seed for edit in item.edits] == [3]  # What was kept, without the records of its sampling.
    assert all(edit.token_ids == edit.logprobs == () for edit in item.edits)


def test_version_json_has_no_rollouts_and_each_rollout_is_one_line() -> None:
    head, lines, learnt = parts(knowing(make_version("v1")))
    assert "rollouts" not in json.loads(head)
    assert json.loads(head)["knowledge"] == {"memory": "routed"}
    assert [json.loads(line)["adapter"] for line in learnt.decode().split("\n")[:-1]] == ["b" * 64, "c" * 64]
    assert [json.loads(line)["edit"]["seed"] for line in lines.decode().split("\n")[:-1]] == [3, 4, 5]


def test_every_float_survives() -> None:
    bits = random.Random(0)
    floats = [struct.unpack("d", struct.pack("Q", bits.getrandbits(64)))[0] for _ in range(5000)]
    losses = (-0.0, 5e-324, 1.7976931348623157e308, *filter(math.isfinite, floats))
    rollout = replace(make_rollout(0), rewards=losses)
    back = decode(Rollout, encode(rollout)).rewards
    assert [struct.pack("d", x) for x in back] == [struct.pack("d", x) for x in losses]
    assert decode(dict[str, Any], encode({"x": losses}))["x"] == list(losses)


def test_plain_and_generic_types() -> None:
    assert decode(tuple[Evaluation, ...], encode([make_evaluation(1, 1)])) == (make_evaluation(1, 1),)
    for targets in ("all-linear", ("q_proj", "v_proj")):
        settings = Hyperparameters(LoraSpec(target_modules=targets), schedule="cosine")
        assert decode(Hyperparameters, encode(settings)) == settings


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_refuses_what_is_not_finite(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(replace(make_rollout(0), rewards=(number,)))


@pytest.mark.parametrize("value", [Path("x"), {1}, b"x", object()])
def test_refuses_what_is_not_json(value: object) -> None:
    with pytest.raises(TypeError, match="no form in JSON"):
        encode({"settings": value})


def test_name_that_is_not_utf8_does_not_stop_it() -> None:
    assert decode(dict[str, str], encode({"path": "caf\udce9.txt"})) == {"path": "caf?.txt"}


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (lambda head: head[:-20], "line"),
        (lambda head: b"\xff" + head, "codec"),
        (lambda head: b"[]", "not an object"),
        (lambda head: head.replace(b'"seconds": 12.75', b'"seconds": "long"'), "seconds"),
        (lambda head: head.replace(b'"seconds": 12.75', b'"seconds": NaN'), "JSON"),
        (lambda head: head.replace(b'"model"', b'"nobody"'), "probe_source"),
        (lambda head: head.replace(b'"correct": true', b'"correct": 1'), "before.0.answers.0.verdict.correct"),
    ],
)
def test_damage_is_a_value_error_of_one_line(damage: Any, where: str) -> None:
    head, lines, learnt = parts(make_version("v1"))
    with pytest.raises(ValueError, match=where) as caught:
        decode_version(damage(head), lines, learnt)
    assert "\n" not in str(caught.value)


def test_damaged_rollout_is_named_by_its_line() -> None:
    head, lines, learnt = parts(knowing(make_version("v1")))
    with pytest.raises(ValueError, match=r"rollouts\.jsonl, line 2: "):
        decode_version(head, lines.replace(b'"seed": 4', b'"seed": null'), learnt)
    with pytest.raises(ValueError, match=r"learnt\.jsonl, line 2: "):
        decode_version(head, lines, learnt.replace(b"c" * 64, b"\xff"))
