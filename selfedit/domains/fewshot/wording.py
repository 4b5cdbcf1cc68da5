"""How demonstrations, inputs and outputs are put into words, and read again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from selfedit.domains.fewshot.values import Kind
from selfedit.errors import UserError
from selfedit.models.prompt import Prompter
from selfedit.types import Demonstration, Value

WordingName = Literal["plain", "chat"]


class Wording(ABC):
    """One way to ask for an output.

    Args:
        end_token: ends an output where the wording has no token of its own for that.
    """

    def __init__(self, prompter: Prompter, end_token: int) -> None:
        self._prompter, self.end_token = prompter, end_token

    @abstractmethod
    def prompt(self, kind: Kind, demonstrations: Sequence[Demonstration], asked: Value) -> tuple[int, ...]:
        """The demonstrations and an input, up to where its output begins."""

    @abstractmethod
    def output(self, kind: Kind, value: Value) -> tuple[int, ...]:
        """The tokens of an output."""

    def read(self, kind: Kind, text: str) -> Value | None:
        """The output that a model wrote, or None if it wrote none."""
        return kind.read(text)


class PlainWording(Wording):
    """Input and output by turns, as text that goes on."""

    def __init__(self, prompter: Prompter, end_token: int) -> None:
        super().__init__(prompter, end_token)
        # Where the tokenizer makes one token of several digits, cells are kept apart by spaces.
        self._spaced = len(prompter.encode("00")) < 2

    def prompt(self, kind: Kind, demonstrations: Sequence[Demonstration], asked: Value) -> tuple[int, ...]:
        done = "".join(
            f"Input:\n{kind.write(pair.input)}\nOutput:\n{kind.write(pair.output)}\n\n" for pair in demonstrations
        )
        text = f"{done}Input:\n{kind.write(asked)}\nOutput:\n"
        return self._prompter.text(self._apart(text) if kind.name == "grid" else text)

    def output(self, kind: Kind, value: Value) -> tuple[int, ...]:
        text = kind.write(value)
        return self._prompter.encode(self._apart(text) if kind.name == "grid" else text)

    def _apart(self, text: str) -> str:
        """Rows of digits with spaces between them, where the tokenizer needs it."""
        if not self._spaced:
            return text
        return "\n".join(" ".join(line) if line.isdigit() else line for line in text.split("\n"))


class ChatWording(Wording):
    """A conversation: demonstrations in the system message, the input from the user, the output as the answer.

    Its form is that of the official code (few-shot/self-edit.py, lines 409 to 419; few-shot/arclib/messagers.py, lines
    198 to 277): a grid is printed as an array, an arrow stands between input and output, and a mark after the output.
    The sentence above the demonstrations is ours.

    Raises:
        UserError: the model has no chat template, or one without system messages.
    """

    _ABOVE: ClassVar[str] = (
        "The examples below show one transformation of inputs into outputs. Find out what it is, and apply it to the "
        "input that follows. Answer in the form of the examples.\n"
    )
    _ARROW, _MARK = " -> ", "#"

    def __init__(self, prompter: Prompter, end_token: int) -> None:
        super().__init__(prompter, end_token)
        if not prompter.takes_system:
            raise UserError(
                "domain_settings.prompt is 'chat', and this model's chat template takes no system message, or it has "
                "none. Use prompt: plain."
            )
        ends_turn = prompter.tokenizer.eos_token_id
        self.end_token = end_token if ends_turn is None else int(ends_turn)

    def prompt(self, kind: Kind, demonstrations: Sequence[Demonstration], asked: Value) -> tuple[int, ...]:
        lines = (f"{printed(pair.input)}{self._ARROW}{printed(pair.output)}{self._MARK}\n" for pair in demonstrations)
        return self._prompter.chat_prompt(printed(asked) + self._ARROW, system=self._ABOVE + "".join(lines))

    def output(self, kind: Kind, value: Value) -> tuple[int, ...]:
        return self._prompter.encode(printed(value) + self._MARK)

    def read(self, kind: Kind, text: str) -> Value | None:
        """A grid is read as there (few-shot/eval-self-edits.py, 305; few-shot/arclib/representers.py, 33 to 63).

        Brackets and the mark are no part of it, what stands between fences is all that counts, and the numbers fill as
        many rows as there are lines. What is no number, such as a comma, makes it unreadable.
        """
        if kind.name != "grid":
            return kind.read(text.strip().removesuffix(self._MARK))
        said = (text.split("```")[1] if "```" in text else text).replace(self._MARK, "").strip()
        cells = said.replace("[", "").replace("]", "").split()
        rows = said.count("\n") + 1
        width, left = divmod(len(cells), rows)
        if left or not width:
            return None
        try:
            numbers = list(map(int, cells))
            return kind.check([numbers[start : start + width] for start in range(0, len(numbers), width)])
        except ValueError:
            return None


def printed(value: Value) -> str:
    """A grid as an array is printed, `[[0 1]` and ` [2 3]]` on two lines; a text as it is."""
    if isinstance(value, str):
        return value
    rows = (f"[{' '.join(map(str, row))}]" for row in value)
    return "[" + "\n ".join(rows) + "]"


WORDINGS: dict[WordingName, type[Wording]] = {"plain": PlainWording, "chat": ChatWording}
