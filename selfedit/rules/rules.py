"""What a person has laid down for a store: how much may be learnt, from where, and who has to agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from selfedit.audit import checked_actor
from selfedit.errors import UserError
from selfedit.files.yaml_file import explained, read_mapping

_DAY_MINUTES = 24 * 60


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_names(value: Any) -> Any:
    value = _as_tuple(value)
    for name in value if isinstance(value, tuple) else ():
        if isinstance(name, str):
            try:
                checked_actor(name)
            except UserError as error:
                raise ValueError(str(error).rstrip(".")) from None
    return value


_Names = Annotated[tuple[str, ...], BeforeValidator(_as_names)]
_Folders = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class MarginRules(_Group):
    """What loss an update may bring at most. One that is given makes its gate a must, whatever a command says."""

    general: float | None = Field(default=None, ge=0, le=1, description="share of the general questions")
    retained: float | None = Field(
        default=None, ge=0, le=1, description="share of the questions about what was learnt before"
    )
    divergence: float | None = Field(default=None, ge=0, description="nats a token on plain texts")

    @property
    def given(self) -> dict[str, float]:
        """Those that are, by the name of their gate."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class DriftRules(_Group):
    """How far a version may be from the base on the fixed set of prompts."""

    divergence: float | None = Field(default=None, gt=0, description="nats a token")
    declined: float | None = Field(default=None, gt=0, le=1, description="change of the share of declined prompts")
    length: float | None = Field(default=None, gt=0, description="relative change of the answers' mean length")


class Rules(_Group):
    """The rules of a store. Where nothing is said, nothing is limited and nobody has to agree."""

    approval: Literal["never", "flagged", "always"] = Field(
        default="never", description="which updates a person has to approve"
    )
    approvers: _Names | None = Field(default=None, description="who may; not given: whoever may write to the store")
    updates_per_hour: int | None = Field(default=None, ge=1, description="most updates in 60 minutes")
    updates_per_day: int | None = Field(default=None, ge=1, description="most updates in 24 hours")
    minutes_between: float | None = Field(
        default=None, gt=0, le=365 * _DAY_MINUTES, description="least time from one update to the next"
    )
    documents_per_day: int | None = Field(default=None, ge=1, description="most documents read in 24 hours")
    tokens_per_day: int | None = Field(default=None, ge=16, description="most tokens of documents read in 24 hours")
    folders: _Folders | None = Field(
        default=None, description="document folders that may be learnt from; relative to the one the store is in"
    )
    margins: MarginRules = MarginRules()
    drift: DriftRules = DriftRules()
    guard: bool = Field(
        default=False, description="the guards that screen by default are a must, whatever a command says"
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Rules:
        if self.approvers == ():
            raise ValueError("approvers is empty, so that nobody may approve: name somebody, or leave it out")
        if self.approvers is not None and self.approval == "never":
            raise ValueError("approvers are named, but approval is 'never': make it 'flagged' or 'always'")
        if self.folders == ():
            raise ValueError("folders is empty, so that nothing may be learnt: name one, or leave it out")
        if any("\0" in folder or not folder.strip() for folder in self.folders or ()):
            raise ValueError("folders has a name that no folder can have")
        hour, day, between = self.updates_per_hour, self.updates_per_day, self.minutes_between
        if hour is not None and day is not None and hour > day:
            raise ValueError(f"updates_per_hour ({hour}) is more than updates_per_day ({day})")
        for what, number, minutes in (("hour", hour, 60), ("day", day, _DAY_MINUTES)):
            if number is not None and between is not None and (number - 1) * between >= minutes:
                raise ValueError(
                    f"{number} updates a {what} do not go with minutes_between {between:g}: at most "
                    f"{int(-(-minutes // between))} have room"
                )
        return self

    def allows(self, document: str, home: Path) -> bool:
        """Whether a document may be learnt from, links followed.

        Args:
            document: its path, relative to `home` or absolute.
            home: the folder that the store is in.
        """
        if self.folders is None:
            return True
        try:
            path = (home / document).resolve()
            return any(path.is_relative_to((home / Path(folder).expanduser()).resolve()) for folder in self.folders)
        except (OSError, RuntimeError, ValueError):  # A loop of links, or a name that none can have.
            return False


def read_rules(data: bytes, name: str, home: Path | None = None) -> Rules:
    """The rules that a YAML text holds.

    Args:
        name: of the file, for messages.
        home: the folder that the store is in, to look whether the folders exist; None does not look.

    Raises:
        UserError: something in it is unknown, of the wrong kind, or can never be met; the first such thing is named.
    """
    raw = read_mapping(data, name)
    try:
        rules = Rules(**raw)
    except ValidationError as error:
        raise UserError(f"{name}: {explained(error, Rules)}") from None
    for folder in (rules.folders or ()) if home is not None else ():
        assert home is not None
        if not _is_folder(home / Path(folder).expanduser()):
            raise UserError(
                f"{name}: 'folders' names {folder!r}, and there is no such folder in {home}. Make it, or mend the name."
            )
    return rules


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
