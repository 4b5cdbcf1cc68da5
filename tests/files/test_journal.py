from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.files.journal import Journal
from selfedit.store.store import Store
from selfedit.types import Rollout
from tests.store.make import make_rollout

KEY = "0123456789abcdef"

HOLD = """
import sys
from pathlib import Path
from selfedit.store.store import Store
journal = Store.open(Path(sys.argv[1])).journal(sys.argv[2])
journal.put("step", "0", 1)
print("held", flush=True)
sys.stdin.read()
"""


def folder_of(store: Store) -> Path:
    return store.path / "work" / KEY


def test_remembers_between_openings(store: Store) -> None:
    with store.journal(KEY) as journal:
        assert journal.get("rollout", "a", Rollout) is None
        journal.put("rollout", "a", make_rollout(1))
        journal.put("rollout", "b", make_rollout(2))
        journal.put("rollout", "a", make_rollout(3))
        journal.put("plain", "a", {"x": [1, None]})
        assert journal.get("rollout", "a", Rollout) == make_rollout(3)
    with store.journal(KEY) as journal:
        assert journal.get("rollout", "a", Rollout) == make_rollout(3)
        assert journal.get("rollout", "b", Rollout) == make_rollout(2)
        assert journal.get("plain", "a", dict[str, Any]) == {"x": [1, None]}
        assert journal.get("plain", "a", Rollout) is None
    lines = (folder_of(store) / "journal.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a", "b", "a", "a"]


def test_last_record_cut_at_every_byte(store: Store) -> None:
    with store.journal(KEY) as journal:
        journal.put("step", "0", "first")
        start = (folder_of(store) / "journal.jsonl").stat().st_size
        journal.put("step", "1", "sécond")
    path = folder_of(store) / "journal.jsonl"
    whole = path.read_bytes()
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        with store.journal(KEY) as journal:
            assert path.read_bytes() == whole[:start]
            assert journal.get("step", "0", str) == "first"
            assert journal.get("step", "1", str) is None
            journal.put("step", "1", "sécond")
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "garbage", [b"\0" * 40, b"\0\xff\n", b'{"kind": "step"}\n', b"[1]\n3\n", b'{"kind": [], "key": 1']
)
def test_garbage_at_the_end_is_cut_off(store: Store, garbage: bytes) -> None:
    with store.journal(KEY) as journal:
        journal.put("step", "0", 1)
    path = folder_of(store) / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + garbage)
    store.journal(KEY).close()
    assert path.read_bytes() == whole


def test_garbled_line_in_the_middle_is_passed_over(store: Store) -> None:
    with store.journal(KEY) as journal:
        for step in range(3):
            journal.put("step", str(step), step)
    path = folder_of(store) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0\xfe" + lines[1][2:] + lines[2])
    with store.journal(KEY) as journal:
        assert [journal.get("step", str(step), int) for step in range(3)] == [0, None, 2]


def test_one_process_at_a_time(store: Store) -> None:
    command = [sys.executable, "-c", HOLD, str(store.path), KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        before = (folder_of(store) / "journal.jsonl").read_bytes()
        with pytest.raises(UserError) as caught:
            store.journal(KEY)
        assert str(caught.value) == (
            f"Another selfedit (pid {holder.pid}) is already doing this in {store.path}; "
            "wait for it or use another --store."
        )
        assert (folder_of(store) / "journal.jsonl").read_bytes() == before
        store.journal("f" * 16).close()  # Other work goes on.
        holder.kill()
    # The lock died with its holder, and what it had put is there.
    with store.journal(KEY) as journal:
        assert journal.get("step", "0", int) == 1
        with pytest.raises(UserError, match=f"pid {os.getpid()}"):
            store.journal(KEY)


def test_failed_write_leaves_the_journal_as_it_was(store: Store) -> None:
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with store.journal(KEY) as journal:
        journal.put("step", "0", 1)
        before = (folder_of(store) / "journal.jsonl").read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(UserError, match="disk ran full"):
                journal.put("step", "1", "x" * 5000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert (folder_of(store) / "journal.jsonl").read_bytes() == before
        assert journal.get("step", "1", str) is None
        journal.put("step", "2", 2)
    with store.journal(KEY) as journal:
        assert [journal.get("step", str(step), int) for step in range(3)] == [1, None, 2]


def test_refuses_what_is_not_json(store: Store) -> None:
    with store.journal(KEY) as journal:
        with pytest.raises(ValueError, match="not JSON compliant"):
            journal.put("step", "0", float("nan"))
        with pytest.raises(TypeError):
            journal.put("step", "0", object())
    assert (folder_of(store) / "journal.jsonl").read_bytes() == b""


def test_clear(store: Store) -> None:
    with store.journal(KEY) as journal:
        journal.put("step", "0", 1)
        store.clear_journal(KEY)
    assert not folder_of(store).exists()
    with store.journal(KEY) as journal:
        assert journal.get("step", "0", int) is None
    store.clear_journal("f" * 16)


@pytest.mark.parametrize("key", ["", "../../x", "ABCDEF0123", "0123456789abcdef\n", "g" * 16, "ab"])
def test_key_is_a_hash(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="not a hex hash"):
        store.journal(key)
    with pytest.raises(ValueError, match="not a hex hash"):
        store.clear_journal(key)


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write to") as caught:
        Journal.open(tmp_path / "file" / "work" / KEY)
    assert "\n" not in str(caught.value)
