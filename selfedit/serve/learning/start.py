"""All that learns in a server: its model, its jobs, the thread that does them, and the watched folder."""

from __future__ import annotations

import sys
from collections.abc import Callable

from selfedit.errors import UserError
from selfedit.serve.learning.jobs import Jobs
from selfedit.serve.learning.runner import Runner
from selfedit.serve.learning.turns import SharedTurns
from selfedit.serve.learning.watch import Watcher
from selfedit.serve.settings import ServeSettings
from selfedit.session import Session
from selfedit.stream.start import StreamOptions

_SWITCH_S = 0.0005
"""Python lets another thread run after so long, instead of 5 ms. A pass over a model is hundreds of calls, and each may
have to wait for the other thread, where that is busy with Python alone, as when it reads documents."""


class Learning:
    """Learns beside answers. To be made before the session's model is wrapped.

    Args:
        told: is given the seconds that each step of the answers waited.

    Raises:
        UserError: the settings do not suit a server, or the folder cannot be watched.
    """

    def __init__(self, session: Session, settings: ServeSettings, told: Callable[[float], None]) -> None:
        chosen = settings.learning
        self.turns = SharedTurns(chosen.share, chosen.slice_s, told)
        base = session.base.twin(self.turns)
        self.turns.attach(base.model)
        self.jobs = Jobs(session.store_path, settings.limits.jobs, self.turns.stop)
        self._runner = Runner(base, self.turns, session.store_path, self.jobs, chosen.settings)
        watching = Session(None, session.store_path, base=base)
        self._watcher = (
            Watcher(settings.watch, watching, self.jobs, chosen.settings, StreamOptions())
            if settings.watch is not None
            else None
        )

    def start(self) -> None:
        """Take up what was left. Raises UserError where another server learns into the same store."""
        self.jobs.open()
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        self._runner.start()
        if self._watcher is not None:
            self._watcher.start()

    def stop(self) -> None:
        """End; what is in work goes on from where it is with the next start."""
        if self._watcher is not None:
            self._watcher.stop()
        self._runner.stop()
        self.jobs.close()
        sys.setswitchinterval(self._switch_s)


def check_learning(session: Session, settings: ServeSettings) -> None:
    """Raise UserError unless a server could learn so."""
    chosen = settings.learning
    if not 0 < chosen.share < 1:
        raise UserError(f"--learning-share is {chosen.share:g}: give more than 0 and less than 1.")
    if not 0 < chosen.slice_s <= 60:
        raise UserError(f"--learning-pause is {chosen.slice_s:g}: give more than 0 and at most 60 seconds.")
    config = session.check_learn(**chosen.settings)
    for name in ("inner_loop", "generator"):
        if getattr(config, name) != "batched":
            raise UserError(f"{name} is '{getattr(config, name)}': a server learns with 'batched' alone.")
    if settings.watch is not None and settings.read_only:
        raise UserError("--watch learns, and --read-only writes nothing: leave one of them out.")
