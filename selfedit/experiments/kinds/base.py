"""What an experiment has to know of a kind of task, beside how its domain trains and asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from selfedit.types import Task

if TYPE_CHECKING:
    from selfedit.experiments.runs.records import RunRecords
    from selfedit.report import Section


class ExperimentKind(ABC):
    """How tasks are read, compared and reported.

    Attributes:
        default_grader: how answers are graded where the configuration names no grader.
        domain_settings: what the domain is given where the configuration says nothing else.
        only_files: whether `read_tasks` takes nothing but files; else it may be given names.
        has_passages: whether a task's context is a passage.
        joint: whether several tasks may be learnt by one model, in the regimes many and sequential.
        names: what reports call conditions: training without a self-edit ('passage'), asking in context
            ('in-context'), and no update ('base').
    """

    default_grader: ClassVar[str]
    domain_settings: ClassVar[Mapping[str, Any]] = {}
    only_files: ClassVar[bool] = True
    has_passages: ClassVar[bool] = True
    joint: ClassVar[bool] = True
    names: ClassVar[Mapping[str, str]]

    @abstractmethod
    def read_tasks(self, path: Path, letter: str, questions: int | None = None) -> list[Task]:
        """The tasks of a file, their ids beginning with `letter` where they have none; at most so many questions each.

        Raises:
            UserError: the file is malformed; says where.
        """

    def sections(self, run: RunRecords) -> list[Section]:
        """What a report shows of such tasks alone."""
        return []
