"""Takes versions out of their store for vLLM: PEFT folders with names of their own, and the command to serve them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfedit.errors import UserError
from selfedit.files.disk import sync_folder
from selfedit.files.peft_folder import CONFIG_FILE
from selfedit.files.serialize import encode
from selfedit.memory import is_routed, load_memory
from selfedit.store.export import (
    ADAPTERS,
    answered_for,
    check_target,
    export_adapter,
    new_folder,
    public_base,
    whole_stack,
)
from selfedit.store.store import Store
from selfedit.types import Version

MODULES_FILE, SCRIPT_FILE = "modules.json", "serve.sh"

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for --max-lora-rank (its vllm/config/lora.py)."""

_AT_ONCE = 8
"""Adapters in one batch of vLLM's, for each of which it keeps memory of the GPU; the others wait in the CPU's."""


@dataclass(frozen=True)
class VllmExport:
    """What was written.

    Attributes:
        command: what serves it, to be run by a shell; its paths are those of the folder.
        modules: names by which clients ask, one a version, or one for each of its passages.
    """

    folder: Path
    base: str
    max_rank: int
    modules: tuple[str, ...]
    command: str


def export_vllm(store: Store, versions: Sequence[Version], target: Path) -> VllmExport:
    """Write versions of one base into the folder `target`, all at once.

    A version of one adapter is the module `selfedit-v3`, one with an adapter a passage `selfedit-v3-1`,
    `selfedit-v3-2` and so on: vLLM has no router. The file modules.json has what each is about, and the router's name,
    so that whoever asks can choose. An adapter that several versions have is written once.

    Raises:
        UserError: the target is in use, cannot be written or is in the store; a version is damaged, knows nothing,
            was made for another base than the others, or has no adapters that vLLM can run.
    """
    target = target.expanduser()
    check_target(store, target)
    for version in versions:
        _check(store, version, versions[0])
    base = public_base(versions[0].base.name)
    with new_folder(target) as folder:
        written = _Written(store, folder)
        told = {version.id: _export(written, version) for version in versions}
        if written.largest > _RANKS[-1]:
            raise UserError(
                f"vLLM runs adapters of rank {_RANKS[-1]} at most, and there is one of rank {written.largest}. Export "
                "full weights instead: selfedit export ID DIR --merged"
            )
        rank = next(each for each in _RANKS if each >= written.largest)
        modules = [(row["module"], row["path"]) for rows in told.values() for row in rows["modules"]]
        options = ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", str(min(len(modules), _AT_ONCE))]
        options += ["--max-cpu-loras", str(len(modules)), "--lora-modules"]
        index = {"base": base, "max_lora_rank": rank, "versions": told}
        (folder / MODULES_FILE).write_bytes(encode(index, indent=2) + b"\n")
        (folder / SCRIPT_FILE).write_text(_script(base, options, modules), encoding="utf-8")
    named = [f"{name}={target.absolute() / path}" for name, path in modules]
    command = shlex.join(["vllm", "serve", base, *options, *named])
    return VllmExport(target, base, rank, tuple(name for name, _ in modules), command)


def _check(store: Store, version: Version, first: Version) -> None:
    store.check_adapter(version)
    if not version.knowledge.adapters:
        raise UserError(f"Version {version.id} knows nothing, so that there is nothing to export.")
    if version.knowledge.memory and load_memory(version.knowledge.memory).stacked:
        raise UserError(
            f"Version {version.id} was merged into its base, one adapter after another, which is none for vLLM. Export "
            f"full weights instead: selfedit export {version.id} DIR --merged"
        )
    if version.base != first.base:
        raise UserError(
            f"Version {version.id} was made for {version.base.name}, version {first.id} for {first.base.name}, and "
            "vLLM serves one base. Name versions of one with --versions."
        )


class _Written:
    """The adapters of a folder that is being written, each once."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._paths: dict[tuple[str, ...], str] = {}
        self._ranks: dict[str, int] = {}

    @property
    def largest(self) -> int:
        """The largest rank so far."""
        return max(self._ranks.values())

    def add(self, stack: Sequence[str], base_name: str) -> tuple[str, int]:
        """The path of a stack of adapters in the folder, and its rank."""
        key = tuple(sha256 for sha256 in stack if sha256)
        if key not in self._paths:
            path = self._paths[key] = f"{ADAPTERS}/a{len(self._paths) + 1:04}"
            (self._folder / path).mkdir(parents=True)
            export_adapter(self._store, key, base_name, self._folder / path)
            sync_folder(self._folder / path)
            self._ranks[path] = int(json.loads((self._folder / path / CONFIG_FILE).read_bytes())["r"])
        path = self._paths[key]
        return path, self._ranks[path]


def _export(written: _Written, version: Version) -> dict[str, Any]:
    """Write a version's adapters; what modules.json says of it."""
    name = f"selfedit-{version.id}"
    if not is_routed(version.knowledge):
        path, rank = written.add(whole_stack(version), version.base.name)
        return {"memory": version.knowledge.memory, "modules": [{"module": name, "path": path, "rank": rank}]}
    rows = []
    for number, item in enumerate(version.knowledge.learnt, 1):
        path, rank = written.add([item.policy, item.adapter], version.base.name)
        rows.append({"module": f"{name}-{number}", "path": path, "rank": rank, **answered_for(item)})
    return {"memory": version.knowledge.memory, "router": version.settings.get("router"), "modules": rows}


def _script(base: str, options: Sequence[str], modules: Sequence[tuple[str, str]]) -> str:
    """The command for wherever the folder is; arguments of the script are vLLM's, too."""
    paths = "".join(f' \\\n  {name}="$here/{path}"' for name, path in modules)
    here = 'here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)'
    return f'#!/bin/sh\n{here}\nexec vllm serve {shlex.quote(base)} "$@" {shlex.join(options)}{paths}\n'
