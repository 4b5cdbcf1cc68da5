"""Which model a name means, and how it is asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from selfedit.errors import UserError, nearest
from selfedit.memory.recall import Recall, Recalled
from selfedit.routing import Query
from selfedit.serve.errors import ApiError
from selfedit.session import Session
from selfedit.store import BASE
from selfedit.types import Model

ACTIVE = "selfedit"
"""The name of the version that is active when a request comes in."""

_HISTORY = 4
"""Earlier questions that a router looks at, as in `chat`."""

_MODELS = 128
"""Models that keep their identity, by which the batch finds their adapters in its slots."""


@dataclass(frozen=True)
class Served:
    """What a name meant when a request came in.

    Attributes:
        version: an id, or "base".
        sha256: the hash of its weights.
        recall: who answers for it; None for the base.
    """

    version: str
    sha256: str
    recall: Recall | None = None

    @property
    def name(self) -> str:
        """By which a client asks for this very one."""
        return BASE if self.recall is None else f"{ACTIVE}:{self.version}"


@dataclass(frozen=True)
class Listed:
    """A name that clients may use, and since when there is such a model, in seconds since 1970."""

    name: str
    created: int


@dataclass(frozen=True)
class Prompt:
    """Who might answer, and the tokens that each is given."""

    who: Recalled
    tokens: tuple[int, ...]


class Versions:
    """The versions of a session's store. Not to be used from two threads at once.

    A version is read when it is first asked. It never changes, so that whoever began under it goes on under it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._base = Model(session.base.ref)
        self._served: dict[str, Served] = {}
        self._models: OrderedDict[object, Model] = OrderedDict()

    @property
    def active(self) -> str:
        """The id of the active version, or "base"."""
        return self._session.store.active or BASE

    def names(self) -> list[Listed]:
        """All names, that of the active version first."""
        heads = self._session.store.heads()
        made = [(f"{ACTIVE}:{head.id}", _seconds(head.created)) for head in heads]
        newest = max((created for _, created in made), default=0)
        return [Listed(*pair) for pair in ((ACTIVE, newest), *made, (BASE, 0))]

    def resolve(self, name: str) -> Served:
        """What a name means at this moment.

        Raises:
            ApiError: 404, with the nearest name, where there is none such.
            UserError: the version cannot be read, or was made for another base.
        """
        id = self.active if name == ACTIVE else name.removeprefix(f"{ACTIVE}:")
        if id == BASE and name in (ACTIVE, BASE):
            return Served(BASE, self._session.base.fingerprint)
        if name != ACTIVE and (id == name or id not in self._ids()):
            hint = nearest(name, [listed.name for listed in self.names()])
            raise ApiError(404, f"There is no model {name!r}. {hint}", "model", "model_not_found")
        if id not in self._served:
            version = self._session.store.get(id)
            self._served[id] = Served(id, version.adapter_sha256, self._session.recall(version))
        return self._served[id]

    def chat(self, served: Served, turns: Sequence[tuple[str, str]], topic: str = "") -> list[Prompt]:
        """Who might answer the last of some turns, given as (role, text), and the prompt of each.

        The router looks at the last turn and at the user's earlier ones; whoever answers sees all of them. A question
        alone is put as `ask` puts it.

        Raises:
            ApiError: 400, the model's chat template does not take such turns.
        """
        *earlier, (_, question) = turns
        history = tuple(text for role, text in earlier if role == "user")[-_HISTORY:]
        try:
            return [
                Prompt(who, self._session.domain.ask(question, who.topic, earlier=earlier))
                for who in self._who(served, Query(question, topic, history))
            ]
        except ValueError as error:
            raise ApiError(400, str(error), "messages") from error

    def question(self, served: Served, question: str, earlier: Sequence[str] = ()) -> list[Prompt]:
        """Who might answer a question that stands alone, as `ask` puts it; earlier ones only help the router."""
        who = self._who(served, Query(question, "", tuple(earlier[-_HISTORY:])))
        return [Prompt(each, self._session.domain.ask(question, each.topic)) for each in who]

    def text(self, served: Served, prompt: str | Sequence[int]) -> list[Prompt]:
        """Who might go on with a text, and the text's tokens, to which nothing is added."""
        prompter = self._session.prompter
        tokens = prompter.text(prompt) if isinstance(prompt, str) else tuple(prompt)
        said = prompt if isinstance(prompt, str) else str(prompter.tokenizer.decode(list(prompt)))
        return [Prompt(who, tokens) for who in self._who(served, Query(said))]

    def _ids(self) -> tuple[str, ...]:
        """The ids of versions that may be asked: what waits for approval has to be tried first."""
        store = self._session.store
        return (*store.ids(), *store.ids("p"))

    def _who(self, served: Served, query: Query) -> tuple[Recalled, ...]:
        if served.recall is None:
            return (Recalled(self._base, query.topic),)
        try:
            (recalled,) = served.recall.recall([query])
        except UserError as error:  # An adapter is gone or damaged, which is no fault of the client's.
            raise ApiError(500, f"Version {served.version} cannot answer: {error}") from error
        return tuple(map(self._known, recalled.candidates))

    def _known(self, who: Recalled) -> Recalled:
        """The same, on the model of before where it is the same one."""
        if who.source is None:
            return who  # Kept by `Recall` itself.
        key = (who.adapters, who.source.policy)
        model = self._models.setdefault(key, who.model)
        self._models.move_to_end(key)
        if len(self._models) > _MODELS:
            self._models.popitem(last=False)
        return replace(who, model=model)


def _seconds(time: str) -> int:
    return int(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())
