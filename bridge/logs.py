"""
Logging: one line a record, as text or JSON, with ids and without anybody's data.

An exception is told by its class and the lines it passed, never by its words: they may quote what was being worked
on. That holds for every record, whoever wrote it, and for what nobody caught.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from bridge.errors import BridgeError

_FIELDS = ("request", "connection", "stream", "case", "source", "outbox", "copy", "kept", "trace")
"""What a record may carry beside its words; ids only."""

LEVELS = ("warning", "error")
"""The levels that are counted."""

RECORDED: Counter[str] = Counter()
"""How many records of each level this process has logged."""

_now_about: ContextVar[Mapping[str, str]] = ContextVar("now_about", default={})  # noqa: B039 - never changed

log = logging.getLogger(__name__)


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Have every record that is logged meanwhile in this thread carry these ids (of ``_FIELDS``)."""
    given = {name: value for name, value in ids.items() if value is not None}
    token = _now_about.set({**_now_about.get(), **given})
    try:
        yield
    finally:
        _now_about.reset(token)


def where(error: BaseException) -> str:
    """
    Return an exception's class and the lines it passed, innermost first, and those of what it came from.

    Only errors of Bridge's own say more than that: their words hold nobody's data (``bridge.errors``).
    """
    told: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lines = " < ".join(
            f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno}"
            for frame in reversed(traceback.extract_tb(current.__traceback__)[-8:])
        )
        words = f" ({current})" if isinstance(current, BridgeError) else ""
        told.append(f"{type(current).__qualname__}{words} at {lines or 'no line'}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return ", from ".join(told)


class _Ids(logging.Filter):
    """Gives a record the ids of what is being worked on, and counts it."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _now_about.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        RECORDED["error" if record.levelno >= logging.ERROR else record.levelname.lower()] += 1
        return True


def _error(record: logging.LogRecord) -> str | None:
    error = record.exc_info[1] if record.exc_info else None
    return where(error) if error is not None else None


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; of an exception no more than ``where`` tells."""
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _words(record),
        }
        entry.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        error = _error(record)
        if error is not None:
            entry["error"] = error
        return json.dumps(entry, default=str)


class TextFormatter(logging.Formatter):
    """One line for a person; control characters cannot forge another."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, ids behind the words."""
        ids = " ".join(f"{name}={getattr(record, name)}" for name in _FIELDS if hasattr(record, name))
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        error = _error(record)
        said = f"{_words(record)}: {error}" if error is not None else _words(record)
        words = said.encode("unicode_escape").decode("ascii")
        return f"{at} {record.levelname.lower():7} {words}" + (f"  {ids}" if ids else "")


def _words(record: logging.LogRecord) -> str:
    """Return a record's words; of exceptions that a library puts into them, the class alone."""
    args = record.args
    if isinstance(args, tuple) and any(_is_foreign(value) for value in args):
        told = tuple(type(value).__qualname__ if _is_foreign(value) else value for value in args)
        return str(record.msg) % told
    if _is_foreign(record.msg):
        return type(record.msg).__qualname__
    return record.getMessage()


def _is_foreign(value: object) -> bool:
    return isinstance(value, BaseException) and not isinstance(value, BridgeError)


def handler_to(stream: TextIO, form: str) -> logging.Handler:
    """Return a handler that writes to *stream*, as ``text`` or ``json``, and counts what it writes."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(_Ids())
    return handler


def set_up(level: str, form: str) -> None:
    """Log to standard error from *level* on, also what nobody caught; libraries only from warning on."""
    root = logging.getLogger()
    root.handlers[:] = [handler_to(sys.stderr, form)]
    root.setLevel(logging.WARNING)
    logging.getLogger("bridge").setLevel(level.upper())
    # A round that takes longer than its interval is no news: the next tick is simply the next one.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # A collector of traces that is away is told of when spans are given up, not at every try.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        return
    log.critical("Bridge ended by a fault of its own", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        name = args.thread.name if args.thread is not None else "?"
        log.error("thread %s ended by a fault", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
