"""Takes a version out of its store, as an adapter or as full weights."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from selfedit.errors import UserError
from selfedit.files.disk import reading, sync_folder, writing
from selfedit.files.peft_folder import ADAPTER_FILE, CONFIG_FILE
from selfedit.files.serialize import encode
from selfedit.store.card import card
from selfedit.store.store import CARD_FILE, Store, check_base
from selfedit.types import Version

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
        merged: write full float32 weights and the tokenizer instead of a PEFT folder.
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
    source = store.adapter_folder(version.id)
    store.check_adapter(version)
    with writing(target, _INSTEAD):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.partial-{os.getpid()}-{secrets.token_hex(4)}")
        scratch.mkdir()
        try:
            if base_folder is None or not merged:
                shutil.copyfile(source / ADAPTER_FILE, scratch / ADAPTER_FILE)
                (scratch / CONFIG_FILE).write_bytes(_public_config(source / CONFIG_FILE, version.base.name))
            else:
                _merge(version, source, base_folder, scratch)
            (scratch / CARD_FILE).write_text(card(version, merged=merged), encoding="utf-8")
            sync_folder(scratch)
            if target.is_dir():
                target.rmdir()  # It is empty, but Windows does not rename onto a folder.
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


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


def _merge(version: Version, adapter: Path, base_folder: Path, folder: Path) -> None:
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
        merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
        merged.save_pretrained(folder)
        AutoTokenizer.from_pretrained(base_folder, **options).save_pretrained(folder)
