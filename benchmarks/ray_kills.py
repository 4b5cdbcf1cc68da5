"""Is each job done once and none lost, when workers and the driver are killed again and again?

python -m benchmarks.ray_kills                       # on Ray; --executor processes for processes of this machine

200 jobs of a tiny random model, two a chunk, on a local Ray of four nodes. At random moments a worker is killed (its
process, or its whole node), and now and then the driver itself (SIGKILL), which is begun again with the same command.
Then the run's records are counted. The driver is forked from a process that has torch loaded, so that its kills come in
the middle of work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import machine
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.runs.workers import works
from selfedit.files.journal import read_records
from selfedit.runtime import software_versions
from tests.experiments.data import write_config, write_passages
from tests.tiny import make_tiny_model

RESULT = Path(__file__).parent / "results"
NODE = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
PASSAGES, EDITS, SEEDS = 10, 5, 4


def drive(folder: Path, executor: str, chunk: int) -> None:
    """What runs in a process of its own until it is killed: a round of `PASSAGES * EDITS * SEEDS` adapters."""
    from selfedit.experiments.config import load_config
    from selfedit.experiments.start import train
    from selfedit.progress import QuietProgress

    path = write_config(
        folder,
        data__contexts=PASSAGES,
        outer__rounds=1,
        outer__edits=EDITS,
        outer__training_seeds=SEEDS,
        engine__executor=executor,
        engine__chunk=chunk,
        evaluation__conditions=["base"],
        inner={"rank": 4, "alpha": 8, "epochs": 80, "learning_rate": 0.01},  # Long enough to be killed in.
    )
    train(load_config(path), folder / "run", "cpu", QuietProgress())


def trained(folder: Path) -> int:
    """Adapters of the round that are recorded."""
    journal = folder / "run" / "records" / "journal.jsonl"
    if not journal.exists():
        return 0
    records = read_records(journal.read_bytes())[0]
    return sum(len(value) for (kind, key), value in records.items() if kind == "trials" and key.startswith("r1."))


def _does_chunks(title: str) -> bool:
    """Whether a process of Ray is a worker of ours: it is called after its task, or its class where it waits."""
    return title.startswith("ray::") and not title.startswith(
        ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
    )


def worker_of(driver: int | None, executor: str) -> psutil.Process | None:
    """One worker's process, drawn by whoever asks."""
    found: list[psutil.Process] = []
    with suppress(psutil.Error):  # One that ends while it is looked at.
        if executor == "processes" and driver is not None:
            found = [each for each in psutil.Process(driver).children() if "spawn_main" in " ".join(each.cmdline())]
        elif executor == "ray":
            children = psutil.Process().children(recursive=True)
            found = [each for each in children if _does_chunks(" ".join(each.cmdline()))]
    return random.choice(found) if found else None


def campaign(folder: Path, executor: str, chunk: int, kills: int, driver_kills: int, seed: int) -> dict[str, Any]:
    """The counts."""
    random.seed(seed)
    make_tiny_model(folder / "model")
    write_passages(folder / "train.jsonl", PASSAGES)
    write_passages(folder / "validation.jsonl", 3, shift=3)
    replace_node: Callable[[], None] | None = None
    cluster: Any = None
    if executor == "ray":
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
        from ray.cluster_utils import Cluster  # It looks for tokens once, when it is imported.

        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "num_gpus": 0})
        nodes = [cluster.add_node(**NODE) for _ in range(3)]
        os.environ["RAY_ADDRESS"] = cluster.address

        def replace_node() -> None:
            nodes.append(cluster.add_node(**NODE))
            cluster.remove_node(nodes.pop(random.randrange(len(nodes) - 1)), allow_graceful=False)

    context: Any = multiprocessing.get_context("fork" if executor == "processes" else "spawn")

    def start() -> Any:
        process = context.Process(target=drive, args=(folder, executor, chunk))
        process.start()
        return process

    jobs, began = PASSAGES * EDITS * SEEDS, time.monotonic()
    driver = start()
    counts: Counter[str] = Counter()
    # Kills are spread over the work: each comes once so many adapters are recorded.
    plan = [(jobs * (n + 0.5) / (kills + 1), "worker") for n in range(kills)]
    plan = sorted(plan + [(jobs * (n + 0.6) / (driver_kills + 1), "driver") for n in range(driver_kills)])
    while driver.is_alive() or driver.exitcode != 0:
        if not driver.is_alive():
            if driver.exitcode != -signal.SIGKILL:
                raise SystemExit(f"the driver ended with {driver.exitcode}")
            driver = start()
        time.sleep(random.uniform(0.05, 0.5))
        if not plan or trained(folder) < plan[0][0]:
            continue
        _, kind = plan.pop(0)
        if kind == "driver":
            driver.kill()
            driver.join()
            counts["driver"] += 1
        elif replace_node is not None and random.random() < 0.5:
            replace_node()
            counts["node"] += 1
        elif (process := worker_of(driver.pid, executor)) is not None:
            with suppress(psutil.Error):
                process.kill()
                counts["worker process"] += 1
    seconds = time.monotonic() - began
    if cluster is not None:
        cluster.shutdown()
    records = RunRecords(folder / "run")
    done = Counter((trial.edit_id, trial.seed) for trial in records.trials("r1"))
    failures = [trial.failure for trial in records.trials("r1") if trial.failure is not None]
    given_up = sum("failed 3 times" in failure for failure in failures)
    return {
        "executor": executor,
        "jobs": jobs,
        "chunk": chunk,
        "kills": dict(counts),
        "results": len(done),
        "twice": sum(count > 1 for count in done.values()),
        "given_up": given_up,
        "unusable_edits": len(failures) - given_up,
        "begun_again": sum(work.attempts > 1 for work in works(records) if work.name.startswith("r1.")),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", choices=("ray", "processes"), default="ray")
    parser.add_argument("--chunk", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20, help="of workers")
    parser.add_argument("--driver-kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT / "ray_kills.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = campaign(Path(folder), args.executor, args.chunk, args.kills, args.driver_kills, args.seed)
    result = {"machine": machine(), "software": software_versions(), **result}
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
