"""What to do after a request failed: one pure function over one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.errors import (
    AuthExpired,
    CursorExpired,
    Gone,
    HeldBack,
    IncompleteScan,
    Moved,
    NotFound,
    OutcomeUnknown,
    PutOff,
    Refused,
    RemoteError,
    ServerFault,
    Throttled,
    Unreachable,
    UnsafeAnswer,
    VersionConflict,
)

SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600))
"""Waits between attempts; the first attempt is at once. Past the last, a person is asked (rule ours)."""

PAUSE = timedelta(seconds=30)
"""How long a server that is away, or asks us to wait without saying how long, is left alone."""


class Then(StrEnum):
    """The kinds of answer."""

    WAIT = "wait"
    """Try again later; this used up no attempt: the server was away or asked us to wait."""
    RETRY = "retry"
    """Try again later; this used up an attempt."""
    LOOK = "look"
    """Try again later, and look for what may have been written first."""
    PARK = "park"
    """A person has to act."""


@dataclass(frozen=True)
class Decision:
    """What to do, and when; ``channel_down`` means that nothing else can be sent to this server either."""

    then: Then
    at: datetime | None = None
    channel_down: bool = False


TABLE: Mapping[type[RemoteError], Then] = {
    Unreachable: Then.WAIT,
    Throttled: Then.WAIT,
    PutOff: Then.WAIT,
    HeldBack: Then.WAIT,
    AuthExpired: Then.WAIT,
    ServerFault: Then.RETRY,
    OutcomeUnknown: Then.LOOK,
    VersionConflict: Then.RETRY,
    Refused: Then.PARK,
    NotFound: Then.PARK,
    Moved: Then.PARK,
    Gone: Then.PARK,
    CursorExpired: Then.PARK,
    UnsafeAnswer: Then.PARK,
    IncompleteScan: Then.PARK,
}
"""Every error a request can end with (a test compares this with the tree in errors.py)."""


def decide(error: RemoteError, attempts: int, now: datetime, *, jitter: float) -> Decision:
    """
    Say what to do after *error*.

    Args:
        attempts: How many attempts were used up before this one.
        jitter: A random number from 0 to 1; spreads retries by up to a quarter of their wait.
    """
    then = TABLE[type(error)]
    if then is Then.PARK:
        return Decision(then)
    if then is Then.WAIT:
        asked = error.retry_at if isinstance(error, Throttled) else None
        return Decision(then, max(asked or now + PAUSE * (1 + jitter), now), channel_down=True)
    if attempts >= len(SCHEDULE):
        return Decision(Then.PARK)
    return Decision(then, now + SCHEDULE[attempts] * (1 + jitter / 4))
