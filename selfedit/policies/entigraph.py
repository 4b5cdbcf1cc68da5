"""The baseline that goes through what a text names, two and three at a time (EntiGraph, arXiv 2409.07431).

The model lists the entities of a passage, and then writes how each pair, and each triple, is connected in the light of
it. The original takes all pairs and some triples; here an edit has a few of each, other ones than the edits before it,
so that its length is that of other edits. How many the SEAL paper took is not known to us.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from selfedit.generate.base import Generator, Request
from selfedit.models.prompt import Prompter
from selfedit.policies.base import OnEdit, Policy
from selfedit.policies.formats import EXAMPLE, parse_lines
from selfedit.seeds import derive_seed
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import Model, SelfEdit, Task

FORMAT = "entigraph"
PAIRS, TRIPLES = 2, 1
"""Of one edit."""
_MOST = 12
_LIST_TOKENS = 96

_LISTED = "1. The Brindle Lighthouse\n2. Edda Corvin\n3. the cape of Sorrel\n4. colza oil\n5. the keeper"
_CONNECTED = (
    "Edda Corvin was the mason who finished the Brindle Lighthouse in 1871, on the cape of Sorrel. So the light that "
    "ships see from 31 miles away stands on her work."
)


def list_request(task: Task) -> str:
    """The request for what a passage names."""
    return f"{task.title}\n{task.passage}\n\nList the people, places, things and ideas that this names, one a line."


def connect_request(task: Task, entities: Sequence[str]) -> str:
    """The request for a text on how entities of a passage are connected."""
    named = f"{', '.join(entities[:-1])} and {entities[-1]}"
    return f"{task.title}\n{task.passage}\n\nWrite a paragraph on how {named} are connected here."


@dataclass(frozen=True)
class _Part:
    """One text of an edit, about some entities."""

    task: Task
    edit: int
    entities: tuple[str, ...]


class EntigraphPolicy(Policy):
    """Writes self-edits of texts about pairs and triples of entities, divided by `---`.

    Args:
        max_new_tokens: of one edit, shared among its texts.
        shown: show worked examples.
    """

    def __init__(
        self,
        generator: Generator,
        prompter: Prompter,
        temperature: float = 1.0,
        top_p: float = 0.95,
        max_new_tokens: int = 512,
        shown: bool = True,
    ) -> None:
        self._generator, self._prompter = generator, prompter
        self._temperature, self._top_p, self._shown = temperature, top_p, shown
        self._tokens = max(1, max_new_tokens // (PAIRS + TRIPLES))

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        parts = [
            part
            for task, entities in zip(tasks, self._entities(tasks, model), strict=True)
            for part in _parts(task, entities, edits, seed)
        ]
        example = (connect_request(EXAMPLE, ("Edda Corvin", "the cape of Sorrel")), _CONNECTED)
        requests = [
            Request(
                self._prompter.chat_prompt(
                    connect_request(part.task, part.entities), "", [example] if self._shown else []
                ),
                model,
                self._tokens,
                temperature=self._temperature,
                top_p=self._top_p,
                seed=derive_seed(seed, part.task.id, part.edit, *part.entities),
            )
            for part in parts
        ]
        texts = [completion.text.strip() for completion in self._generator.generate(requests)]
        written = []
        for task in tasks:
            for number in range(edits):
                own = [t for p, t in zip(parts, texts, strict=True) if (p.task.id, p.edit) == (task.id, number) and t]
                text, key = "\n---\n".join(own), derive_seed(seed, task.id, number)
                written.append(SelfEdit(f"{task.id}.e{number}", task.id, FORMAT, "", text, key))
                if on_edit is not None:
                    on_edit(written[-1])
        return written

    def _entities(self, tasks: Sequence[Task], model: Model) -> list[list[str]]:
        """What each passage names, as far as it stands there."""
        examples = [(list_request(EXAMPLE), _LISTED)] if self._shown else []
        requests = [
            Request(self._prompter.chat_prompt(list_request(task), "1.", examples), model, _LIST_TOKENS)
            for task in tasks
        ]
        found = []
        for task, completion in zip(tasks, self._generator.generate(requests), strict=True):
            listed = {normalise(lesson.text): lesson.text for lesson in parse_lines(f"1.{completion.text}")}
            there = [name for name in listed.values() if answer_in_passage(name, f"{task.title}\n{task.passage}")]
            found.append(there[:_MOST])
        return found


def _parts(task: Task, entities: Sequence[str], edits: int, seed: int) -> list[_Part]:
    """Pairs and triples for each edit, drawn without repeats as long as there are some."""
    draw = random.Random(derive_seed(seed, task.id, "entities"))
    parts = []
    for size, count in ((2, PAIRS), (3, TRIPLES)):
        groups = list(combinations(entities, size))
        draw.shuffle(groups)
        drawn = groups[: edits * count]
        parts += [_Part(task, place // count, group) for place, group in enumerate(drawn)]
    return parts
