"""A guard that asks a model: a moderation endpoint, or a classifier from the hub. No answer means: wait."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from selfedit.errors import UserError
from selfedit.guard.base import Guard, Known, Text
from selfedit.judge.chat import Endpoint, UnreachableError, from_environment
from selfedit.text.reading import shown
from selfedit.types import Flag

_VARIABLES = "SELFEDIT_GUARD"
_BATCH = 16
_BENIGN = re.compile(
    r"benign|safe|ok|okay|normal|neutral|clean|none|harmless|legit\w*|"
    r"not?[_ -]?\w+|non[_ -]?\w+|negative|ham|label_0|0",
    re.IGNORECASE,
)
"""Names that classifiers give to what is in order; `unsafe` is none of them."""


class ModelGuard(Guard):
    """Stops what another model flags.

    With SELFEDIT_GUARD_URL that is an OpenAI-compatible moderation endpoint (`URL/moderations`), and
    SELFEDIT_GUARD_MODEL its model; without, SELFEDIT_GUARD_MODEL is a text classifier: a Hugging Face id or a folder
    with safetensors. What could not be asked about waits, as if it were flagged.

    Raises:
        UserError: neither is named.
    """

    name = "model"
    reads_edits: ClassVar[bool] = True

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._endpoint = endpoint
        self._model = os.environ.get(f"{_VARIABLES}_MODEL", "").strip()
        if endpoint is None and (os.environ.get(f"{_VARIABLES}_URL", "").strip() or not self._model):
            if not self._model and not os.environ.get(f"{_VARIABLES}_URL", "").strip():
                raise UserError(
                    f"The guard 'model' needs {_VARIABLES}_MODEL: a classifier's Hugging Face id or folder or, with "
                    f"{_VARIABLES}_URL=http://localhost:8000/v1, the model of a moderation endpoint."
                )
            self._endpoint = from_environment(_VARIABLES, "The guard 'model'")

    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        flags: list[Flag] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            try:
                said = self._asked([text.whole for text in batch])
            except UnreachableError as error:
                why = f"it was not screened: the guard model gives no answer ({shown(error, 160)})"
                # The others would only find the same, and none of them is fine for that.
                return flags + [self.flag(text, text.passages[0], why) for text in texts[start:]]
            for text, categories in zip(batch, said, strict=True):
                if categories:
                    flags.append(self.flag(text, text.passages[0], f"the guard model says: {', '.join(categories)}"))
        return flags

    def _asked(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """What the model calls each text; nothing for one that is in order."""
        if self._endpoint is not None:
            return [tuple(shown(name, 60) for name in names) for names in self._endpoint.moderate(texts)]
        return [self._classified(text) for text in texts]

    def _classified(self, text: str) -> tuple[str, ...]:
        import torch

        tokenizer, model = self._classifier
        window = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512))
        tokens = tokenizer(
            text, truncation=True, max_length=window, stride=window // 4, return_overflowing_tokens=True, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        tokens.pop("overflow_to_sample_mapping", None)
        with torch.inference_mode():
            best = model(**tokens).logits.argmax(-1).tolist()
        labels = [str(model.config.id2label[index]) for index in best]
        return tuple(dict.fromkeys(shown(label, 60) for label in labels if not _BENIGN.fullmatch(label)))

    @cached_property
    def _classifier(self) -> tuple[Any, Any]:
        """The tokenizer and model, from safetensors and without code of their own.

        Raises:
            UnreachableError: they cannot be had, now at least.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(self._model, trust_remote_code=False)
            model: Any = AutoModelForSequenceClassification.from_pretrained(
                self._model, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError, ImportError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UnreachableError(f"{self._model} cannot be loaded: {first}") from None
        return tokenizer, model.eval()
