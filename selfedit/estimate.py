"""What learning would take, from the documents, the shape of the model and a quick look at how fast this machine is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfedit.cost import (
    RUNTIME_BYTES,
    TRAINING_EFFICIENCY,
    activation_bytes,
    adapter_bytes,
    duration,
    matmul_rate,
    work_seconds,
)
from selfedit.errors import UserError
from selfedit.learn.budget import EFFORTS, KEPT_FREE, plan, with_effort
from selfedit.learn.config import DEFAULT_FORMAT, LearnConfig
from selfedit.learn.prepare import Material, read_sources, split_sources
from selfedit.memory import DEFAULT_MEMORY
from selfedit.models import resolve
from selfedit.models.shape import ModelShape, guess_shape, read_shape
from selfedit.policies.formats import ANSWER_FIRST, get_format
from selfedit.types import UPPER_HALF

_EDIT_TOKENS = 300  # as written; what is usable of it is less and grows with the passage
_LESSONS_A_PASSAGE_TOKEN = 2.5
_WHOLE_PASSAGE, _ITS_SENTENCES = 1.2, 1.0  # with their titles, a token of the passage
_PROMPT_TOKENS = 350  # the worked example and the request for a self-edit
_QUESTION_TOKENS, _ANSWER_TOKENS, _ASKING_TOKENS = 35, 12, 200

# Of answer-first edits, from four sets of documents (12 to 104 passages each) and what was written about two of them.
_SPANS_A_TOKEN = (0.052, 0.103, 0.135)  # with one, two, three answers of each sentence
_TRIED_AGAIN = 0.4  # of the spans, in each further attempt
_KEPT_QUESTIONS = 0.52
_UPPER_HALF_SHARE = 0.55  # of a pass, where adapters are on the upper half of the layers; by the count of products
_CLOZES_A_SPAN, _CLOZE_TOKENS = (0.33, 0.15, 0.05), 80  # with one, two (guessed), three answers of each sentence
_PAIR_TOKENS = 57  # under a title, of which neighbours share half
_ASKED_READ, _ASKED_DECODED = 50, 22  # for one question: asking it, and asking it back
_STATEMENT_TOKENS = (1.5, 1.6)  # a token of the passage: the whole, and its sentences

CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Estimate:
    """What a run would take. Everything but `passages` and, with `exact_tokens`, `tokens` is an estimate.

    `seconds` and `memory_gb` are None if the size of the model is not known. `efforts` is what less time buys, with the
    `--budget` in seconds that it takes, the most thorough first.
    """

    model: str
    documents: int
    passages: int
    tokens: int
    exact_tokens: bool
    edits: int
    questions: int
    training_tokens: int
    decoded_tokens: int
    read_tokens: int
    parameters: int | None
    matmul_gflops: float
    seconds: float | None
    memory_gb: float | None
    efficiency: float = TRAINING_EFFICIENCY
    efforts: tuple[tuple[float, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it, by name."""
        return asdict(self)


def estimate(paths: Sequence[Path], config: LearnConfig, model: str) -> Estimate:
    """Read the documents and estimate a run. Of the model only the tokenizer is loaded, and only if it is on disk.

    Raises:
        UserError: a file is missing, unreadable or malformed, or the model's name is unknown.
    """
    from selfedit.experiments.named_policy import NONE, starting_policy  # Which takes its time.

    source = resolve(model)
    source.check()
    if config.format is None and config.policy != NONE and (config.policy or starting_policy(model)):
        config = config.model_copy(update={"format": ANSWER_FIRST})
    sources = read_sources(paths, config)
    folder = source.cached()
    count = _counter(folder)
    material = split_sources(sources, config.passage_tokens, count)
    tokens = sum(count(task.passage) for task in material.tasks)
    shape = read_shape(folder) if folder is not None else guess_shape(model)
    rate, bytes_a_weight = matmul_rate()
    work = _Work.of(material, tokens, config)

    def seconds(settings: LearnConfig) -> float:
        return _Work.of(material, tokens, settings).seconds(shape.parameters, rate) if shape else 0.0

    less = [with_effort(config, effort) for effort in EFFORTS] if shape and config.format == ANSWER_FIRST else []
    return Estimate(
        model=model,
        documents=len(material.documents),
        passages=len(material.tasks),
        tokens=tokens,
        exact_tokens=folder is not None,
        edits=work.edits,
        questions=work.questions,
        training_tokens=work.training,
        decoded_tokens=work.decoded,
        read_tokens=work.read,
        parameters=shape.parameters if shape else None,
        matmul_gflops=round(rate / 1e9, 1),
        seconds=round(work.seconds(shape.parameters, rate), 1) if shape else None,
        memory_gb=round(_memory(shape, config, bytes_a_weight) / 1e9, 2) if shape else None,
        efforts=tuple((round(seconds(settings) / (1 - KEPT_FREE), 1), plan(settings)) for settings in less),
    )


MAX_HOURS = 12
"""What takes longer has to be asked for in so many words."""


def seconds_of(
    material: Material, count_tokens: Callable[[str], int], parameters: int
) -> Callable[[LearnConfig], float]:
    """How long learning the material takes on this machine, by settings: for a model of so many parameters."""
    tokens, rate = sum(count_tokens(task.passage) for task in material.tasks), matmul_rate()[0]
    return lambda config: _Work.of(material, tokens, config).seconds(parameters, rate)


def check_affordable(
    material: Material, config: LearnConfig, count_tokens: Callable[[str], int], parameters: int, max_hours: float
) -> None:
    """Raise UserError for work that would take longer than `max_hours`.

    Args:
        parameters: of the base model.
    """
    seconds = seconds_of(material, count_tokens, parameters)(config)
    if seconds > max_hours * 3600:
        raise UserError(
            f"This would take about {duration(seconds)} by the estimate of `selfedit estimate`; what takes more than "
            f"{max_hours:g} hours wants --yes. Fewer --epochs or --edits, or fewer documents, take less."
        )


def report(took: Estimate) -> str:
    """The estimate as plain lines."""
    counted = (
        "" if took.exact_tokens else f" (at {CHARACTERS_A_TOKEN} characters a token: {took.model} is not here yet)"
    )
    parameters = "unknown" if took.parameters is None else f"{took.parameters / 1e6:.0f} million"
    time_ = "unknown: the size of the model is not known before it is downloaded"
    memory = "unknown"
    if took.seconds is not None and took.memory_gb is not None:
        time_, memory = f"about {duration(took.seconds)}", f"about {took.memory_gb:.1f} GB"
    lines = [
        f"model            {took.model}, {parameters} parameters",
        f"documents        {took.documents} in {took.passages} passages of {took.tokens} tokens{counted}",
        f"self-edits       {took.edits}",
        f"questions        {took.questions}",
        f"training tokens  about {took.training_tokens}",
        f"decoded tokens   about {took.decoded_tokens}, and {took.read_tokens} read",
        f"memory           {memory}",
        f"time             {time_}",
        *(f"--budget {duration(seconds):<8} {said}" for seconds, said in took.efforts),
        "",
        f"An estimate: 4 x parameters x training tokens at {took.efficiency:.0%} of the matmul rate just measured",
        f"here ({took.matmul_gflops:.0f} GFLOP/s), and decoding. How long the self-edits get is not known beforehand.",
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Work:
    """Tokens of each kind of work."""

    edits: int
    questions: int
    training: int
    decoded: int
    read: int
    of_training: float = 1.0
    """The share of a whole pass that training takes, a token."""

    @classmethod
    def of(cls, material: Material, tokens: int, config: LearnConfig) -> _Work:
        passages = len(material.tasks)
        edits = passages * config.edits
        if config.format == ANSWER_FIRST:
            return cls._answer_first(material, tokens, config)
        writes = get_format(config.format or DEFAULT_FORMAT).is_written
        asks = material.probe_source is None
        questions = passages * config.questions_per_passage
        if not asks:
            questions = sum(len(task.probes) for task in material.tasks)
        edit_tokens = min(_EDIT_TOKENS, config.max_edit_tokens) if writes else 0
        lessons = min(_LESSONS_A_PASSAGE_TOKEN * tokens, edit_tokens * passages)
        once = (_WHOLE_PASSAGE + _ITS_SENTENCES * config.with_sentences) * tokens + lessons
        # Where there is a choice, every edit alone; and the best of each passage in the version's adapters.
        tried = config.edits if config.edits > 1 or not config.held_out else 0
        final = config.final(config.memory or DEFAULT_MEMORY)
        training = round(once * (tried * config.edit_training.epochs + final.epochs))
        # The base, every edit's adapter and the version are asked.
        asked = questions * (tried + 2)
        decoded = _answered(questions, asked, config) + passages * _ASKING_TOKENS * asks
        read = asked * _QUESTION_TOKENS * 2 + (passages * _PROMPT_TOKENS + tokens) * asks
        if writes and config.edits_from is None:
            decoded += edits * edit_tokens
            read += passages * _PROMPT_TOKENS + tokens
        return cls(edits, questions, training, decoded, read)

    @classmethod
    def _answer_first(cls, material: Material, tokens: int, config: LearnConfig) -> _Work:
        passages = len(material.tasks)
        edits = passages * config.edits
        most = min(config.spans, len(_SPANS_A_TOKEN)) - 1
        spans = _SPANS_A_TOKEN[most] * tokens
        drafts = spans * (config.wordings + _TRIED_AGAIN * (config.tries - 1))
        pairs = spans * config.wordings * _KEPT_QUESTIONS
        whole, sentences = _STATEMENT_TOKENS
        clozes = spans * _CLOZES_A_SPAN[most] * config.clozes
        once = (whole + sentences * config.with_sentences) * tokens + pairs * _PAIR_TOKENS + clozes * _CLOZE_TOKENS
        tried = config.edits if config.edits > 1 or not config.held_out else 0
        final = config.final(config.memory or DEFAULT_MEMORY)
        epochs = tried * config.edit_training.epochs + final.epochs
        asks = material.probe_source is None
        questions = passages * config.questions_per_passage * asks + sum(len(t.probes) for t in material.tasks)
        asked = questions * (tried + 2)
        written = drafts * config.edits + questions * asks / _KEPT_QUESTIONS
        decoded = round(written * _ASKED_DECODED + _answered(questions, asked, config))
        read = round(written * _ASKED_READ + asked * _QUESTION_TOKENS * 2)
        share = _UPPER_HALF_SHARE if final.target_modules == UPPER_HALF and not tried else 1.0
        return cls(edits, questions, round(once * epochs), decoded, read, share)

    def seconds(self, parameters: int, rate: float) -> float:
        """How long it takes a model of so many parameters, on a machine of that rate."""
        return work_seconds(parameters, rate, self.training * self.of_training, self.decoded, self.read)


def _answered(questions: int, asked: int, config: LearnConfig) -> int:
    """Tokens of all answers: a base model that does not know the answer talks until it is stopped."""
    return questions * config.max_answer_tokens + (asked - questions) * _ANSWER_TOKENS


def _counter(folder: Path | None) -> Callable[[str], int]:
    """Counts the tokens of a text; by its characters if there is no tokenizer."""
    if folder is None:
        return lambda text: math.ceil(len(text) / CHARACTERS_A_TOKEN)
    from transformers import AutoTokenizer

    from selfedit.models.quiet import quiet_transformers

    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _memory(shape: ModelShape, config: LearnConfig, bytes_a_weight: int) -> float:
    """Bytes of the frozen weights, the adapters with gradient and two moments, and the activations of one pass."""
    weights = shape.parameters * bytes_a_weight
    rank = max(config.edit_training.rank, config.final(config.memory or DEFAULT_MEMORY).rank)
    adapters = adapter_bytes(rank, shape.widths, config.slots)
    return weights + adapters + activation_bytes(config.token_budget, shape.widths, bytes_a_weight) + RUNTIME_BYTES
