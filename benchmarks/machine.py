"""What a benchmark ran on."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from selfedit.runtime import software_versions


def machine() -> dict[str, str | int]:
    """CPU, cores and GPU of this machine, for the record."""
    import torch

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "os": platform.platform(),
    }


def recorded(result: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """A result with the options, machine and software that it is of, written to `options.out` where that is given."""
    record = {
        **result,
        "options": {name: str(value) for name, value in vars(options).items()},
        "machine": machine(),
        "software": software_versions(),
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def peak_memory(device: object) -> int:
    """Bytes: the process's largest resident size so far, or the GPU's allocations since it was last reset."""
    import resource

    import torch

    if str(device).startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
