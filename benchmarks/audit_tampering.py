"""How much of what is done to an audit log is found, and where: with a signed head, without, and with a head elsewhere.

python -m benchmarks.audit_tampering

A log of 1,000 entries; each time one random thing is done to a copy of it, by somebody who may write to the store but
has no key (tests/audit/tampering.py). Without a key that somebody makes the head fit, too. The same thousand lines are
read again and again, so that what was made of a line or a signature is remembered; one verification is timed without.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import selfedit.audit.verify
from benchmarks.machine import machine
from selfedit.audit import KEY, KEY_FILE, Finding, Head, make_key, read_kept, read_public, verify
from selfedit.audit.entry import from_line
from selfedit.audit.head import Kept
from selfedit.audit.signing import PublicKey
from selfedit.files.chain import line_hash
from tests.audit.tampering import KINDS, Tampered, make_log, tamper

RESULT = Path(__file__).parent / "results" / "audit_tampering.json"


def run(entries: int, times: int, seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        public = read_public(_key(folder))
        signed = make_log(folder / "signed", entries)
        del os.environ[KEY_FILE]
        plain = make_log(folder / "plain", entries)
        kept = read_kept(plain.head_path)
        assert kept is not None
        began = time.process_time()
        assert not verify(signed.path.read_bytes(), read_kept(signed.head_path), (), public)
        seconds = time.process_time() - began
        selfedit.audit.verify.from_line = lru_cache(None)(from_line)  # type: ignore[attr-defined]
        public = Remembering(public.key)
        for i in range(times):
            kind = KINDS[i % len(KINDS)]
            tampered = tamper(signed, kind, draw)
            found = verify(tampered.data, tampered.kept, (), public)
            tally = counts[kind]
            tally["tampered"] += 1
            tally["found, signed head"] += bool(found)
            tally["in its place"] += _in_place(found, tampered.first)
            tampered = tamper(plain, kind, draw)
            fitting = _fitting(tampered)
            tally["found, no key, head made to fit"] += bool(verify(tampered.data, fitting))
            tally["found, no key, head elsewhere"] += bool(verify(tampered.data, fitting, [kept.head]))
    total = sum(counts.values(), Counter())
    return {
        "entries": entries,
        "seed": seed,
        "kinds": {kind: dict(tally) for kind, tally in counts.items()},
        "in total": dict(total),
        "CPU seconds of one verification": round(seconds, 3),
    }


@dataclass(frozen=True)
class Remembering(PublicKey):
    """Looks at each signature once."""

    seen: dict[tuple[bytes, str], bool] = field(default_factory=dict, hash=False)

    def verifies(self, data: bytes, signature: str) -> bool:
        if (data, signature) not in self.seen:
            self.seen[data, signature] = super().verifies(data, signature)
        return self.seen[data, signature]


def _key(folder: Path) -> Path:
    path = folder / "audit.key"
    make_key(path)
    os.environ.pop(KEY, None)
    os.environ[KEY_FILE] = str(path)
    return path.with_name("audit.key.pub")


def _in_place(found: tuple[Finding, ...], first: int) -> bool:
    """Whether one finding names the first entry that is not what it was, or one beside it."""
    return any(each.entry - 1 <= first <= each.entry + 1 for each in found if each.entry)


def _fitting(tampered: Tampered) -> Kept:
    """The head that somebody without a key would write beside a log: of its last whole line."""
    lines = tampered.data.split(b"\n")[:-1]
    if not lines:
        return replace(tampered.kept, head=replace(tampered.kept.head, count=0))
    try:
        entry = from_line(lines[-1])
    except ValueError:
        return tampered.kept
    return Kept(Head(len(lines), line_hash(lines[-1]), entry.time), lines[-1].decode(), len(tampered.data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--times", type=int, default=2002, help="tamperings, as many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = run(arguments.entries, arguments.times, arguments.seed) | {"machine": machine()}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for kind, tally in result["kinds"].items():
        print(kind, tally)
    print(result["in total"], result["CPU seconds of one verification"])


if __name__ == "__main__":
    main()
