"""A small run of the outer loop: tiny model, made passages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.tiny import make_tiny_model

PLACES = ("Arlen", "Borsk", "Corve", "Drunt", "Essel", "Farn", "Gomel", "Hask")


def write_passages(path: Path, count: int, shift: int = 0) -> Path:
    """JSONL of passages with two questions each."""
    rows = []
    for i in range(count):
        place, year = PLACES[(i + shift) % len(PLACES)], 1800 + i + 10 * shift
        rows.append(
            {
                "title": place,
                "context": f"The bridge of {place} was built in {year} by a man named Odo.",
                "questions": [
                    {"question": f"When was the bridge of {place} built?", "answer": str(year)},
                    {"question": f"Who built the bridge of {place}?", "answer": "Odo"},
                ],
            }
        )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a run that takes seconds."""
    small = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 0.01}
    made: dict[str, Any] = {
        "model": str(folder / "model"),
        "seed": 1,  # With it every edit that the random model writes can be used.
        "data": {
            "train": "train.jsonl",
            "validation": "validation.jsonl",
            "contexts": 2,
            "validation_contexts": 2,
        },
        "policy": {"format": "implications", "max_edit_tokens": 24},
        "inner": small,
        "outer": {
            "rounds": 2,
            "edits": 2,
            "training_seeds": 2,
            "reward": "logprob",
            "must_beat_base": False,
            "training": small,
        },
        "evaluation": {"max_answer_tokens": 4},
        "engine": {"slots": 2},
    }
    for key, value in changes.items():
        group, _, name = key.partition("__")
        if name:
            made[group][name] = value
        else:
            made[group] = value
    return made


def write_config(folder: Path, **changes: Any) -> Path:
    """A configuration with its model and data in `folder`."""
    if not (folder / "model").exists():
        make_tiny_model(folder / "model", vocab=400)
        write_passages(folder / "train.jsonl", 6)
        write_passages(folder / "validation.jsonl", 3, shift=3)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings(folder, **changes)), encoding="utf-8")
    return path
