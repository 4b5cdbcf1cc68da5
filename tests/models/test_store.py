from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.models.cache import MANIFEST, complete, make_once
from selfedit.progress import Progress

CHILD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from selfedit.models.cache import MANIFEST, make_once
    from selfedit.progress import LineProgress

    target, log, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

    def build(scratch):
        with log.open("a") as file:
            file.write("built\\n")
        (scratch / "model").mkdir()
        (scratch / "model" / "weights").write_text("half")
        time.sleep(seconds)
        (scratch / "model" / MANIFEST).write_text("{}")
        return scratch / "model"

    make_once(target, build, needs_bytes=1, progress=LineProgress())
    """
)


def start(target: Path, log: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(target), str(log), str(seconds)], stderr=subprocess.PIPE)


def whole(scratch: Path) -> Path:
    (scratch / "model").mkdir()
    (scratch / "model" / MANIFEST).write_text("{}")
    return scratch / "model"


def never(scratch: Path) -> Path:
    raise AssertionError("built a second time")


def partials(target: Path) -> list[Path]:
    return [path for path in target.parent.iterdir() if "partial" in path.name]


def test_it_is_made_once(tmp_path: Path, quiet: Progress) -> None:
    target = tmp_path / "cache" / "m"
    assert make_once(target, whole, needs_bytes=1, progress=quiet) == target
    assert make_once(target, never, needs_bytes=1, progress=quiet) == target
    assert partials(target) == []


def test_processes_that_arrive_at_once_all_succeed_and_one_builds(tmp_path: Path) -> None:
    target, log = tmp_path / "cache" / "m", tmp_path / "log"
    children = [start(target, log, 0.5) for _ in range(4)]
    notes = [child.communicate(timeout=30)[1].decode() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0, 0]
    assert log.read_text() == "built\n"
    assert sum("Another process is preparing m" in note for note in notes) >= 1
    assert complete(target) and partials(target) == []


def test_what_a_killed_process_left_is_cleaned_by_the_next(tmp_path: Path, quiet: Progress) -> None:
    target, log = tmp_path / "cache" / "m", tmp_path / "log"
    child = start(target, log, 60)
    deadline = time.monotonic() + 20
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.communicate()
    assert not target.exists() and len(partials(target)) == 1
    make_once(target, whole, needs_bytes=1, progress=quiet)
    assert complete(target) and partials(target) == []


def test_a_folder_without_a_manifest_is_made_anew(tmp_path: Path, quiet: Progress) -> None:
    target = tmp_path / "m"
    target.mkdir()
    (target / "weights").write_text("half")
    make_once(target, whole, needs_bytes=1, progress=quiet)
    assert sorted(path.name for path in target.iterdir()) == [MANIFEST]


def test_a_failing_build_leaves_nothing(tmp_path: Path, quiet: Progress) -> None:
    target = tmp_path / "cache" / "m"

    def fail(scratch: Path) -> Path:
        (scratch / "weights").write_text("half")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        make_once(target, fail, needs_bytes=1, progress=quiet)
    assert not target.exists() and partials(target) == []


def test_too_small_a_disk_is_told_before_the_work(tmp_path: Path, quiet: Progress) -> None:
    with pytest.raises(UserError, match=r"Not enough disk space to prepare m .* needs about .* SELFEDIT_HOME"):
        make_once(tmp_path / "m", never, needs_bytes=10**18, progress=quiet)


def test_a_disk_that_fills_up_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the kernel refuses the write half way, too."""
    code = textwrap.dedent(
        """
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from safetensors.numpy import save_file
        from selfedit.errors import UserError
        from selfedit.models.cache import make_once
        from selfedit.progress import QuietProgress

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

        def python(scratch):
            (scratch / "weights").write_bytes(bytes(100_000))

        def rust(scratch):
            save_file({"a": np.zeros(100_000)}, scratch / "weights.safetensors")

        for build in (python, rust):
            try:
                make_once(Path(sys.argv[1]), build, needs_bytes=1, progress=QuietProgress())
            except UserError as error:
                print(error)
        """
    )
    target = tmp_path / "cache" / "m"
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True)
    assert done.stdout.count("the disk ran full") == 2, done
    assert not target.exists() and partials(target) == []


def test_a_cache_that_cannot_be_written_names_selfedit_home(tmp_path: Path, quiet: Progress) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"Cannot write to the cache folder .* Set SELFEDIT_HOME"):
        make_once(tmp_path / "file" / "models" / "m", whole, needs_bytes=1, progress=quiet)
