"""What do the guards stop in texts that nobody planted anything in?

    python -m benchmarks.guard_real_texts ../shared/data/squad/val.json --out FILE

Files as `learn` reads them, each passage of a SQuAD file a text of its own; by the guards that look at one text, and by
that of languages with English allowed. Prints what was stopped and why.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from benchmarks.machine import machine
from selfedit.documents import read_documents
from selfedit.guard import Known, Text, make_guard, screen

GUARDS = ("secrets", "personal", "instructions", "invisible", "language")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    texts = [
        Text(f"{document.sha256}.{number}", document.title, document.path, (section.text,))
        for document in read_documents(given.paths)
        for number, section in enumerate(document.sections)
    ]
    flags = screen([make_guard(name) for name in GUARDS], texts, Known((), ("en",)))
    stopped = Counter(kind for _, kind in {(flag.where, flag.kind) for flag in flags})
    for flag in flags:
        print(f"{flag.kind}: {flag.title}: {flag.why}: {flag.excerpt}")
    result = {
        "machine": machine(),
        "paths": [path.name for path in given.paths],
        "texts": len(texts),
        "stopped": len({flag.where for flag in flags}),
        "by": dict(stopped),
        "flags": [[flag.kind, flag.title, flag.why, flag.excerpt] for flag in flags],
    }
    print(f"{result['stopped']} of {len(texts)} stopped: {dict(stopped)}")
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
