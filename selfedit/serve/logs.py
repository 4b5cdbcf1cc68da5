"""One JSON object a line for each request. What users wrote and were answered is never in it."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import datetime, timezone
from typing import Any

LOGGER = logging.getLogger("selfedit.serve")


class JsonLines(logging.Formatter):
    """A record with the fields that it was given."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        fields = getattr(record, "fields", {})
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()} | fields
        if record.exc_info and record.exc_info[0] is not None:
            # Where it happened, not what was said: the message of an error may hold a user's text.
            frames = traceback.extract_tb(record.exc_info[2])
            line["error"] = record.exc_info[0].__name__
            line["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line)


def log(event: str, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """Write a line."""
    LOGGER.log(level, event, extra={"fields": fields}, exc_info=error)


def write_to_stderr() -> None:
    """Send the lines there, as a server does."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
