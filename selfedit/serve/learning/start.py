"""All that learns in a server: its model, its jobs, the thread that does them, and the watched folder."""

from __future__ import annotations

import sys
from dataclasses import replace

from selfedit.models.load import BaseModel
from selfedit.serve.learning.jobs import Jobs
from selfedit.serve.learning.runner import Runner
from selfedit.serve.learning.turns import SharedTurns
from selfedit.serve.learning.watch import Watcher
from selfedit.serve.metrics import Metrics
from selfedit.serve.settings import ServeSettings
from selfedit.session import Session
from selfedit.stream.start import StreamOptions

_SWITCH_S = 0.0001
"""Python lets another thread run after so long, instead of 5 ms. A pass over a model is hundreds of calls, and each may
have to wait for the other thread, where that is busy with Python alone, as when it reads documents."""


class Learning:
    """Learns beside answers. To be made before the session's model is wrapped.

    Args:
        metrics: of pauses and of jobs.

    Attributes:
        shared: the turns that answers have to take, too; None where they have a device of their own.

    Raises:
        UserError: another server learns into the same store, or the folder cannot be watched.
    """

    def __init__(self, session: Session, settings: ServeSettings, metrics: Metrics) -> None:
        chosen, self._switch_s = settings.learning, sys.getswitchinterval()
        turns = SharedTurns(chosen.share, chosen.slice_s, metrics.pauses.observe)
        self.shared: SharedTurns | None = turns if chosen.device is None else None
        if self.shared is not None:
            base = session.base.twin(turns)
            turns.attach(base.model)
        else:
            base = _elsewhere(session, chosen.device, turns)
        self.jobs = Jobs(session.store_path, settings.limits.jobs, turns.stop)
        self.jobs.open()
        self._runner = Runner(base, turns, session.store_path, self.jobs, chosen.settings, metrics)
        watching = Session(None, session.store_path, base=base)
        self._watcher = (
            Watcher(settings.watch, watching, self.jobs, chosen.settings, StreamOptions())
            if settings.watch is not None
            else None
        )

    def start(self) -> None:
        """Take up what was left."""
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


def _elsewhere(session: Session, device: str | None, turns: SharedTurns) -> BaseModel:
    """The base once more, on another device."""
    from selfedit.models.load import load

    base = load(session.model_name, device=device, progress=session.progress)
    return replace(base, turns=turns)
