"""What fits a model's context window."""

from __future__ import annotations

from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.errors import UserError
from selfedit.learn.config import DEFAULT_FORMAT, LearnConfig
from selfedit.learn.prepare import Material, Sources
from selfedit.models.prompt import Prompter
from selfedit.policies.formats import Format, get_format
from selfedit.policies.questions import MAX_NEW_TOKENS
from selfedit.types import Task

_MIN_PASSAGE = 16
# Tokens of parts do not add up to those of the whole, and a long heading may be cut in two.
_MARGIN = 8


def passage_limit(sources: Sources, config: LearnConfig, prompter: Prompter, window: int) -> int:
    """The longest passage, at most `config.passage_tokens`, with which every prompt and training sequence fits.

    Raises:
        UserError: nothing is left for a passage.
    """
    title = max(
        len(prompter.encode(f"{document.title} - {section.heading}"))
        for document in sources.documents
        for section in document.sections
    )
    written = config.max_edit_tokens if config.edits_from is None else 0
    needs = {"the passage under its title": title}
    format_ = get_format(config.format or DEFAULT_FORMAT)
    if written and format_.is_written:
        prompt = _prompt_tokens(prompter, format_) + title
        needs[f"the prompt for a self-edit and --max-edit-tokens {written}"] = prompt + written
    if not sources.questions and not any(document.probes for document in sources.documents):
        prompt = _prompt_tokens(prompter, get_format("self-qa")) + title
        needs[f"the prompt for questions and {MAX_NEW_TOKENS} tokens to write them"] = prompt + MAX_NEW_TOKENS
    what, need = max(needs.items(), key=lambda item: item[1])
    room = window - need - _MARGIN
    if room < _MIN_PASSAGE:
        raise UserError(
            f"The model's window of {window} tokens is too small: {what} take {need}, which leaves no room for a "
            f"passage of {_MIN_PASSAGE}. Lower --max-edit-tokens, give --edits-from and --questions, or name another "
            "model with --model."
        )
    return min(config.passage_tokens, room)


def check_questions(material: Material, config: LearnConfig, domain: KnowledgeDomain, window: int) -> None:
    """Raise UserError for a question that, with its answer, does not fit the window."""
    for task in material.tasks:
        for probe in task.probes:
            gold = max(len(domain.answer(answer)) for answer in probe.answers[:1])
            need = len(domain.question(task, probe)) + max(config.max_answer_tokens, gold)
            if need > window:
                raise UserError(
                    f"The question '{probe.question[:60]}...' takes {need} tokens with its answer and does not fit the "
                    f"model's window of {window}. Shorten it or remove it."
                )


def _prompt_tokens(prompter: Prompter, format_: Format) -> int:
    return len(prompter.chat_prompt(format_.prompt(Task("", "", "")), format_.opening, format_.examples))
