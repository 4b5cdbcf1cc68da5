"""What the rules let happen now, counted from the audit log. All is to be called under the store's lock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from selfedit.audit import AuditLog
from selfedit.errors import UserError
from selfedit.rules.rules import Rules

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class LimitError(UserError):
    """The rules do not let it happen now.

    Attributes:
        until: when they will; None where waiting does not help.
    """

    def __init__(self, message: str, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


def check_update(rules: Rules, log: AuditLog) -> None:
    """Raise LimitError unless one more update may take effect now."""
    between = None if rules.minutes_between is None else timedelta(minutes=rules.minutes_between)
    limits = [
        (rules.updates_per_hour, HOUR, "updates_per_hour"),
        (rules.updates_per_day, DAY, "updates_per_day"),
        (None if between is None else 1, between or DAY, "minutes_between"),
    ]
    spans = [span for number, span, _ in limits if number is not None]
    if not spans:
        return
    times = [entry.when for entry in log.within(max(spans)) if entry.action == "committed"]
    now = log.now()
    waits = [
        (times[number - 1] + span, name, number)
        for number, span, name in limits
        if number is not None and len(times) >= number and times[number - 1] > now - span
    ]
    if waits:
        until, name, number = max(waits)
        what = f"{name} is {rules.minutes_between:g}" if name == "minutes_between" else f"{name} is {number}"
        raise LimitError(
            f"The rules of this store allow no update now: {what}. The next is possible at {_said(until)}.", until
        )


def check_reading(rules: Rules, log: AuditLog, documents: Mapping[str, int]) -> None:
    """Raise LimitError unless these documents may be read now.

    Args:
        documents: tokens by the hash of each. Those that were read within a day are not counted again.
    """
    if rules.documents_per_day is None and rules.tokens_per_day is None:
        return
    read: dict[str, tuple[int, datetime]] = {}
    for entry in log.within(DAY):
        if entry.action == "read":
            tokens = entry.details.get("tokens", ())
            read |= {sha: (n, entry.when) for sha, n in zip(entry.hashes.get("document", ()), tokens, strict=False)}
    new = {sha: tokens for sha, tokens in documents.items() if sha not in read}
    for name, limit, used, wanted in (
        ("documents_per_day", rules.documents_per_day, len(read), len(new)),
        ("tokens_per_day", rules.tokens_per_day, sum(n for n, _ in read.values()), sum(new.values())),
    ):
        if limit is None or used + wanted <= limit or not new:
            continue
        begun = (
            f"The rules of this store do not allow this: {name} is {limit}, and with what was read in the last 24 hours"
        )
        if wanted > limit:
            raise LimitError(f"{begun} it would be {used + wanted}, and alone {wanted}. Learn fewer at once.")
        until = max(when for _, when in read.values()) + DAY
        raise LimitError(f"{begun} it would be {used + wanted}. There is room at {_said(until)} at the latest.", until)


def _said(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
