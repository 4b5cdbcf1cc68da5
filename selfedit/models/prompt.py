"""From words to token ids: chat models get their chat template, base models plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Prompter:
    """Renders prompts for one tokenizer.

    Args:
        chat: use the tokenizer's chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat: bool) -> None:
        self.tokenizer, self.chat = tokenizer, chat

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, without special tokens."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def text(self, text: str) -> tuple[int, ...]:
        """Token ids of a text that begins a sequence: with the tokenizer's own beginning, if it has one."""
        bos = self.tokenizer.bos_token_id
        starts_with_bos = bos is not None and self.tokenizer("")["input_ids"][:1] == [bos]
        return ((bos,) if starts_with_bos else ()) + self.encode(text)

    def chat_prompt(self, user: str, opening: str = "", examples: Sequence[tuple[str, str]] = ()) -> tuple[int, ...]:
        """The prompt of a request, up to where the answer begins.

        Args:
            opening: the first words of the answer, put into the model's mouth.
            examples: worked examples, (request, answer), shown before.
        """
        if not self.chat:
            shown = "".join(f"{asked}\n\n{answered}\n\n\n" for asked, answered in examples)
            return self.text(f"{shown}{user}\n\n{opening}")
        messages = [
            message
            for asked, answered in (*examples, (user, ""))
            for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
        ][:-1]
        rendered = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return self.encode(f"{rendered}{opening}")
