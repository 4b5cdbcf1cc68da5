"""How far does the driver reach? Workers by the hundred, simulated with the real scheduler and measured times.

python -m benchmarks.scale_simulation            # 1 to 1,024 workers, with failures: minutes
python -m benchmarks.scale_simulation --real     # and 1 to 64 stand-ins that sleep, with real messages

Measured here, on this machine: what the driver spends on a chunk (packing and hashing the order, reading the answer,
the journal's record on the disk). Taken from a result file: how long a token of training takes with so many adapters at
once, and asking (`benchmarks/results/inner_loop-cpu.json`, the default model on two cores, edits of a 7B model). Small
chunks are balanced better and trained more slowly; efficiency is held against the fastest chunk. A GPU's time is not
measured: a worker that is `--faster` times as fast stands for one, to see where the driver ends. Failures: each worker
dies at random, once in `--hours-between-deaths`, and is back after `RESTART_S`.

The stand-ins are threads behind real packed messages, the real `PoolExecutor` and a journal on the disk; in place of
training they sleep for what the simulation says, scaled down so that a run takes seconds. So what they show is the
driver, not training.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import os
import queue
import random
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.machine import machine
from selfedit.executors.fleet import Answered, Event, Fleet, Ready
from selfedit.executors.pool import PoolExecutor
from selfedit.executors.scheduler import Scheduler
from selfedit.executors.wire import Answer as Reply
from selfedit.executors.wire import Training, pack_order, unpack_message, unpack_results
from selfedit.files.journal import Journal
from selfedit.files.serialize import encode
from selfedit.progress import QuietProgress
from selfedit.runtime import software_versions
from selfedit.search.executor import Chunk, TrialJob
from selfedit.types import (
    Answer,
    Evaluation,
    Example,
    Hyperparameters,
    Model,
    ModelRef,
    Probe,
    Recipe,
    Task,
    Trial,
    Verdict,
)

RESULTS = Path(__file__).parent / "results"
WORKERS = tuple(2**n for n in range(11))
REAL = (1, 2, 4, 8, 16, 32, 64)
RESTART_S = 60.0
EPOCHS = 10
MODEL = Model(ModelRef("stand-in", "0" * 64))


@dataclass(frozen=True)
class Workload:
    """Adapters in chunks; the paper's round is 50 passages, 5 edits each, 3 seeds each."""

    name: str
    adapters: int
    chunk: int


PAPER = tuple(Workload("a round of the paper", 750, chunk) for chunk in (1, 4, 12, 48))
MILLION = Workload("1,000,000 edits", 1_000_000, 48)


def tokens_of(count: int, seed: int) -> list[int]:
    """Tokens of adapters' training, an epoch: about 427 on average, log-normal as lengths of passages' edits are."""
    draw = random.Random(seed)
    return sorted((max(40, int(draw.lognormvariate(5.95, 0.45))) for _ in range(count)), reverse=True)


def chunk_costs(work: Workload, seed: int = 0) -> dict[str, float]:
    """Tokens of each chunk."""
    tokens = tokens_of(work.adapters, seed)
    starts = range(0, len(tokens), work.chunk)
    return {f"c{n}": float(EPOCHS * sum(tokens[at : at + work.chunk])) for n, at in enumerate(starts)}


def token_seconds(measured: dict[str, Any], chunk: int) -> float:
    """Of training and asking, for a token of training, with chunks of that size."""
    rates = {int(row["n"]): row["tokens_per_second"] for row in measured["sweep"]}
    best = max(rate for n, rate in rates.items() if n <= chunk or n == 1)
    return float(1 / best + measured["evaluate_seconds_per_edit"] / measured["tokens_per_edit"])


@dataclass(frozen=True)
class Simulated:
    """What came of one simulated run.

    Attributes:
        efficiency: of the workers, which would not wait in the ideal; `whole` also counts what small chunks cost.
        driver_busy: the share of the time that the driver works.
        again: chunks that were lost with their worker.
    """

    work: str
    chunk: int
    workers: int
    seconds: float
    efficiency: float
    whole: float
    driver_busy: float
    again: int


def simulate(
    work: Workload,
    workers: int,
    token_s: float,
    driver_s: float,
    deaths_s: float,
    fastest_s: float = 0.0,
    seed: int = 0,
    jitter: float = 0.05,
) -> Simulated:
    """One run, event by event: the scheduler is the real one, the driver serves one event after another."""
    draw = random.Random(seed)
    costs = chunk_costs(work)
    scheduler = Scheduler(costs)
    speed = {n: draw.gauss(1.0, jitter) for n in range(workers)}
    events: list[tuple[float, int, str, int, str]] = []
    count = 0
    free_at = busy = again = 0.0
    holding: dict[int, tuple[str, float]] = {}
    idle: list[int] = list(range(workers))
    down: set[int] = set()

    def push(at: float, kind: str, worker: int, key: str = "") -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (at, count, kind, worker, key))

    def hand_out(now: float) -> None:
        while idle:
            key = scheduler.next(str(idle[-1]), now)
            if key is None:
                return
            worker = idle.pop()
            seconds = costs[key] * token_s / max(0.5, speed[worker]) * draw.lognormvariate(0, jitter)
            holding[worker] = (key, now)
            push(now + seconds, "ended", worker, key)

    if deaths_s:
        for worker in range(workers):
            push(draw.expovariate(1 / deaths_s), "died", worker)
    hand_out(0.0)
    now = ended = 0.0
    tick = fmean(costs.values()) * token_s / 4
    push(tick, "tick", -1)
    while scheduler.left:
        now, _, kind, worker, key = heapq.heappop(events)
        if kind == "ended":
            if worker in down or holding.get(worker, ("", 0.0))[0] != key:
                continue  # It died meanwhile.
            # The driver does one thing at a time: answers wait in a line.
            begun = max(now, free_at)
            free_at = begun + driver_s
            busy += driver_s
            del holding[worker]
            scheduler.done(key, str(worker), free_at)
            idle.append(worker)
            ended = now = free_at
        elif kind == "died":
            down.add(worker)
            if worker in holding:
                scheduler.failed(holding.pop(worker)[0], str(worker), blamed=False)
                again += 1
            if worker in idle:
                idle.remove(worker)
            push(now + RESTART_S, "back", worker)
        elif kind == "back":
            down.discard(worker)
            idle.append(worker)
            push(now + draw.expovariate(1 / deaths_s), "died", worker)
        else:
            push(now + tick, "tick", -1)
        hand_out(now)
    ideal = sum(costs.values()) * token_s / sum(speed.values())
    whole = ideal / ended * (fastest_s / token_s if fastest_s else 1.0)
    return Simulated(work.name, work.chunk, workers, ended, ideal / ended, whole, busy / ended, int(again))


def job(number: int, tokens: int) -> TrialJob:
    """A job as large as a real one: sequences of about 45 tokens, five questions."""
    probes = tuple(Probe(f"p{n}", f"When was number {n} of {number} built, and by whom?", ("1889",)) for n in range(5))
    task = Task(f"t{number}", "A title", "A passage of some hundred and fifty tokens. " * 18, probes)
    lengths = [45] * (tokens // 45) + [max(2, tokens % 45)]
    examples = tuple(Example(tuple(range(100, 100 + n)), (0.0,) + (1.0,) * (n - 1)) for n in lengths)
    return TrialJob(task, f"e{number}", Recipe(f"e{number}.s0", examples, Hyperparameters(epochs=EPOCHS), number))


def trials_of(jobs: Sequence[TrialJob]) -> tuple[Trial, ...]:
    """Answers as long as real ones, for jobs that nobody trained."""
    verdict = Verdict(False, "not the same words")
    made = []
    for each in jobs:
        answers = tuple(
            Answer(p.id, "An answer of a dozen words or so, wrong.", verdict, -2.5) for p in each.task.probes
        )
        losses = tuple(2.0 / (1 + n) for n in range(EPOCHS * len(each.recipe.examples)))
        after = Evaluation(each.task.id, "match", answers)
        made.append(Trial(each.edit_id, each.task.id, each.recipe.seed, "0" * 64, losses, after))
    return tuple(made)


class StandIns(Fleet):
    """Threads that take real messages, sleep, and answer with real ones. What they sleep is given by the chunk's name.

    Args:
        answers: packed ahead, so that what a worker's machine would do does not take the driver's time.
    """

    def __init__(self, workers: int, sleeps: dict[str, float], answers: dict[str, str]) -> None:
        self._sleeps, self._answers = sleeps, answers
        self._out: queue.Queue[Event] = queue.Queue()
        self._in: dict[str, queue.Queue[tuple[str, bytes] | None]] = {}
        for number in range(workers):
            name = f"stand-in-{number}"
            self._in[name] = queue.Queue()
            self._out.put(Ready(name, "here"))
            threading.Thread(target=self._work, args=(name,), daemon=True).start()
        self._greeted = 0

    def _work(self, worker: str) -> None:
        while (given := self._in[worker].get()) is not None:
            name, order = given
            time.sleep(self._sleeps[name])
            key, _ = unpack_message(order)
            self._out.put(Answered(worker, encode(Reply(key, self._answers[name], seconds=self._sleeps[name]))))

    def poll(self, timeout: float) -> Sequence[Event]:
        events: list[Event] = []
        try:
            events.append(self._out.get(timeout=timeout))
            while True:
                events.append(self._out.get_nowait())
        except queue.Empty:
            pass
        self._greeted += sum(isinstance(event, Ready) for event in events)
        return events

    def send(self, worker: str, name: str, order: bytes, model_key: str, model: bytes) -> None:
        self._in[worker].put((name, order))

    @property
    def starting(self) -> int:
        return len(self._in) - self._greeted

    def close(self) -> None:
        for inbox in self._in.values():
            inbox.put(None)


def real(workers: int, chunks: Sequence[Chunk], sleeps: dict[str, float], answers: dict[str, str]) -> float:
    """Seconds of a run of the real driver, with a journal on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        fleet = StandIns(workers, sleeps, answers)
        executor = PoolExecutor(fleet, QuietProgress(), "stand-ins", 1)
        with Journal.open(Path(folder) / "run" / "records") as journal:
            began = time.monotonic()
            for number, done in enumerate(executor.trials(chunks, MODEL, "", 0, lambda _: None)):
                journal.put("trials", f"r1.{number}", done.trials)
                assert done.work is not None
                journal.put("work", done.work.key, done.work)
            seconds = time.monotonic() - began
        executor.close()
    return seconds


def make_chunks(work: Workload) -> list[Chunk]:
    """The workload's chunks."""
    tokens = tokens_of(work.adapters, 0)
    jobs = [job(number, count) for number, count in enumerate(tokens)]
    starts = range(0, len(jobs), work.chunk)
    return [Chunk(f"c{n}", tuple(jobs[at : at + work.chunk])) for n, at in enumerate(starts)]


def driver_seconds(chunk: int) -> dict[str, float]:
    """What the driver spends on a chunk, by measuring: time of a core, and the wait for the disk.

    Not the time on the clock: other work had the machine, too, and would count. What an adapter's record takes in the
    driver's memory for as long as the run lasts stands beside it.
    """
    tokens = tokens_of(20 * chunk, 1)
    chunks = [Chunk(f"c{n}", tuple(job(n * chunk + i, tokens[n * chunk + i]) for i in range(chunk))) for n in range(20)]
    packed = [encode(trials_of(each.jobs)).decode() for each in chunks]
    kept = []
    with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder) / "run" / "records") as journal:
        tracemalloc.start()
        for number, data in enumerate(packed):
            kept.append(unpack_results(Training, data))
            journal.put("trials", f"r1.{number}", kept[-1])
        memory = tracemalloc.get_traced_memory()[0] / (20 * chunk)
        tracemalloc.stop()
        cpu = time.process_time()
        for number, (each, data) in enumerate(zip(chunks, packed, strict=True)):
            hashlib.sha256(pack_order(Training(each.jobs)))
            journal.put("trials", f"r2.{number}", unpack_results(Training, data))
        cpu = (time.process_time() - cpu) / 20
        disk = min(_write_seconds(Path(folder) / "probe", packed[0].encode()) for _ in range(20))
    order = pack_order(Training(chunks[0].jobs))
    sizes = {"order_bytes": float(len(order)), "answer_bytes": float(len(packed[0])), "memory_an_adapter": memory}
    return {"seconds": cpu + disk, "cpu": cpu, "disk": disk, **sizes}


def _write_seconds(path: Path, data: bytes) -> float:
    with path.open("ab", buffering=0) as file:
        began = time.monotonic()
        file.write(data)
        os.fsync(file.fileno())
        return time.monotonic() - began


def overlap(token_s: float, driver_s: float, seconds: float) -> list[dict[str, Any]]:
    """Sleeping stand-ins beside the simulation of the same: the same chunks, times and number of workers."""
    rows = []
    for workers in REAL:
        # Twelve chunks a worker, so that there is an end to be seen, and the same time whatever the number.
        work = Workload("stand-ins", 12 * workers * 2, 2)
        costs = chunk_costs(work)
        scale = seconds * workers / (sum(costs.values()) * token_s)
        chunks = make_chunks(work)
        sleeps = {key: cost * token_s * scale for key, cost in costs.items()}
        answers = {each.name: encode(trials_of(each.jobs)).decode() for each in chunks}
        took = real(workers, chunks, sleeps, answers)
        told = simulate(work, workers, token_s * scale, driver_s, 0.0, jitter=0.0)
        ideal = sum(sleeps.values()) / workers
        rows.append(
            {
                "workers": workers,
                "chunks": len(chunks),
                "real_efficiency": ideal / took,
                "simulated_efficiency": told.efficiency,
                "ratio": took / told.seconds,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="sleeping stand-ins, too")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run of stand-ins")
    parser.add_argument("--faster", type=float, nargs="+", default=[1.0, 100.0], help="workers, than the measured ones")
    parser.add_argument("--hours-between-deaths", type=float, default=24.0, help="of one worker")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale_simulation.json")
    args = parser.parse_args()
    measured = json.loads((RESULTS / "inner_loop-cpu.json").read_text())
    drivers = {chunk: driver_seconds(chunk) for chunk in sorted({2, MILLION.chunk, *(work.chunk for work in PAPER)})}
    print(json.dumps({"driver": drivers}), flush=True)
    rows = []
    for faster in args.faster:
        for work in (*PAPER, MILLION):
            for workers in WORKERS:
                driver_s = drivers[work.chunk]["seconds"]
                token_s, fastest_s = (token_seconds(measured, chunk) / faster for chunk in (work.chunk, 48))
                row = simulate(work, workers, token_s, driver_s, 3600 * args.hours_between_deaths, fastest_s)
                rows.append({"faster": faster, **asdict(row)})
                print(json.dumps(rows[-1]), flush=True)
    result = {
        "machine": machine(),
        "software": software_versions(),
        "token_seconds": {work.chunk: token_seconds(measured, work.chunk) for work in PAPER},
        "token_seconds_from": "inner_loop-cpu.json",
        "hours_between_deaths": args.hours_between_deaths,
        "driver": drivers,
        "simulated": rows,
        "stand_ins": overlap(token_seconds(measured, 2), drivers[2]["seconds"], args.seconds) if args.real else [],
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
