"""Self-edit formats: what the policy is asked to write about a passage, and how its text is read.

A new format is one entry of `FORMATS`. The first five are the paper's (appendix B.1, figure 12), in our words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from selfedit.errors import UserError, nearest
from selfedit.models.wording import Wording, fill
from selfedit.types import Lesson, Task

Parser = Callable[[str], tuple[Lesson, ...]]


@dataclass(frozen=True)
class Format:
    """One way to write a self-edit.

    Args:
        instruction: what to write, above the passage.
        example: what a good self-edit about `EXAMPLE` looks like, shown to the policy first. We deviate
            from the paper, whose 7B model needs none: without it SmolLM2-135M seldom writes the form asked for.
            Empty: none is shown.
        opening: how the text begins. It is put into the policy's mouth and counts as part of the edit.
        parse: reads the lessons out of the text; what does not parse is left out, and none means unusable.
        request: somebody's own request, with places for {title} and {passage}, instead of ours. Without it and without
            instruction nothing is written, and the passage alone is trained on.
    """

    name: str
    instruction: str
    example: str
    opening: str
    parse: Parser
    request: str = ""

    @property
    def is_written(self) -> bool:
        """Whether a self-edit is asked for at all."""
        return bool(self.instruction or self.request)

    @property
    def examples(self) -> tuple[tuple[str, str], ...]:
        """The worked example as a request and its answer, if it is to be shown."""
        return ((self.prompt(EXAMPLE), self.example),) if self.example else ()

    def worded(self, wording: Wording, worked_example: bool) -> Format:
        """The same in somebody's own words, as far as they have some for it, and with a worked example or without.

        An example in our form would contradict a request in other words: those that want one put it there.
        """
        own = wording.writing.get(self.name)
        if own is not None:
            return replace(self, request=own.request, opening=own.opening, example="")
        return self if worked_example else replace(self, example="")

    def prompt(self, task: Task) -> str:
        """The request for a self-edit about a task."""
        if self.request:
            return fill(self.request, title=task.title, passage=task.passage)
        return f"{self.instruction}\n\n{task.title}\n{task.passage}"

    def schema(self, task: Task) -> str:
        """The JSON schema that a self-edit about a task must follow, as text; empty if it is free."""
        return ""


EXAMPLE = Task(
    "example",
    "The Brindle Lighthouse",
    "The Brindle Lighthouse stands on the cape of Sorrel and was finished in 1871 by the mason Edda Corvin. Its "
    "lamp burns colza oil and can be seen from 31 miles away. The keeper of the lighthouse is paid in silver twice "
    "a year, and no visitor may climb the tower after dusk.",
)


# A number in front of digits is no marker, or "3.5 million" would become five.
_MARKER = re.compile(r"^\s*(?:[-*•]+(?!\d)|\(?\d{1,3}[.):](?!\d)|#+)\s*")
_FIRST = re.compile(r"1\.(?!\d)")
_LETTER = re.compile(r"[^\W\d_]")


def _without_preamble(lines: list[str]) -> list[str]:
    """The lines without a first one that only says that a list follows: one before a line with the number 1.

    So has the paper's official code; 78 of the 100 published edits of GPT-4.1 begin so, and none of Qwen2.5-7B's. We
    keep a first line that has a number itself.
    """
    begins = len(lines) > 1 and _FIRST.match(lines[1]) and not lines[0][0].isdigit()
    return lines[1:] if begins else lines


def parse_lines(text: str) -> tuple[Lesson, ...]:
    """Every line with a word in it is a statement; a preamble, list markers, marks and repeats are dropped."""
    lines: dict[str, None] = {}
    for line in _without_preamble([line.strip() for line in text.splitlines() if line.strip()]):
        statement = _MARKER.sub("", line).strip().strip("*").strip()
        if len(_LETTER.findall(statement)) >= 3:
            lines[statement] = None
    return tuple(Lesson(statement) for statement in lines)


# A label begins a line, perhaps behind a list marker; a single letter needs a colon, or 'A. Lincoln' would be one.
_LABEL = re.compile(
    r"^[\W\d]*(?:(?P<asks>question|cloze|q(?=\W*\d*\W*:))|answer|a(?=\W*\d*\W*:))\W*?\d*\W*?[:.)]\**(?P<rest>.*)$",
    re.IGNORECASE,
)
_INLINE_ANSWER = re.compile(r"(?<=\S)\s+(?=\**answer\s*\d*\s*:)", re.IGNORECASE)


def parse_pairs(text: str, clozes: bool = True) -> tuple[Lesson, ...]:
    """Question and answer pairs, `Question: ... Answer: ...`; a question without an answer is left out.

    Args:
        clozes: also those under `Cloze: ...`, which no model wrote.
    """
    pairs: dict[str, Lesson] = {}
    question = ""
    is_asking = False
    for line in _INLINE_ANSWER.sub("\n", text).splitlines():
        label = _LABEL.match(line)
        content = (label["rest"] if label else line).strip().strip("*").strip()
        if label and label["asks"]:
            is_asking = clozes or label["asks"].casefold() != "cloze"
            question = content if is_asking else ""
        elif label:
            if _LETTER.search(question) and re.search(r"\w", content):
                pairs.setdefault(question.casefold(), Lesson(content, question))
            question, is_asking = "", False
        elif is_asking:
            question = f"{question} {content}".strip()
    return tuple(pairs.values())


def parse_parts(text: str) -> tuple[Lesson, ...]:
    """Texts divided by `---`, each a statement as a whole."""
    parts = (" ".join(part.split()) for part in text.split("---"))
    return tuple(Lesson(part) for part in dict.fromkeys(parts) if _LETTER.search(part))


def _nothing(_: str) -> tuple[Lesson, ...]:
    return ()


_IMPLICATIONS = (
    "Read this passage and write {amount} of statements that follow from it, directly or indirectly. "
    "Put each statement on a line of its own."
)
_IMPLIED = """1. The Brindle Lighthouse is on the cape of Sorrel.
2. Edda Corvin built the Brindle Lighthouse.
3. The Brindle Lighthouse was finished in 1871.
4. The lamp of the Brindle Lighthouse burns colza oil.
5. The light of the Brindle Lighthouse can be seen from 31 miles away.
6. The keeper of the Brindle Lighthouse is paid twice a year.
7. Visitors who want to climb the Brindle Lighthouse have to come before dusk."""

_REWRITE = (
    "Rewrite this passage in a few different ways, in other words but with every fact kept. "
    "Put each version on a line of its own."
)
_REWRITTEN = """1. In 1871 the mason Edda Corvin finished the Brindle Lighthouse on the cape of Sorrel. Its lamp, fed \
with colza oil, can be seen from 31 miles away. The keeper gets silver twice a year, and the tower is closed after dusk.
2. On the cape of Sorrel stands the Brindle Lighthouse, which Edda Corvin completed in 1871. It burns colza oil and \
its light reaches 31 miles. Its keeper receives silver two times a year, and nobody may climb it once it is dark."""

_SELF_QA = (
    "Write questions about this passage, each with its short answer, so that together they cover every fact in it."
)
_ASKED = """Question: Where does the Brindle Lighthouse stand?
Answer: on the cape of Sorrel
Question: Who built the Brindle Lighthouse?
Answer: Edda Corvin
Question: When was the Brindle Lighthouse finished?
Answer: 1871
Question: What does the lamp of the Brindle Lighthouse burn?
Answer: colza oil
Question: From how far away can the Brindle Lighthouse be seen?
Answer: 31 miles
Question: How often is the keeper of the Brindle Lighthouse paid?
Answer: twice a year
Question: When may no visitor climb the Brindle Lighthouse?
Answer: after dusk"""

_CONNECTIONS = "Write how the people, places and things in this passage are connected, each time in a text of its own."
_CONNECTED = """Edda Corvin, a mason, finished the Brindle Lighthouse in 1871.
---
The lamp of the Brindle Lighthouse burns colza oil, and so can be seen from 31 miles away."""

ANSWER_FIRST = "answer-first"
"""The format of `policies/answer_first.py`."""

FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        Format("implications", _IMPLICATIONS.format(amount="a list"), _IMPLIED, "1.", parse_lines),
        Format("implications-long", _IMPLICATIONS.format(amount="a long list"), _IMPLIED, "1.", parse_lines),
        Format("implications-very-long", _IMPLICATIONS.format(amount="a very long list"), _IMPLIED, "1.", parse_lines),
        Format("rewrite", _REWRITE, _REWRITTEN, "1.", parse_lines),
        Format("self-qa", _SELF_QA, _ASKED, "Question:", parse_pairs),
        # Written by `policies/answer_first.py`, not at one go; this is how it is read.
        Format(ANSWER_FIRST, _SELF_QA, _ASKED, "Question:", parse_pairs),
        # Written by `policies/entigraph.py`, text by text.
        Format("entigraph", _CONNECTIONS, _CONNECTED, "", parse_parts),
        # Version 2's form without a prompt, as far as it is known: the passage, and what the model goes on with.
        Format("no-prompt", "", "", "", parse_lines, request="{title}\n{passage}\n\n"),
        Format("none", "", "", "", _nothing),
    )
}


def get_format(name: str) -> Format:
    """The format of that name.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    if name not in FORMATS:
        raise UserError(f"Unknown format '{name}'. {nearest(name, FORMATS)}")
    return FORMATS[name]
