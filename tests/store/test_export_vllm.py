"""What `vllm serve` is given: each module a PEFT folder that gives what the version gives."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from selfedit.errors import UserError
from selfedit.files.peft_folder import load_adapter
from selfedit.store.export_vllm import export_vllm
from selfedit.store.store import Store
from selfedit.types import DocumentRef, Knowledge, Learnt, LoraSpec, Task, Version
from tests.store.make import make_adapter, make_version


def learnt(store: Store, title: str, seed: int, rank: int, policy: str = "") -> Learnt:
    adapter = make_adapter(seed=seed, lora=LoraSpec(rank=rank, alpha=8.0))
    sha256 = store.put_adapter(adapter, "tiny")
    document = DocumentRef(f"{title}.md", title, "a" * 64)
    return Learnt(document, Task(title, title, f"{title} floats."), (), adapter=sha256, policy=policy)


def committed(store: Store, memory: str, *items: Learnt) -> Version:
    return store.commit(replace(make_version(), knowledge=Knowledge(memory, items)))


def test_modules(store: Store, tmp_path: Path) -> None:
    boat, kite = learnt(store, "Boat", 1, 4), learnt(store, "Kite", 2, 9)
    policy = store.put_adapter(make_adapter(seed=3, lora=LoraSpec(rank=2, alpha=4.0)), "tiny")
    versions = [
        committed(store, "routed", boat),
        committed(store, "routed", boat, kite),
        committed(store, "joint", replace(boat, policy=policy)),
    ]
    written = export_vllm(store, versions, tmp_path / "out dir")
    assert written.modules == ("selfedit-v1-1", "selfedit-v2-1", "selfedit-v2-2", "selfedit-v3")
    assert (written.base, written.max_rank) == ("tiny", 16)
    command = shlex.split(written.command)
    assert command[:8] == ["vllm", "serve", "tiny", "--enable-lora", "--max-lora-rank", "16", "--max-loras", "4"]
    named = dict(part.split("=", 1) for part in command[command.index("--lora-modules") + 1 :])
    assert tuple(named) == written.modules
    assert named["selfedit-v1-1"] == named["selfedit-v2-1"] != named["selfedit-v2-2"], "what is the same is there once"
    for name, item in (("selfedit-v1-1", boat), ("selfedit-v2-2", kite)):
        exported, kept = load_adapter(Path(named[name])), store.adapters.load(item.adapter)
        assert all(torch.equal(exported.factors[layer].a_RI, kept.factors[layer].a_RI) for layer in kept.factors)
    assert load_adapter(Path(named["selfedit-v3"])).lora.rank == 6, "with the policy that lies below"
    index = json.loads((tmp_path / "out dir" / "modules.json").read_bytes())
    titles = [[row["title"] for row in index["versions"][id]["modules"]] for id in ("v1", "v2")]
    assert titles == [["Boat"], ["Boat", "Kite"]]
    assert index["max_lora_rank"] == 16
    passages = [row["passage"] for row in index["versions"]["v2"]["modules"]]
    assert passages == ["Boat floats.", "Kite floats."], "what a router looks at"
    assert "passage" not in index["versions"]["v3"]["modules"][0]


def test_the_script_serves_from_wherever_the_folder_is(store: Store, tmp_path: Path) -> None:
    version = committed(store, "routed", learnt(store, "Boat", 1, 4))
    export_vllm(store, [version], tmp_path / "first")
    moved = (tmp_path / "first").rename(tmp_path / "it's moved")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vllm").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "bin" / "vllm").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    said = subprocess.run(
        ["sh", moved / "serve.sh", "--port", "8001"], env=environment, capture_output=True, text=True, check=True
    )
    arguments = said.stdout.splitlines()
    assert arguments[:4] == ["serve", "tiny", "--port", "8001"]
    assert arguments[-1] == f"selfedit-v1-1={moved}/adapters/a0001"
    assert (moved / "adapters" / "a0001" / "adapter_config.json").is_file()


def test_what_vllm_cannot_run_is_refused_and_nothing_is_left(store: Store, tmp_path: Path) -> None:
    boat = learnt(store, "Boat", 1, 4)
    good = committed(store, "routed", boat)
    merged = committed(store, "merge", boat)
    other = store.commit(replace(make_version(base="another"), knowledge=Knowledge("routed", (boat,))))
    large = committed(store, "routed", learnt(store, "Large", 5, 513))
    for versions, why in (
        ([good, merged], "Version v2 was merged into its base, .* selfedit export v2 DIR --merged"),
        ([good, other], "Version v3 was made for another, version v1 for tiny, and vLLM serves one base"),
        ([large], "vLLM runs adapters of rank 512 at most, and there is one of rank 513"),
        ([replace(good, knowledge=Knowledge("routed"))], "knows nothing"),
    ):
        with pytest.raises(UserError, match=why) as caught:
            export_vllm(store, versions, tmp_path / "out")
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
