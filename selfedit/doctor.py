"""A look at the machine and the installation. Works, and says so, when things are missing; loads no weights."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from selfedit.errors import UserError
from selfedit.paths import home

_EXTRAS = {"pdf": "pypdf"}
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
_WANTED_GB = 2.0


def examine(store: Path, model: str | None = None) -> dict[str, Any]:
    """All that the report says, by section."""
    # Before torch is asked, whose absence is a finding as well.
    facts: dict[str, Any] = {
        "software": _software(),
        "processor": _processor(),
        "memory": _memory(),
        "torch": _torch(),
        "disk": {"cache": _disk(home()), "store": _disk(store)},
        "model": _model(model),
        "store": _store(store),
    }
    facts["missing"] = _missing(facts)
    return facts


def report(examined: dict[str, Any]) -> str:
    """The findings as plain lines."""
    lines = []
    for section, facts in examined.items():
        if section == "missing":
            continue
        lines.append(section)
        lines += [f"  {name:<24}{_shown(fact)}" for name, fact in facts.items()]
    lines.append("missing")
    lines += [f"  {line}" for line in examined["missing"]] or ["  nothing"]
    return "\n".join(lines)


def _shown(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name} {_shown(value)}" for name, value in fact.items())
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, list):
        return ", ".join(map(str, fact)) or "none"
    return "-" if fact is None else str(fact)


def _software() -> dict[str, str]:
    versions = {"system": platform.platform(), "python": platform.python_version(), "selfedit": _version("selfedit")}
    return versions | {package: _version(package) for package in (*_dependencies(), *_EXTRAS.values())}


def _dependencies() -> list[str]:
    """The packages that selfedit needs, as its own metadata names them."""
    try:
        requirements = requires("selfedit") or []
    except PackageNotFoundError:
        return ["torch", "transformers", "peft", "safetensors"]
    return [_name(line) for line in requirements if "extra ==" not in line]


def _name(requirement: str) -> str:
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), len(requirement))
    return requirement[:end]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> dict[str, Any]:
    facts = _cpuinfo()
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": facts.get("model name") or platform.processor() or platform.machine(),
        "features": [feature for feature in _FEATURES if feature in flags],
        "cores": usable,
        "cores_of_the_machine": os.cpu_count(),
        "settings": {name: os.environ.get(name) for name in _SETTINGS},
    }


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor; nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory() -> dict[str, Any]:
    try:
        import psutil
    except ImportError:
        return {"total_gb": None, "free_gb": None}
    memory = psutil.virtual_memory()
    return {"total_gb": round(memory.total / 1e9, 1), "free_gb": round(memory.available / 1e9, 1)}


def _torch() -> dict[str, Any]:
    try:
        import torch
    except Exception as error:  # A broken installation raises anything, from ImportError to OSError.
        return {"usable": False, "reason": f"{type(error).__name__}: {error}"}
    facts: dict[str, Any] = {"usable": True, "threads": torch.get_num_threads(), "cuda": torch.version.cuda, "gpus": []}
    try:
        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                properties = torch.cuda.get_device_properties(index)
                facts["gpus"].append(f"{properties.name} ({properties.total_memory / 1e9:.0f} GB)")
    except Exception as error:
        facts["reason"] = f"{type(error).__name__}: {error}"
    return facts


def _disk(path: Path) -> dict[str, Any]:
    """Where `path` is and how much is free there, or where it would be made."""
    path = path.expanduser().absolute()
    try:
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        return {"path": str(path), "free_gb": round(shutil.disk_usage(there).free / 1e9, 1), "exists": there == path}
    except OSError as error:
        return {"path": str(path), "free_gb": None, "exists": False, "reason": error.strerror}


def _model(name: str | None) -> dict[str, Any]:
    from selfedit.models import DEFAULT_MODEL, resolve

    name = name or DEFAULT_MODEL
    try:
        source = resolve(name)
        source.check()
        folder = source.cached()
    except UserError as error:
        return {"name": name, "on_disk": False, "reason": str(error)}
    return {"name": name, "on_disk": folder is not None, "folder": str(folder) if folder else None}


def _store(path: Path) -> dict[str, Any]:
    from selfedit.store import Store

    try:
        return {"versions": len(Store.open(path).ids())}
    except UserError as error:
        return {"versions": 0, "reason": str(error)}


def _missing(facts: dict[str, Any]) -> list[str]:
    """What is missing, each with the command that gets it."""
    lines = []
    for package in _dependencies():
        if facts["software"][package] == "not installed":
            lines.append(f"{package}: pip install {package}")
    if not facts["torch"]["usable"] and facts["software"].get("torch") != "not installed":
        lines.append("a torch that works: pip install --force-reinstall torch")
    for extra, package in _EXTRAS.items():
        if facts["software"][package] == "not installed":
            lines.append(f"{package}, to read {extra} files: pip install 'selfedit[{extra}]'")
    model = facts["model"]
    if not model["on_disk"]:
        how = model.get("reason") or f'selfedit ask --base "Hello?" --model {model["name"]}'
        lines.append(f"the model {model['name']}: {how}")
    for what, disk in facts["disk"].items():
        if disk["free_gb"] is not None and disk["free_gb"] < _WANTED_GB:
            elsewhere = "SELFEDIT_HOME" if what == "cache" else "--store"
            lines.append(f"disk space for the {what} in {disk['path']}: free some, or name another folder: {elsewhere}")
    return lines
