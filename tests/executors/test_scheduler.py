"""Which worker gets which chunk."""

from __future__ import annotations

import random

from selfedit.executors.scheduler import Scheduler


def test_the_longest_come_first() -> None:
    scheduler = Scheduler({"a": 1.0, "b": 3.0, "c": 2.0})
    assert [scheduler.next(f"w{n}", 0.0) for n in range(4)] == ["b", "c", "a", None]


def test_what_failed_goes_to_another_worker_and_is_given_up_after_three() -> None:
    scheduler = Scheduler({"a": 1.0})
    for number, ended in enumerate((False, False, True)):
        assert scheduler.next(f"w{number}", 0.0, ("w0", "w1", "w2")) == "a"
        assert scheduler.failed("a", f"w{number}") is ended
        if not ended:
            assert scheduler.next(f"w{number}", 0.0, ("w0", "w1", "w2")) is None
    assert scheduler.left == 0


def test_the_only_worker_tries_again() -> None:
    scheduler = Scheduler({"a": 1.0})
    for ended in (False, False, True):
        assert scheduler.next("w", 0.0) == "a"
        assert scheduler.failed("a", "w") is ended


def test_where_it_failed_on_every_worker_any_of_them_tries_again() -> None:
    scheduler, both = Scheduler({"a": 1.0}), ("w0", "w1")
    for worker in both:
        assert scheduler.next(worker, 0.0, both) == "a"
        assert not scheduler.failed("a", worker)
    assert scheduler.next("w0", 0.0, both) == "a"
    assert scheduler.failed("a", "w0")


def test_a_machine_that_goes_is_not_held_against_a_chunk() -> None:
    scheduler = Scheduler({"a": 1.0})
    for number in range(10):
        assert scheduler.next(f"w{number}", 0.0, ("w0", "w1", "w2")) == "a"
        assert not scheduler.failed("a", f"w{number}", blamed=False)
    assert scheduler.left == 1


def test_a_straggler_is_done_twice_at_the_end_and_counted_once() -> None:
    scheduler = Scheduler({"a": 1.0, "b": 1.0})
    scheduler.next("slow", 0.0)
    scheduler.next("quick", 0.0)
    assert scheduler.done("b", "quick", 10.0)
    assert scheduler.next("quick", 14.0) is None
    assert scheduler.next("quick", 15.0) == "a"
    assert scheduler.next("third", 99.0) is None, "two at once are enough"
    assert scheduler.done("a", "quick", 25.0)
    assert not scheduler.done("a", "slow", 26.0)
    assert scheduler.left == 0


def test_a_copy_that_fails_leaves_the_other() -> None:
    scheduler = Scheduler({"a": 1.0, "b": 1.0})
    scheduler.next("slow", 0.0)
    scheduler.next("quick", 0.0)
    scheduler.done("b", "quick", 10.0)
    scheduler.next("quick", 20.0)
    assert not scheduler.failed("a", "quick")
    assert scheduler.waiting == 0 and scheduler.left == 1
    assert scheduler.done("a", "slow", 30.0)


def test_whatever_happens_each_chunk_ends_once() -> None:
    for seed in range(200):
        draw = random.Random(seed)
        scheduler = Scheduler({f"c{n}": draw.random() for n in range(20)})
        ended: list[str] = []
        busy: dict[str, str] = {}
        now = 0.0
        for _ in range(5000):
            now += draw.random()
            worker = f"w{draw.randrange(6)}"
            if worker not in busy:
                key = scheduler.next(worker, now)
                if key is not None:
                    busy[worker] = key
                continue
            key = busy.pop(worker)
            chance = draw.random()
            if chance < 0.6:
                ended += [key] if scheduler.done(key, worker, now) else []
            else:
                ended += [key] if scheduler.failed(key, worker, blamed=chance > 0.9) else []
            if not scheduler.left:
                break
        assert sorted(ended) == sorted({f"c{n}" for n in range(20)}), seed
