"""On a Ray cluster of several nodes on this machine, which are killed and added all the time."""

from __future__ import annotations

import importlib.util
import os
import random
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfedit.experiments.config import load_config
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.runs.workers import works
from selfedit.experiments.start import evaluate
from selfedit.progress import QuietProgress
from tests.executors.inline import by_trial
from tests.experiments.data import write_config
from tests.experiments.test_train import run
from tests.threads import torch_threads

# Ray is not imported before it is known that there are to be tokens: it looks once.
if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed: pip install 'selfedit[ray]'", allow_module_level=True)

KILLS = int(os.environ.get("SELFEDIT_KILLS", "8"))
"""`make test-cluster` asks for more, which takes two minutes longer."""
NODE: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


class Churn:
    """A cluster whose nodes come and go; the head, where the driver is, has no worker."""

    def __init__(self, seed: int) -> None:
        from ray.cluster_utils import Cluster

        head = {**NODE, "num_cpus": 0, "num_gpus": 0}
        # Nodes are added in a thread, where no signal can be handled: the fixture shuts them down.
        self.cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
        self.nodes = [self.cluster.add_node(**NODE) for _ in range(2)]
        self.draw = random.Random(seed)
        self.kills = 0
        self.over = threading.Event()

    def churn(self, records: Path, kills: int) -> None:
        """Kill a node and add one whenever another chunk is recorded, `kills` times at most."""
        seen = 0
        while not self.over.is_set() and self.kills < kills:
            recorded = records.read_bytes().count(b'"kind": "work"') if records.exists() else 0
            if recorded <= seen:
                time.sleep(0.05)
                continue
            seen = recorded
            self.nodes.append(self.cluster.add_node(wait=False, **NODE))
            self.cluster.remove_node(self.nodes.pop(self.draw.randrange(len(self.nodes) - 1)), allow_graceful=False)
            self.kills += 1


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As Ray's workers have: two add up in another order, so that the last digits differ."""
    with torch_threads(1):
        yield


@pytest.fixture
def churn() -> Iterator[Churn]:
    before = dict(os.environ)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        churn = Churn(seed=0)
        os.environ["RAY_ADDRESS"] = churn.cluster.address
        try:
            yield churn
        finally:
            import ray

            churn.over.set()
            ray.shutdown()
            churn.cluster.shutdown()
            for name in os.environ.keys() - before.keys():
                del os.environ[name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nodes_are_killed_and_added_and_the_run_is_the_local_one(
    tmp_path: Path, churn: Churn, one_thread: None
) -> None:
    training = {"rank": 4, "alpha": 8, "epochs": 20, "learning_rate": 0.01}  # Long enough to be killed in.
    settings: dict[str, Any] = {"engine__chunk": 1, "outer__edits": 2, "outer__training_seeds": 1, "inner": training}
    local = run(tmp_path, "local", **settings)
    path = tmp_path / "runs" / "ray"
    killer = threading.Thread(target=churn.churn, args=(path / "records" / "journal.jsonl", KILLS))
    killer.start()
    records = run(tmp_path, "ray", engine__executor="ray", **settings)
    churn.over.set()
    killer.join()
    assert churn.kills >= KILLS // 2
    assert by_trial(records) == by_trial(local)
    work = works(records)
    tried = [trial for key in ("v0", "v1", "v2", "r1", "r2") for trial in records.trials(key)]
    done = Counter((trial.edit_id, trial.seed) for trial in tried)
    assert set(done.values()) == {1}
    assert sum(each.adapters for each in work) >= len(done)
    config = load_config(write_config(tmp_path, engine__executor="ray", **settings))
    evaluate(config, tmp_path / "runs" / "eval-ray", path, "cpu", QuietProgress())
    config = load_config(write_config(tmp_path, **settings))
    evaluate(config, tmp_path / "runs" / "eval", path, "cpu", QuietProgress())
    keys = ("v0", "passage", "p1", "p2")
    both = [
        sorted((t.edit_id, t.seed, t.adapter_sha256) for key in keys for t in records.trials(key))
        for records in map(RunRecords, (tmp_path / "runs" / "eval", tmp_path / "runs" / "eval-ray"))
    ]
    assert both[0] == both[1] and both[0]
