"""Time for the simulated EHR: an injected clock and the two ways in which servers write instants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

Clock = Callable[[], datetime]
"""Returns the present as an aware UTC datetime."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ManualClock:
    """A clock that moves only when told to, so that a run can be repeated exactly."""

    def __init__(self, start_at: datetime) -> None:
        self._now = start_at.astimezone(UTC)

    def __call__(self) -> datetime:
        """Return the time this clock was set to."""
        return self._now

    def advance(self, **parts: float) -> None:
        """Move by ``timedelta(**parts)``; a negative amount steps back, as a corrected clock does."""
        self._now += timedelta(**parts)


def utc_now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


def micros(moment: datetime) -> int:
    """Return microseconds since 1970-01-01T00:00Z, the unit in which instants are compared."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def instant(moment: datetime) -> str:
    """Return a FHIR instant in UTC with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def http_date(moment: datetime) -> str:
    """Return the HTTP form (whole seconds, GMT) for ``Date`` and ``Last-Modified``."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)
