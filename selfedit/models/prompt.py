"""From words to token ids: chat models get their chat template, base models plain text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from selfedit.models.wording import Wording

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptStyle = Literal["auto", "chat", "plain"]


_DATE = "26 Jul 2024"
"""What a chat template is told that today is: Llama's writes it into every prompt, which would change with the day."""


class Prompter:
    """Renders prompts for one tokenizer.

    Args:
        chat: use the tokenizer's chat template.
        wording: somebody's own words, for those who ask.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat: bool, wording: Wording | None = None) -> None:
        self.tokenizer, self.chat, self.wording = tokenizer, chat, wording or Wording()

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, without special tokens."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def text(self, text: str) -> tuple[int, ...]:
        """Token ids of a text that begins a sequence: with the tokenizer's own beginning, if it has one."""
        bos = self.tokenizer.bos_token_id
        starts_with_bos = bos is not None and self.tokenizer("")["input_ids"][:1] == [bos]
        return ((bos,) if starts_with_bos else ()) + self.encode(text)

    @cached_property
    def takes_system(self) -> bool:
        """Whether the chat template shows a system message."""
        from jinja2 import TemplateError

        try:
            return self.chat and "about" in self._rendered([_message("system", "about"), _message("user", "asked")])
        except TemplateError:  # Some templates raise.
            return False

    def chat_prompt(
        self, user: str, opening: str = "", examples: Sequence[tuple[str, str]] = (), system: str = ""
    ) -> tuple[int, ...]:
        """The prompt of a request, up to where the answer begins.

        In plain text that is after an empty line, unless the request ends in white space, and so says itself where.

        Args:
            system: what a chat model is told before; only where the template `takes_system`.
            opening: the first words of the answer, put into the model's mouth.
            examples: worked examples, (request, answer), shown before.
        """
        if not self.chat:
            shown = "".join(f"{asked}\n\n{answered}\n\n\n" for asked, answered in examples)
            gap = "" if user[-1:].isspace() else "\n\n"
            return self.text(f"{shown}{user}{gap}{opening}")
        messages = [
            message
            for asked, answered in (*examples, (user, ""))
            for message in (_message("user", asked), _message("assistant", answered))
        ][:-1]
        told = [_message("system", system)] if system else []
        return self.encode(f"{self._rendered([*told, *messages])}{opening}")

    def conversation(self, turns: Sequence[tuple[str, str]]) -> tuple[int, ...]:
        """The prompt of the next answer in a conversation of (role, text); for models with a chat template.

        Raises:
            ValueError: the template does not take these roles in this order.
        """
        from jinja2 import TemplateError

        try:
            return self.encode(self._rendered([_message(*turn) for turn in turns]))
        except TemplateError as error:
            raise ValueError(f"the model's chat template does not take these messages: {error}") from error

    def _rendered(self, messages: list[dict[str, str]]) -> str:
        return str(
            self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, date_string=_DATE)
        )


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
