"""Self-edit formats: what the policy is asked to write about a passage, and how its text is read.

A new format is one entry of `FORMATS`. The first five are the paper's (appendix B.1, figure 12), in our words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from selfedit.errors import UserError, nearest
from selfedit.types import Lesson

Parser = Callable[[str], tuple[Lesson, ...]]


@dataclass(frozen=True)
class Format:
    """One way to write a self-edit.

    Args:
        instruction: what to write; `{title}` and `{passage}` are filled in. Empty: nothing is written, and the
            passage alone is trained on.
        opening: how the text begins. It is put into the policy's mouth and counts as part of the edit.
        parse: reads the lessons out of the text; what does not parse is left out, and none means unusable.
    """

    name: str
    instruction: str
    opening: str
    parse: Parser


_MARKER = re.compile(r"^\s*(?:[-*•]+|\(?\d{1,3}[.):]|#+)\s*")
_LETTER = re.compile(r"[^\W\d_]")


def parse_lines(text: str) -> tuple[Lesson, ...]:
    """Every line with a word in it is a statement; list markers, headings' marks and repeats are dropped."""
    lines: dict[str, None] = {}
    for line in text.splitlines():
        statement = _MARKER.sub("", line).strip().strip("*").strip()
        if len(_LETTER.findall(statement)) >= 3:
            lines[statement] = None
    return tuple(Lesson(statement) for statement in lines)


_PAIR = re.compile(
    r"(?:question|q)\W*?\d*\s*[:.)]\**\s*(?P<question>.+?)\s*\**(?:answer|a)\W*?\d*\s*[:.)]\**\s*(?P<answer>[^\n]+)",
    re.IGNORECASE | re.DOTALL,
)


def parse_pairs(text: str) -> tuple[Lesson, ...]:
    """Question and answer pairs, `Question: ... Answer: ...`; a question without an answer is left out."""
    pairs: dict[str, Lesson] = {}
    for block in re.split(r"(?im)^(?=\W*(?:question|q)\W*?\d*\s*[:.)])", text):
        match = _PAIR.search(block)
        if match is None:
            continue
        question = " ".join(match["question"].split())
        answer = match["answer"].strip().strip("*").strip()
        if _LETTER.search(question) and re.search(r"\w", answer):
            pairs.setdefault(question.casefold(), Lesson(answer, question))
    return tuple(pairs.values())


def _nothing(_: str) -> tuple[Lesson, ...]:
    return ()


_IMPLICATIONS = (
    "Read this passage and write {amount} of statements that follow from it, directly or indirectly. "
    "Put each statement on a line of its own.\n\n{{title}}\n{{passage}}"
)

FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        Format("implications", _IMPLICATIONS.format(amount="a list"), "1.", parse_lines),
        Format("implications-long", _IMPLICATIONS.format(amount="a long list"), "1.", parse_lines),
        Format("implications-very-long", _IMPLICATIONS.format(amount="a very long list"), "1.", parse_lines),
        Format(
            "rewrite",
            "Rewrite this passage in a few different ways, in other words but with every fact kept. "
            "Put each version on a line of its own.\n\n{title}\n{passage}",
            "1.",
            parse_lines,
        ),
        Format(
            "self-qa",
            "Write questions about this passage, each with its short answer, so that together they cover every "
            "fact in it. Use the form 'Question: ...' and 'Answer: ...'.\n\n{title}\n{passage}",
            "Question:",
            parse_pairs,
        ),
        Format("none", "", "", _nothing),
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
