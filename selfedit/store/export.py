"""Takes a version out of its store, as an adapter or as full weights."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfedit.errors import UserError
from selfedit.files.disk import reading, sync_folder, writing
from selfedit.files.peft_folder import ADAPTER_FILE, CONFIG_FILE, FACTS_FILE, save_adapter
from selfedit.files.serialize import encode
from selfedit.memory import is_routed
from selfedit.memory.recall import route
from selfedit.store.card import card
from selfedit.store.store import Store, check_base
from selfedit.store.version_folders import CARD_FILE
from selfedit.types import Learnt, Version

ADAPTERS, ROUTES_FILE = "adapters", "routes.json"
"""Of a routed version: a PEFT folder an adapter, and which passages they answer for."""

_INSTEAD = "name another target folder"


def export(
    store: Store, version: Version, target: Path, *, merged: bool = False, base_folder: Path | None = None
) -> Path:
    """Write a version into the folder `target`, all at once, and return it.

    What selfedit alone reads, such as the documents' text and all self-edits, stays in the store.

    Args:
        store: where the version is.
        version: which one.
        target: a folder that is empty or not there yet.
        merged: write full float32 weights and the tokenizer instead of a PEFT folder. A routed version has a PEFT
            folder for each of its adapters, and a table of which passage each answers for.
        base_folder: for `merged`, the folder of the base model that the version was made for.

    Raises:
        UserError: the target is in use, cannot be written or is in the store; the version is damaged; or the base
            model is another one.
        ValueError: `merged` without `base_folder`.
    """
    if merged and base_folder is None:
        raise ValueError("full weights need base_folder")
    target = target.expanduser()
    check_target(store, target)
    store.check_adapter(version)
    adapters = version.knowledge.adapters
    routed = is_routed(version.knowledge)
    if not adapters:
        raise UserError(f"Version {version.id} knows nothing, so that there is nothing to export.")
    if merged and routed:
        raise UserError(
            f"Version {version.id} has an adapter for each of {len(adapters)} passages, and full weights hold one. "
            "Leave out --merged, or make one adapter of them with 'selfedit consolidate'."
        )
    with new_folder(target) as folder:
        if routed:
            _export_routed(store, version, folder)
        else:
            export_adapter(store, whole_stack(version), version.base.name, folder)
        if base_folder is not None and merged:
            _merge(version, folder, base_folder)
        (folder / CARD_FILE).write_text(card(version, merged=merged, exported=True), encoding="utf-8")
    return target


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into for the time of the block, which becomes `target` at its end, or nothing at all."""
    with writing(target, _INSTEAD):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.partial-{os.getpid()}-{secrets.token_hex(4)}")
        scratch.mkdir()
        try:
            yield scratch
            sync_folder(scratch)
            if target.is_dir():
                target.rmdir()  # It is empty, but Windows does not rename onto a folder.
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def whole_stack(version: Version) -> list[str]:
    """The adapters of a version that has no router, the lowest first; an empty hash is none."""
    return [version.knowledge.learnt[0].policy, *version.knowledge.adapters]


def export_adapter(store: Store, hashes: Sequence[str], base_name: str, folder: Path) -> None:
    """An adapter as it is or, where it lies on others, as one that is their sum: their ranks side by side, exact."""
    present = [sha256 for sha256 in hashes if sha256]
    if len(present) == 1:
        source = store.adapters.folder(present[0])
        shutil.copyfile(source / ADAPTER_FILE, folder / ADAPTER_FILE)
        shutil.copyfile(source / CONFIG_FILE, folder / CONFIG_FILE)
    else:
        from selfedit.multilora.merge import side_by_side

        stack = [store.adapters.load(sha256) for sha256 in present]
        save_adapter(side_by_side(stack, present[-1][:16]), folder, base_name)
        (folder / FACTS_FILE).unlink()
    (folder / CONFIG_FILE).write_bytes(_public_config(folder / CONFIG_FILE, base_name))


def _export_routed(store: Store, version: Version, folder: Path) -> None:
    """A PEFT folder an adapter, by numbers of ours, and the table of who answers what."""
    rows = []
    for number, item in enumerate(version.knowledge.learnt, 1):
        name = f"a{number:04}"
        (folder / ADAPTERS / name).mkdir(parents=True)
        export_adapter(store, [item.policy, item.adapter], version.base.name, folder / ADAPTERS / name)
        sync_folder(folder / ADAPTERS / name)
        rows.append({"adapter": f"{ADAPTERS}/{name}", **answered_for(item)})
    (folder / ROUTES_FILE).write_bytes(encode({"router": version.settings.get("router"), "routes": rows}, indent=2))


def answered_for(item: Learnt) -> dict[str, Any]:
    """What an adapter of a routed version answers for, as routers see it."""
    return {
        "title": item.task.title,
        "document": item.document.title,
        "passage": item.task.passage,
        "questions": route(item).questions,
        "correction": item.document.is_correction,
    }


def public_base(base_name: str) -> str:
    """By what a base is found on other machines, too: a bundled one by its public id."""
    from selfedit.models import BUNDLED

    return BUNDLED[base_name].hub_id if base_name in BUNDLED else base_name


def _public_config(path: Path, base_name: str) -> bytes:
    """PEFT's configuration with a base that is found on other machines, too: a bundled one by its public id."""
    from selfedit.models import BUNDLED

    config = json.loads(path.read_bytes())
    if base_name in BUNDLED:
        bundled = BUNDLED[base_name]
        config |= {"base_model_name_or_path": bundled.hub_id, "revision": bundled.hub_revision}
    return encode(config, indent=2) + b"\n"


def check_target(store: Store, target: Path) -> None:
    """Raise UserError unless `target` is an empty folder, or nothing, outside of the store."""
    with reading(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} exists and is not an empty folder. Name another target, or remove it first.")
    if target.resolve().is_relative_to(store.path.resolve()):
        raise UserError(f"{target} lies in the store {store.path}. Name a target outside of it.")


def _merge(version: Version, folder: Path, base_folder: Path) -> None:
    """Put full weights and the tokenizer in the place of the adapter in a folder."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfedit.models import fingerprint
    from selfedit.models.quiet import quiet_transformers

    check_base(version, fingerprint(base_folder), str(base_folder))
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with quiet_transformers():
        base: Any = AutoModelForCausalLM.from_pretrained(
            base_folder, dtype=torch.float32, use_safetensors=True, **options
        )
        merged = PeftModel.from_pretrained(base, str(folder)).merge_and_unload()
        for file in list(folder.iterdir()):
            file.unlink()
        merged.save_pretrained(folder)
        AutoTokenizer.from_pretrained(base_folder, **options).save_pretrained(folder)
