from __future__ import annotations

import json
import math
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.store.store import Store, check_base
from selfedit.types import Knowledge
from tests.store.make import contents, make_adapter, make_version, same_adapter

# Run by root, permission bits would not hold it back.
AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from selfedit.errors import UserError
from selfedit.store.store import Store
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    store = Store.open(Path(sys.argv[1]), create=sys.argv[2] == "create")
    print(store.ids())
    getattr(store, sys.argv[2])()
except UserError as error:
    print(error)
"""


def one_line(caught: pytest.ExceptionInfo[UserError]) -> str:
    message = str(caught.value)
    assert "\n" not in message and message[-1] in ".?"
    return message


@pytest.fixture
def full(store: Store) -> Store:
    for seed in range(3):
        store.commit(make_version(), make_adapter(seed=seed))
    return store


def test_commits_and_reads_back(store: Store) -> None:
    assert store.versions() == []
    committed = [store.commit(make_version("v9"), make_adapter(seed=seed)) for seed in range(11)]
    again = Store.open(store.path)
    assert again.ids() == [f"v{n}" for n in range(1, 12)]  # By number: v10 comes after v9.
    assert again.versions() == committed
    assert again.get() == again.get("v11") == committed[-1]
    for seed, version in enumerate(committed):
        made = replace(make_version(f"v{seed + 1}"), adapter_sha256=version.adapter_sha256)
        assert replace(version, knowledge=Knowledge()) == made
        assert version.knowledge.adapters == (version.adapter_sha256,)
        assert same_adapter(again.adapter(version), make_adapter(seed=seed))
    assert len({version.adapter_sha256 for version in committed}) == 11
    assert not [path for path in (store.path / "staging").iterdir() if path.is_dir()]
    assert again.adapter_folder("v2") == store.path / "adapters" / committed[1].adapter_sha256


def test_same_input_gives_the_same_bytes(store: Store) -> None:
    shapes = {f"model.layers.{i}.mlp.up_proj": (8, 16) for i in range(30)}
    for _ in range(2):
        store.commit(make_version(), make_adapter(shapes))
    first, second = (contents(store.path / "versions" / id) for id in ("v1", "v2"))
    # All but what says the version's own id.
    differ = {name for name in first if first[name] != second[name]}
    assert differ == {"version.json", "README.md", "learnt.jsonl"} and first.keys() - differ == {"rollouts.jsonl"}
    assert len(list((store.path / "adapters").iterdir())) == 1  # The same weights are stored once.


def test_creating_is_not_needed_twice_and_opening_writes_nothing(full: Store) -> None:
    before = contents(full.path)
    stamp = (full.path / "store.json").stat().st_mtime_ns
    Store.open(full.path, create=True)
    Store.open(full.path).versions()
    assert contents(full.path) == before and (full.path / "store.json").stat().st_mtime_ns == stamp


def test_empty_folder_and_a_killed_creation_become_stores(tmp_path: Path) -> None:
    (tmp_path / ".partial-1-abc").write_text('{"form')
    assert Store.open(tmp_path, create=True).versions() == []
    assert json.loads((tmp_path / "store.json").read_text()) == {"format": 3, "kind": "selfedit store"}


def test_no_store(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError) as caught:
            Store.open(path)
        assert one_line(caught) == (f"There is no store at {path}. Make one with 'selfedit learn FILE --store {path}'.")
    assert not any(tmp_path.iterdir())


def test_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    before = contents(tmp_path)
    for create in (False, True):
        with pytest.raises(UserError, match="is not a store: it holds other files") as caught:
            Store.open(tmp_path, create=create)
        one_line(caught)
        with pytest.raises(UserError, match="is a file, not a store") as caught:
            Store.open(tmp_path / "thesis.tex", create=create)
        one_line(caught)
    with pytest.raises(UserError, match=r"Cannot write to .*Not a directory") as caught:
        Store.open(tmp_path / "thesis.tex" / "store", create=True)
    one_line(caught)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("", "is damaged or not selfedit's"),
        ('{"format": 1, "ki', "is damaged"),
        ("\0" * 30, "is damaged"),
        ('{"format": 1, "kind": "another store"}', "not selfedit's"),
        ('{"format": true, "kind": "selfedit store"}', "is damaged"),
        ('{"format": 0, "kind": "selfedit store"}', "is damaged"),
        ("[1]", "is damaged"),
        (
            '{"format": 7, "kind": "selfedit store"}',
            r"was made by a newer selfedit \(store format 7, this one reads up to 3\); upgrade",
        ),
    ],
)
def test_bad_mark(full: Store, mark: str, message: str) -> None:
    (full.path / "store.json").write_text(mark)
    before = contents(full.path)
    for create in (False, True):
        with pytest.raises(UserError, match=message) as caught:
            Store.open(full.path, create=create)
        one_line(caught)
    assert contents(full.path) == before


def test_no_version_yet(store: Store) -> None:
    for id in (None, "v1"):
        with pytest.raises(UserError, match=r"has no version yet\. Make one with 'selfedit learn FILE") as caught:
            store.get(id)
        one_line(caught)


@pytest.mark.parametrize("id", ["v4", "v0", "v01", "3", "", "../v1", "v1/../v2", "v1\n", "/etc", "v" + "9" * 5000])
def test_unknown_version(full: Store, id: str) -> None:
    for ask in (full.get, full.adapter_folder):
        with pytest.raises(UserError, match="There is no version") as caught:
            ask(id)
        assert any(name in one_line(caught) for name in ("Known: v1, v2, v3.", "Did you mean 'v"))


def test_what_is_not_whole_is_not_there(full: Store) -> None:
    shutil.copytree(full.path / "versions" / "v3", full.path / "versions" / "v8")
    (full.path / "versions" / "v8" / "learnt.jsonl").unlink()
    (full.path / "versions" / "v12").mkdir()
    (full.path / "versions" / "notes.txt").write_text("mine")
    shutil.copytree(full.path / "versions" / "v3", full.path / "versions" / "v3.bak")
    assert full.ids() == ["v1", "v2", "v3"] and full.get().id == "v3"
    assert full.commit(make_version(), make_adapter()).id == "v13"  # No number is used twice.


@pytest.mark.parametrize("file", ["version.json", "rollouts.jsonl", "learnt.jsonl"])
def test_damaged_version(full: Store, file: str) -> None:
    path = full.path / "versions" / "v2" / file
    path.write_bytes(path.read_bytes()[:-10])
    before = contents(full.path)
    for ask in (lambda: full.get("v2"), full.versions):
        with pytest.raises(UserError, match=r"Version v2 in .* is damaged \(.*Restore .* or remove it") as caught:
            ask()
        one_line(caught)
    assert full.get().id == "v3" and full.ids() == ["v1", "v2", "v3"]
    assert contents(full.path) == before


def test_changed_adapter(full: Store) -> None:
    path = full.adapter_folder("v2") / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=r"Version v2 cannot be used\. The adapter \w{16}… was changed or damaged"
    ) as caught:
        full.adapter(full.get("v2"))
    one_line(caught)


def test_version_of_another_base() -> None:
    version = make_version("v3", base="smollm2-135m")
    check_base(version, "f" * 64, "any name")
    with pytest.raises(UserError) as caught:
        check_base(version, "0" * 64, "gpt2")
    assert one_line(caught) == "Version v3 was made for smollm2-135m, not for gpt2; use --model smollm2-135m."
    with pytest.raises(UserError, match="was made for another smollm2-135m: its weights") as caught:
        check_base(version, "0" * 64, "smollm2-135m")
    one_line(caught)


def test_commit_that_cannot_be_written_as_json(full: Store) -> None:
    before = contents(full.path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        full.commit(replace(make_version(), losses=(math.nan,)), make_adapter())
    with pytest.raises(TypeError, match="no form in JSON"):
        full.commit(replace(make_version(), settings={"path": Path()}), make_adapter())
    assert contents(full.path) == before
    assert not [path for path in (full.path / "staging").iterdir() if path.is_dir()]


def test_too_little_disk(full: Store) -> None:
    full.ensure_writable(1000)
    before = contents(full.path)
    with pytest.raises(UserError, match=r"about 1000000000000 MB are needed and \d+ MB are free") as caught:
        full.ensure_writable(10**18)
    one_line(caught)
    assert contents(full.path) == before


@pytest.mark.parametrize("limit", [3000, 60_000])
def test_disk_runs_full_during_commit(full: Store, limit: int) -> None:
    # A limit on the size of files fails as a full disk does: in the middle of a write.
    before = contents(full.path)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(UserError, match="disk ran full while writing to") as caught:
            full.commit(
                replace(make_version(), settings={"x": "y" * 100_000}),
                make_adapter({"up": (8, 16)} if limit > 5000 else {"up": (500, 500)}),
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    one_line(caught)
    # An adapter is kept before the version that refers to it; nothing but a whole one can be there.
    after = contents(full.path)
    assert {name: sha256 for name, sha256 in after.items() if name in before} == before
    assert all(name.startswith("adapters/") for name in after.keys() - before.keys())
    for folder in (full.path / "adapters").iterdir():
        full.adapters.check(folder.name)
    assert full.commit(make_version(), make_adapter()).id == "v4"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("forbid", "then", "said"),
    [
        (lambda store: store.path.chmod(0o555), "ensure_writable", "Cannot write to {}: Permission denied. Make it"),
        (lambda store: (store.path / "staging").chmod(0o555), "ensure_writable", "Cannot write to {}: Permission"),
        (lambda store: (store.path / "versions").chmod(0), "versions", "Cannot read {}/versions: Permission denied"),
        (lambda store: (store.path / "store.json").chmod(0), "versions", "Cannot read {}/store.json: Permission"),
        (lambda store: store.path.chmod(0), "versions", "Cannot read {}: Permission denied"),
    ],
)
def test_no_permission(open_folder: Path, forbid: Callable[[Store], None], then: str, said: str) -> None:
    store = Store.open(open_folder / "store", create=True)
    store.ensure_writable()
    forbid(store)
    before = contents(store.path)
    out = subprocess.run([sys.executable, "-c", AS_NOBODY, store.path, then], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    lines = out.stdout.splitlines()
    assert lines[-1].startswith(said.format(store.path))
    # What can be read can be read without a right to write.
    assert lines[:-1] == (["[]"] if then == "ensure_writable" else [])
    subprocess.run(["chmod", "-R", "u+rwx", store.path], check=True)
    assert contents(store.path) == before


def test_no_permission_to_create(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    command = [sys.executable, "-c", AS_NOBODY, str(open_folder / "store"), "create"]
    out = subprocess.run(command, capture_output=True, text=True)
    assert out.stdout.startswith(f"Cannot write to {open_folder}/store: Permission denied"), out.stderr
    assert not any(open_folder.iterdir())


def test_importing_it_does_not_import_torch() -> None:
    code = "import selfedit.store, sys; print(sorted({'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"
