"""One answer under way: who might give it, what they wrote so far, and what of it is already certain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from selfedit.generate.base import Completion, Request, TokenLogprobs
from selfedit.generate.row import Row
from selfedit.memory.recall import Recalled, sureness


@dataclass(frozen=True)
class Piece:
    """More of an answer that streams: text that is never taken back, and the tokens that came with it."""

    text: str
    tokens: tuple[int, ...]
    reported: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True)
class Ended:
    """An answer has ended. `tokens` counts all that were decoded for it, those of other candidates included."""

    completion: Completion
    taken: Recalled
    tokens: int


@dataclass(frozen=True)
class Failed:
    """There will be no answer, because of a fault here."""

    error: Exception


Event = Piece | Ended | Failed


@dataclass(frozen=True)
class Candidate:
    """Somebody who might answer, and what is asked of it."""

    who: Recalled
    request: Request


@dataclass(eq=False)
class Job:
    """One answer, by the surest of several candidates.

    Args:
        streams: whether pieces are wanted.
        tell: called with each event on the model's thread; it must not block.

    Attributes:
        first_token: when the first token that is certain was there, in seconds of `time.monotonic`.
    """

    candidates: Sequence[Candidate]
    streams: bool
    tell: Callable[[Event], None]
    rows: list[Row] = field(default_factory=list)
    first_token: float | None = None
    _texts: dict[Row, str] = field(default_factory=dict)
    _told: int = 0

    def entered(self, rows: list[Row]) -> None:
        """The candidates' rows, in their order, which are let in."""
        self.rows = rows
        self._texts = dict.fromkeys(rows, "")

    def losers(self) -> list[Row]:
        """Rows that cannot give the surest answer any more.

        A running answer can only become less sure: it has lost when one that has ended is as sure as that by then.
        """
        sure = {row: sureness(self._who(row), row.logprobs) for row in self._texts if row.tokens}
        ended = [row for row in self._texts if row.completion is not None]
        if not ended or len(self._texts) == 1:
            return []
        # The router's choice first, where two are as sure.
        best = max(ended, key=lambda row: (sure[row], -self.rows.index(row)))
        ahead = (sure[best], -self.rows.index(best))
        return [row for row in sure if row is not best and (sure[row], -self.rows.index(row)) < ahead]

    def drop(self, rows: list[Row]) -> None:
        """Some have lost."""
        for row in rows:
            del self._texts[row]

    def progressed(self, row: Row, piece: str) -> None:
        """A row got a token, and perhaps more text."""
        if row in self._texts:
            self._texts[row] += piece

    def settle(self) -> bool:
        """Tell what is certain by now; whether that is the whole answer."""
        if len(self._texts) != 1:
            return False
        ((row, text),) = self._texts.items()
        if row.tokens and self.first_token is None:
            self.first_token = time.monotonic()
        if self.streams and text:
            tokens, reported = tuple(row.tokens[self._told :]), tuple(row.reported[self._told :])
            self._told = len(row.tokens)
            self._texts[row] = ""
            self.tell(Piece(text, tokens, reported))
        if row.completion is None:
            return False
        self.tell(Ended(row.completion, self._who(row), sum(len(each.tokens) for each in self.rows)))
        return True

    def _who(self, row: Row) -> Recalled:
        return self.candidates[self.rows.index(row)].who
