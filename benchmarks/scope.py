"""Do words tell another wording of a question from another question about the same document? No model is asked.

    python -m benchmarks.scope

Each question is taken as one that somebody corrected, titled like its document: which of its other wordings, and which
of the document's other questions, are taken for it (selfedit/routing/scope.py)? Thresholds were chosen on `held_out`.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.feedback import ROOT, documents, rows
from selfedit.routing import Query, Route
from selfedit.routing.scope import Scopes


def title(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def measured(name: str) -> dict[str, int]:
    """How many are taken for the question, perhaps and surely, of how many."""
    _, others = documents(name)
    by_document: dict[str, list[str]] = {}
    for row in rows(ROOT / name / "questions.jsonl"):
        by_document.setdefault(row["document"], []).append(row["question"])
    counts = dict.fromkeys(("wordings", "maybe", "surely", "questions", "falsely", "surely falsely"), 0)
    for document, questions in by_document.items():
        about = title(ROOT / name / document)
        for question in questions:
            scopes = Scopes([Route("it", about, "", (question,))])
            for other in others.get(question, ()):
                chosen = scopes.choose(Query(other))
                counts["wordings"] += 1
                counts["maybe"] += chosen is not None
                counts["surely"] += chosen is not None and chosen[1]
            for other in (each for each in questions if each != question):
                chosen = scopes.choose(Query(other))
                counts["questions"] += 1
                counts["falsely"] += chosen is not None
                counts["surely falsely"] += chosen is not None and chosen[1]
    return counts


if __name__ == "__main__":
    print(json.dumps({name: measured(name) for name in ("held_out", "unseen")}, indent=1))
