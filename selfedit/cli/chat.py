"""`selfedit chat`: a prompt that stays open."""

from __future__ import annotations

import json as json_
import sys
from dataclasses import dataclass, replace

import typer

from selfedit.cli import ask, options, output
from selfedit.errors import UserError
from selfedit.progress import Progress, make_progress
from selfedit.session import Asked, Session
from selfedit.text.harmless import harmless_json

_HISTORY = 4
"""Earlier questions that a router looks at."""

_HELP = "/topic TITLE   /version ID   /base   /help   /quit"


@dataclass(frozen=True)
class _Who:
    """Whom the next question is put to, what it is about, and what was asked before."""

    version: str | None
    base: bool
    topic: str
    history: tuple[str, ...] = ()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chat", epilog=options.examples("selfedit chat", "selfedit chat --compare < questions.txt"))(_chat)


def _chat(
    base: ask.Base = False,
    version: ask.Version = None,
    compare: ask.Compare = False,
    topic: ask.Topic = "",
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Answer question after question, with the model loaded once. Each question stands by itself.

    Only who answers depends on what was asked before: "When was it founded?" goes to what the last question was about.
    A line that begins with / is for the prompt; /help lists them. With --json, one object a line.
    """
    ask.check_who(base, compare, version)
    progress = make_progress(quiet)
    session = Session(model, store, device, progress)
    who = _Who(version, base, topic)
    if not base and not session.is_base(version):
        session.store.get(version)
    talks = sys.stdin.isatty() and not json
    if talks:
        output.say(f"Ask; an empty line or the end of the input ends it. {_HELP}")
    while True:
        try:
            line = input("> " if talks else "").strip()
        except EOFError:
            return
        if (not line and talks) or line == "/quit":
            return
        try:
            if line.startswith("/"):
                who = _told(session, who, line)
            elif line:
                _answer(session, who, line, compare and not who.base, json, progress)
                who = replace(who, history=(*who.history, line)[-_HISTORY:])
        except UserError as error:
            progress.note(f"error: {error}")
        except KeyboardInterrupt:
            if not talks:
                raise
            output.say("(stopped)")


def _told(session: Session, who: _Who, line: str) -> _Who:
    """What a line for the prompt changes."""
    command, _, rest = line.partition(" ")
    if command == "/topic":
        return replace(who, topic=rest.strip(), history=())
    if command == "/version":
        return replace(who, version=session.store.get(rest.strip() or None).id, base=False)
    if command == "/base":
        return replace(who, base=True)
    if command != "/help":
        raise UserError(f"There is no {command}. {_HELP}")
    output.say(_HELP)
    return who


def _answer(session: Session, who: _Who, question: str, compare: bool, json: bool, progress: Progress) -> None:
    topic = who.topic if who.base else ask.known_topic(session, who.version, who.topic, progress)
    asked = [Asked(question, who.version, who.base, topic, who.history)]
    reply, *bare = session.ask_all([*asked, *([Asked(question, None, True, topic)] if compare else [])])
    shown = {"question": question, "answer": reply.answer, "version": reply.version, "source": reply.source}
    if not json and (note := ask.answered_by(reply)):
        progress.note(note)
    if bare:
        shown["base_answer"] = bare[0].answer
    if json:
        print(harmless_json(json_.dumps(shown, ensure_ascii=False)), flush=True)
    elif bare:
        output.table(("base", str(reply.version)), [(bare[0].answer, reply.answer)])
    else:
        output.say(reply.answer)
