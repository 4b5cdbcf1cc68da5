"""The driver and its workers, with real work and real messages, as the search uses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import selfedit.executors
from selfedit.errors import UserError
from selfedit.executors import Setup, identity, make_executor
from selfedit.executors.wire import Spec, Training, pack_model, pack_order, pack_spec, unpack_model, unpack_order
from selfedit.executors.worker import open_worker
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.workers import workers_table, works
from selfedit.files.hashing import update_sha256
from selfedit.models import fingerprint
from selfedit.search.executor import TrialJob
from selfedit.types import FullWeights, Model, ModelRef, Probe, Task
from tests.executors.inline import InlineFleet, Mishap, by_trial
from tests.experiments.data import write_config
from tests.experiments.test_train import run
from tests.recipes import recipe
from tests.store.make import make_adapter

SMALL: dict[str, Any] = {
    "engine__chunk": 2,
    "engine__executor": "processes",
    "outer__rounds": 1,
    "evaluation__conditions": ["base"],
}


class Fleets:
    """Workers in this process, in place of processes."""

    def __init__(self) -> None:
        self.mishap: Mishap = lambda *_: ""
        self.made: list[InlineFleet] = []

    def __call__(self, setup: Setup, spec: Spec) -> InlineFleet:
        self.made.append(InlineFleet(pack_spec(spec), 3, self.mishap))
        return self.made[-1]


@pytest.fixture
def fleets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleets]:
    fleets = Fleets()
    monkeypatch.setitem(selfedit.executors._FLEETS, "processes", fleets)
    yield fleets


def test_it_ends_in_the_same_adapters_whatever_happens(folder: Path, local: list[Any], fleets: Fleets) -> None:
    happens = {"r1.0": "dies", "r1.1": "node dies", "r1.2": "raises: a bit", "r2.0": "twice", "r2.1": "slow"}
    fleets.mishap = lambda worker, name, sent: happens.get(name, "") if sent == 1 else ""
    records = run(folder, "pool", engine__chunk=2, engine__executor="processes")
    assert by_trial(records) == local
    (fleet,) = fleets.made
    assert len(fleet.models) == 3, "the base and two policies"
    work = works(records)
    assert len(work) == len({each.name for each in work})
    assert sum(each.adapters for each in work) == len(local[0])
    assert {each.name: each.attempts for each in work}["r1.0"] == 2
    table = workers_table(records)
    assert table is not None and sum(int(row[3]) for row in table.rows) == len(local[0])


def test_a_poison_chunk_is_recorded_as_failed_and_the_run_goes_on(folder: Path, fleets: Fleets) -> None:
    fleets.mishap = lambda worker, name, sent: "dies" if name == "r1.1" else ""
    records = run(folder, "poison", **SMALL)
    failed = [trial for trial in records.trials("r1") if trial.failure]
    assert len(failed) == 2 and "r1.1 failed 3 times" in str(failed[0].failure)
    (fleet,) = fleets.made
    assert len({worker for worker, name in fleet.sent if name == "r1.1"}) == 3
    assert records.facts.status == "finished"


def test_what_a_user_can_mend_stops_the_run_which_then_goes_on(folder: Path, fleets: Fleets) -> None:
    fleets.mishap = lambda worker, name, sent: "raises: no judge" if name == "asking 0" else ""
    with pytest.raises(UserError, match="no judge"):
        run(folder, "mended", **SMALL)
    fleets.mishap = lambda *_: ""
    records = run(folder, "mended", **SMALL)
    assert records.facts.status == "finished"
    assert len({(trial.edit_id, trial.seed) for trial in records.trials("r1")}) == len(records.trials("r1")) == 8


def test_faults_are_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFEDIT_HOME", str(tmp_path / "home"))
    config, model = load_config(write_config(tmp_path)), tmp_path / "model"
    spec = Spec(str(model), fingerprint(model), "float32", "cpu", 1000, identity.software(), config.composition)
    assert open_worker(pack_spec(spec))[1] is not None
    other = {**identity.software(), "torch": "1.0"}
    assert "it has torch 2" in open_worker(pack_spec(replace(spec, software=other)))[0].fault
    assert "GB of memory free" in open_worker(pack_spec(replace(spec, base_bytes=10**15)))[0].fault
    assert open_worker(pack_spec(replace(spec, fingerprint="f" * 64)))[0].lacks_base
    assert open_worker(pack_spec(replace(spec, model="nowhere")))[0].lacks_base
    wrong = pack_spec(replace(spec, model="nowhere", fingerprint="f" * 64))
    sent = [("config.json", lambda: [b"{}"]), ("model.safetensors", lambda: [b"x"])]
    assert "not ffffffffffff" in open_worker(wrong, sent)[0].fault
    assert "not sent" in open_worker(wrong, [("../evil", lambda: [b"x"])])[0].fault


def test_a_base_that_a_machine_lacks_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFEDIT_HOME", str(tmp_path / "home"))
    config, model = load_config(write_config(tmp_path)), tmp_path / "model"
    spec = Spec("elsewhere", fingerprint(model), "float32", "cpu", 1000, identity.software(), config.composition)
    files = [(path.name, lambda path=path: [path.read_bytes()]) for path in model.iterdir() if path.is_file()]
    hello, worker = open_worker(pack_spec(spec), files)
    assert not hello.fault and worker is not None
    assert open_worker(pack_spec(spec))[1] is not None, "once a machine"


def test_a_model_and_an_order_survive_the_way() -> None:
    adapters = [make_adapter(seed=seed) for seed in range(3)]
    full = FullWeights("full", {"w": make_adapter().factors[next(iter(make_adapter().factors))].a_RI}, (1.0,))
    model = Model(ModelRef("base", "f" * 64), (adapters[0], full, adapters[1]), adapters[2])
    back = unpack_model(pack_model(model))
    assert [update_sha256(update) for update in back.updates] == [update_sha256(update) for update in model.updates]
    assert back.base == model.base and len(back.merged) == 3
    assert back.adapter is not None and back.adapter.lora == adapters[2].lora
    assert identity.model_sha256(back) == identity.model_sha256(model)
    task = Task("t", "title", "context", (Probe("p", "q?", ("a",)),))
    order = Training((TrialJob(task, "e", recipe(0, 400)),))
    assert unpack_order(pack_order(order)) == order
    start = Training((replace(order.jobs[0], recipe=replace(order.jobs[0].recipe, start=adapters[0])),))
    with pytest.raises(ValueError, match="begins from an adapter"):
        pack_order(start)


def test_the_local_executor_is_the_search_s_own() -> None:
    assert make_executor("local", None) is None  # type: ignore[arg-type]
