"""The commands on a store that is there, and how the process itself behaves. None needs a model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfedit.cli.output import curve
from tests.cli.run import Cli

LINEAGE = ("use", "rollback", "diff", "forget", "consolidate")
CONTROL = ("rules", "pending", "approve", "reject", "audit", "aside")
COMMANDS = (
    "learn",
    "watch",
    "ask",
    "chat",
    "serve",
    "versions",
    "show",
    "export",
    *LINEAGE,
    *CONTROL,
    "demo",
    "doctor",
    "estimate",
)


# Says last of all how many seconds it is there for, without those in which it wanted to run and other processes did.
STARTED = """
import sys, time
from pathlib import Path
from selfedit.cli import main
try:
    main()
finally:
    import psutil
    seconds = time.time() - psutil.Process().create_time()
    waits = Path("/proc/self/schedstat")
    print(seconds - (int(waits.read_text().split()[1]) / 1e9 if waits.exists() else 0), file=sys.stderr)
"""


def test_help_and_version_are_quick_and_load_nothing(cli: Cli) -> None:
    outcome = cli("--help")  # Whatever is not compiled yet is now.
    command = [sys.executable, "-c", STARTED, "--help"]
    runs = [
        subprocess.run(command, capture_output=True, text=True, env=os.environ | cli.environment, check=True)
        for _ in range(2)
    ]
    done = runs[0]
    assert min(float(each.stderr) for each in runs) < 3  # About half a second.
    assert outcome.code == 0 and not outcome.imported_torch and outcome.out == done.stdout
    assert all(f" {command} " in outcome.out for command in COMMANDS)
    assert cli("--version").out == "selfedit 0.1.0\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(cli: Cli, command: str) -> None:
    outcome = cli.inside(command, "--help")
    assert outcome.code == 0
    assert f"$ selfedit {command}" in outcome.out
    assert all(option in outcome.out for option in ("--json", "--store", "--quiet", "--debug"))
    # What is the active version is a matter of the store alone.
    assert ("--model" in outcome.out) == (command not in ("use", "rollback", *CONTROL))
    # Where nothing is random, a seed would change nothing.
    assert ("--seed" in outcome.out) == (command in ("learn", "watch", "demo", "estimate"))


def test_module_and_script_are_the_same_command() -> None:
    script = Path(sys.executable).parent / "selfedit"
    for command in ([sys.executable, "-m", "selfedit"], [str(script)]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "selfedit 0.1.0\n")


def test_usage_errors(cli: Cli) -> None:
    for arguments in (["lern"], ["learn"], ["learn", "a", "--epochs", "many"], ["show", "--no"]):
        outcome = cli.inside(*arguments)
        assert (outcome.code, outcome.out) == (2, ""), outcome
        assert "Usage" in outcome.err and "Traceback" not in outcome.err
    assert "Did you mean 'learn'" in cli("lern").err


def test_versions(cli: Cli, store: Path) -> None:
    found = cli("versions", "--store", store, "--json").json["versions"]
    assert [version["id"] for version in found] == ["v1", "v2"]
    assert found[0]["base_accuracy"] == pytest.approx(1 / 3) and found[0]["adapted_accuracy"] == pytest.approx(2 / 3)
    text = cli("versions", "--store", store).out
    assert "v2" in text and "33.3%" in text and "66.7%" in text and "Notes on *boats*" in text
    assert cli("versions", "--store", store, "--model", "another", "--json").json == {"versions": [], "active": "v2"}


def test_show(cli: Cli, store: Path) -> None:
    found = cli("show", "v1", "--store", store, "--json").json
    assert found["id"] == "v1" and len(found["rollouts"]) == 3 and found["losses"] == [2.5, 0.3]
    assert found["rollouts"][2]["failure"] == "diverged"
    assert cli("show", "--store", store, "--json").json["id"] == "v2"
    text = cli.inside("show", "v1", "--store", store).out
    assert "Self-edit 1 · Notes · kept · 2 of 3 right (66.7%) · gold log-probability" in text


def test_pipe_that_is_closed_early(cli: Cli, store: Path) -> None:
    command = f"{sys.executable} -m selfedit versions --store {store} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ | cli.environment)
    assert done.stderr == ""


def test_internal_error_is_one_line_and_with_debug_a_traceback(cli: Cli, store: Path) -> None:
    code = (
        "import selfedit.cli.versions as v, selfedit.cli as c\n"
        "def fail(*a, **k): raise RuntimeError('two\\nlines')\n"
        "v.Session = fail\n"
        "c.main()"
    )
    for debug in (False, True):
        command = [sys.executable, "-c", code, "versions", *(["--debug"] if debug else [])]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | cli.environment)
        assert done.returncode == 1 and done.stdout == ""
        last = done.stderr.splitlines()[-1]
        assert last.startswith("internal error: RuntimeError: two lines; run again with --debug")
        assert ("Traceback" in done.stderr) == debug
        assert debug or done.stderr.count("\n") == 1


def test_user_error_with_debug_has_a_traceback(cli: Cli, store: Path) -> None:
    outcome = cli("show", "v9", "--store", store, "--debug")
    assert outcome.code == 2 and "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: There is no version 'v9'")


def test_doctor(cli: Cli, tmp_path: Path) -> None:
    found = cli("doctor", "--json", "--store", tmp_path / "none").json
    assert found["software"]["selfedit"] == "0.1.0" and found["torch"]["usable"]
    assert found["processor"]["settings"]["OMP_NUM_THREADS"] == "1"
    assert not found["model"]["on_disk"] and any("smollm2-135m" in line for line in found["missing"])
    text = cli.inside("doctor").out
    assert "transformers" in text and "free_gb" in text and "missing" in text
    assert not (tmp_path / "none").exists() and not (tmp_path / "home").exists()


def test_doctor_works_without_torch(cli: Cli) -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom selfedit.cli import main\nmain()"
    command = [sys.executable, "-c", code, "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | cli.environment, check=True)
    found = json.loads(done.stdout)
    assert not found["torch"]["usable"] and any("torch" in line for line in found["missing"])


def test_estimate_without_and_with_a_tokenizer(cli: Cli, document: Path, tiny: Path, tmp_path: Path) -> None:
    found = cli("estimate", document, "--json", "--edits", "3").json
    assert (found["documents"], found["passages"], found["edits"]) == (1, 1, 3)
    assert not found["exact_tokens"] and found["parameters"] == 134515008
    assert found["seconds"] > 0 and found["memory_gb"] > 0.5
    exact = cli.inside("estimate", document, "--json", "--edits", "3", "--model", tiny).json
    assert exact["exact_tokens"] and exact["tokens"] > 20 and exact["parameters"] < 100_000
    assert cli.inside("estimate", document, "--json", "--model", "org/model").json["seconds"] is None
    assert "4 characters a token" in cli.inside("estimate", document).out
    assert not (tmp_path / "home").exists() and not (tmp_path / ".selfedit").exists()


def test_interrupt(cli: Cli, document: Path, questions: Path, tiny: Path) -> None:
    command = [sys.executable, "-m", "selfedit", "learn", document, "--questions", questions, "--model", tiny]
    command += ["--format", "none", "--epochs", "100000", "--edits", "1"]
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=cli.folder,
        env=os.environ | cli.environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A shell starts what runs in its background with Ctrl-C ignored, and this test may run there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    # The base has been asked: the training begins.
    def journals() -> list[Path]:
        return list((cli.folder / ".selfedit").glob("work/*/journal.jsonl"))

    deadline = time.monotonic() + 60
    while b"before" not in b"".join(path.read_bytes() for path in journals()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and out == b""
    assert err.splitlines()[-1] == b"Interrupted. What was saved stays, and the same command goes on from there."
    assert b"Traceback" not in err


def test_curve() -> None:
    assert curve([]) == "" and curve([1.0]) == "▁"
    assert curve([0.0, 1.0, 2.0, 7.0]) == "▁▂▃█"
    assert len(curve([float(n) for n in range(1000)], 40)) == 40
