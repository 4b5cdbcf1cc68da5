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
from selfedit.store.version_files import decode_version, encode_version
from selfedit.types import Evaluation, Hyperparameters, LoraSpec, Rollout
from tests.store.make import make_evaluation, make_rollout, make_version


def test_version_survives() -> None:
    version = make_version("v1")
    assert decode_version(*encode_version(version)) == version
    assert decode_version(*encode_version(replace(version, rollouts=(), parent="v0"))).parent == "v0"


def test_version_json_has_no_rollouts_and_each_rollout_is_one_line() -> None:
    head, lines = encode_version(make_version("v1"))
    assert "rollouts" not in json.loads(head)
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
    head, lines = encode_version(make_version("v1"))
    with pytest.raises(ValueError, match=where) as caught:
        decode_version(damage(head), lines)
    assert "\n" not in str(caught.value)


def test_damaged_rollout_is_named_by_its_line() -> None:
    head, lines = encode_version(make_version("v1"))
    with pytest.raises(ValueError, match=r"rollouts.jsonl, line 2: "):
        decode_version(head, lines.replace(b'"seed": 4', b'"seed": null'))
