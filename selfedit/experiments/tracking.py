"""Figures of a run, round by round, for the dashboards that people watch. The record itself is the run's folder."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from selfedit.errors import UserError


class Tracker(ABC):
    """Takes figures by name at a round. The same round again, as after a kill, replaces or repeats them."""

    @abstractmethod
    def log(self, number: int, figures: Mapping[str, float]) -> None:
        """Show the figures of a round."""

    @abstractmethod
    def close(self) -> None:
        """Write out what is left."""


class NoTracker(Tracker):
    """Shows nothing."""

    def log(self, number: int, figures: Mapping[str, float]) -> None:
        return

    def close(self) -> None:
        return


class TensorBoardTracker(Tracker):
    """Event files in the run's folder: `tensorboard --logdir runs`."""

    def __init__(self, folder: Path) -> None:
        self._writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard"))

    def log(self, number: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, number)

    def close(self) -> None:
        self._writer.close()


class TrackioTracker(Tracker):
    """A local trackio project: `trackio show --project selfedit`."""

    def __init__(self, folder: Path) -> None:
        self._trackio = importlib.import_module("trackio")
        self._trackio.init(project="selfedit", name=folder.name, resume="allow")

    def log(self, number: int, figures: Mapping[str, float]) -> None:
        self._trackio.log(dict(figures), step=number)

    def close(self) -> None:
        self._trackio.finish()


TRACKERS: dict[str, type[TensorBoardTracker] | type[TrackioTracker]] = {
    "tensorboard": TensorBoardTracker,
    "trackio": TrackioTracker,
}


def make_tracker(name: str | None, folder: Path) -> Tracker:
    """The tracker of that name, or one that shows nothing."""
    return NoTracker() if name is None else TRACKERS[name](folder)


def check_tracker(name: str | None) -> None:
    """Raise UserError if the tracker's package, which has its name, is not installed."""
    if name is not None and importlib.util.find_spec(name) is None:
        raise UserError(
            f"engine.tracking is '{name}', whose package is missing: pip install 'selfedit[{name}]', or leave it out."
        )
