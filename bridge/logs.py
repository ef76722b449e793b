"""Logging: one line a record, as text or JSON, with ids and without anybody's data."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_FIELDS = ("connection", "stream", "case", "outbox", "source")
"""What a record may carry beside its words; ids only."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; a traceback without its locals."""
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class TextFormatter(logging.Formatter):
    """One line for a person; control characters cannot forge another."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, ids behind the words."""
        ids = " ".join(f"{name}={getattr(record, name)}" for name in _FIELDS if hasattr(record, name))
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        words = record.getMessage().encode("unicode_escape").decode("ascii")
        line = f"{at} {record.levelname.lower():7} {words}" + (f"  {ids}" if ids else "")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(level: str, form: str) -> None:
    """Log to standard error from *level* on; libraries only from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bridge").setLevel(level.upper())
    # A round that takes longer than its interval is no news: the next tick is simply the next one.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
