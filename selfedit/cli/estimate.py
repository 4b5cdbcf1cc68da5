"""`selfedit estimate`: what learning would take, before anything is loaded."""

from __future__ import annotations

import typer

from selfedit.cli import options, output
from selfedit.cli.learn_options import (
    EditFormat,
    Edits,
    EditsFrom,
    Epochs,
    MaxEditTokens,
    PassageTokens,
    Paths,
    Policy,
    Questions,
    QuestionsPerPassage,
    Rank,
    settings_of,
)
from selfedit.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "estimate", epilog=options.examples("selfedit estimate docs/", "selfedit estimate docs/ --edits 4 --json")
    )(_estimate)


def _estimate(
    paths: Paths,
    edits: Edits = None,
    format: EditFormat = None,
    policy: Policy = None,
    edits_from: EditsFrom = None,
    questions: Questions = None,
    questions_per_passage: QuestionsPerPassage = None,
    passage_tokens: PassageTokens = None,
    max_edit_tokens: MaxEditTokens = None,
    epochs: Epochs = None,
    rank: Rank = None,
    json: options.Json = False,
    seed: options.Seed = None,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Say what learning documents would take in passages, tokens, memory and time. Loads and downloads no model."""
    from selfedit.estimate import estimate, report
    from selfedit.learn.config import learn_config

    writing = {
        "edits": edits,
        "format": format,
        "policy": policy,
        "edits_from": edits_from,
        "questions": questions,
        "questions_per_passage": questions_per_passage,
        "passage_tokens": passage_tokens,
        "max_edit_tokens": max_edit_tokens,
    }
    config = learn_config(**settings_of(writing, {"epochs": epochs, "rank": rank}))
    estimated = estimate(paths, config, Session(model, store).model_name)
    if json:
        output.print_json(estimated.as_json())
    else:
        output.say(report(estimated))
