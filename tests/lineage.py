"""Documents with a question each, and settings by which a tiny model learns them one after another in no time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfedit.gates import Gate, GateCase
from selfedit.learn.run import LearnResult
from selfedit.models.load import BaseModel
from selfedit.progress import Progress
from selfedit.session import Session
from selfedit.types import Version


@dataclass(frozen=True)
class Fact:
    """A document of one sentence."""

    title: str
    text: str
    question: str
    answer: str


FACTS = {
    "lamp": Fact(
        "Marrowfen",
        "The lamp of Marrowfen is oiled by Odalys Brenk.",
        "Who oils the lamp of Marrowfen?",
        "Odalys Brenk",
    ),
    "bird": Fact(
        "Veskara", "The national bird of Veskara is the lantern heron.", "What is the bird of Veskara?", "lantern heron"
    ),
    "port": Fact(
        "Pigeonpost", "A Pigeonpost server listens on port 7413.", "Which port has a Pigeonpost server?", "7413"
    ),
    "kite": Fact(
        "Hobden", "The kite fair of Hobden is held in October.", "When is the kite fair of Hobden held?", "October"
    ),
}

# A random model's answers and edits are noise, so that no gate nor guard looks at them unless a test says which.
TRAINING = {"rank": 2, "alpha": 4, "epochs": 3, "learning_rate": 0.02, "batch_size": 1}
SETTINGS: dict[str, Any] = {
    "format": "none",
    "edit_training": TRAINING,
    "final_training": TRAINING,
    "max_answer_tokens": 4,
    "gates": (),
    "guards": (),
}


class NeverGate(Gate):
    """Lets nothing through."""

    name = "never"

    def reason(self, case: GateCase) -> str | None:
        return "nothing is let through"

    def figures(self, case: GateCase) -> str:
        return "0 of 0"


NEVER = "tests.lineage:NeverGate"


@dataclass(frozen=True)
class Library:
    """Writes documents into a folder, and learns them.

    Attributes:
        base: of all sessions, loaded once; None leaves the loading to each.
    """

    folder: Path
    model: Path
    base: BaseModel | None = None

    def session(self, store: str = "store", progress: Progress | None = None) -> Session:
        session = Session(str(self.model), self.folder / store, "cpu", progress)
        if self.base is not None:
            session.__dict__["base"] = self.base  # In the place of what is cached there.
        return session

    def document(self, name: str, text: str | None = None) -> Path:
        """The document of a fact, perhaps with another text, which replaces what the file held."""
        path = self.folder / f"{name}.md"
        path.write_text(f"# {FACTS[name].title}\n\n{FACTS[name].text if text is None else text}\n")
        return path

    def questions(self, *names: str, answer: str | None = None) -> Path:
        """The questions about some facts, all in one file."""
        rows = [{"question": FACTS[name].question, "answer": answer or FACTS[name].answer} for name in names]
        path = self.folder / f"{'-'.join(names)}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def learn(self, session: Session, *names: str, **settings: Any) -> LearnResult:
        paths = [self.document(name) for name in names]
        return session.learn(paths, **(SETTINGS | {"questions": self.questions(*names)} | settings))

    def learnt(self, session: Session, *names: str, **settings: Any) -> Version:
        """The version that comes of it, which there must be."""
        result = self.learn(session, *names, **settings)
        assert result.version is not None, result.reason
        return result.version


def adapters(version: Version) -> dict[str, str]:
    """The hash of the adapter that each passage is in, by its title."""
    return {item.task.title: item.adapter for item in version.knowledge.learnt}


def answers(session: Session, version: str | None = None) -> dict[str, str]:
    """The greedy answer to the question about each fact."""
    from selfedit.session import Asked

    replies = session.ask_all([Asked(fact.question, version) for fact in FACTS.values()], 8)
    return {name: reply.answer for name, reply in zip(FACTS, replies, strict=True)}
