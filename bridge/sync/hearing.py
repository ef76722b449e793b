"""
What is heard of a Subscription, and what is not: is it gone, silent, short of an event, or merely called active?

*Numbers.* A server counts the events it has told. A gap in them is caught up with once, and no number is ever a
reason to drop an event. HAPI 8.0.0 gives several events one number and begins anew when it restarts (seen
2026-11), athenahealth begins anew in every Bundle (its documentation, 2024): the first new beginning is caught up
with, for nobody knows what was before it; from the second on the numbers are not believed.

*Liveness.* That a server calls a Subscription active proves nothing. What the poll finds before anything was
heard of it is remembered, one change at a time. If nothing rings for it in time, it was missed. Three missed in a
row, with no event told in between, mean that notifications do not arrive. Nothing is written to the EHR to know
this.

These are functions over one row of the store; the shell keeps what they return.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec.structs import replace

from bridge.fhir.notification import Notification, NotificationKind
from bridge.fhir.subscription import Flavor, State
from bridge.store.rows import Subscribed

EVENTS = (NotificationKind.EVENT, NotificationKind.EVENTS)

PATIENCE = timedelta(minutes=2)
"""How long after a change its notification may come. HAPI 8.0.0 took 4 to 7 s, and a minute behind a dead
subscriber of somebody else's (seen 2026-11); beyond two it is no use (rule ours)."""

TOO_MANY = 3
"""So many changes missed in a row mean that notifications do not arrive (rule ours)."""

DISTRUSTED = 2
"""From so many new beginnings on event numbers are not believed (rule ours)."""

SLACK = timedelta(minutes=1)
"""A change this soon after a Subscription became active may be from before it: clocks differ (rule ours)."""


class Condition(StrEnum):
    """How much a Subscription is worth right now."""

    WORKING = "working"
    STARTING = "starting"
    """The EHR has not made it active yet."""
    FAILING = "failing"
    """The EHR ended it, calls it broken or never took it."""
    SILENT = "silent"
    """It is late with two heartbeats."""
    NOT_ARRIVING = "not-arriving"
    """It is called active, and changes come without a word."""


def condition(row: Subscribed, now: datetime) -> Condition:
    """Return how much *row*'s Subscription is worth."""
    if row.state == State.REQUESTED:
        return Condition.STARTING
    if row.state != State.ACTIVE:
        return Condition.STARTING if row.state == State.ABSENT and row.problem is None else Condition.FAILING
    if is_silent(row, now):
        return Condition.SILENT
    return Condition.NOT_ARRIVING if row.missed_in_row >= TOO_MANY else Condition.WORKING


def is_silent(row: Subscribed, now: datetime) -> bool:
    """Whether two heartbeats, which were agreed, did not come."""
    since = max((at for at in (row.heard_at, row.active_at) if at is not None), default=None)
    if row.heartbeat_seconds is None or since is None:
        return False
    return now - since > 2 * timedelta(seconds=row.heartbeat_seconds)


# Hearing --------------------------------------------------------------------------------------------------


def hears(row: Subscribed, said: Notification) -> bool:
    """Whether *said* came by *row*'s Subscription: it names it, or it is of the one type that this one tells of."""
    if said.subscription is not None:
        own_id = row.ref.partition("/")[2] if row.ref is not None else row.key
        return said.subscription in (row.key, own_id)
    types = {ref.partition("/")[0] for ref in said.foci}
    return row.flavor == Flavor.CLASSIC and (not types or not types.isdisjoint(row.types))


def heard(row: Subscribed, said: Notification, now: datetime) -> Subscribed:
    """Return *row* after a notification that came by it."""
    row = replace(row, heard_at=now)
    if said.status in (State.ERROR, State.OFF):
        row = replace(row, state=said.status)
    if said.kind in EVENTS:
        row = _counted(replace(row, rang_at=now, missed_in_row=0), said)
        if row.unheard_ref is not None and _names(said, row.unheard_ref):
            row = replace(row, unheard_ref=None, unheard_at=None)
    elif said.kind in (NotificationKind.HEARTBEAT, NotificationKind.STATUS):
        row = told_of(row, said.counter)
    return row


def _names(said: Notification, ref: str) -> bool:
    return not said.complete or ref in said.foci or ref.partition("/")[0] in said.foci


def _counted(row: Subscribed, said: Notification) -> Subscribed:
    """Return *row* with the event numbers of a notification taken into account."""
    numbers = [event.number for event in said.events if event.number is not None]
    if not numbers and said.counter is not None:
        numbers = [said.counter]
    if not numbers or row.restarts >= DISTRUSTED:
        return row
    first, last = min(numbers), max(numbers)
    began = _first_event(said)
    if began is not None and began == row.began:
        return row if row.counter is not None and last <= row.counter else replace(row, counter=last)
    row = replace(row, began=began or row.began)
    if row.counter is None:
        return replace(row, counter=last)
    if first > row.counter + 1:
        return replace(row, counter=last, gap=_wider(row.gap, (row.counter + 1, first - 1)))
    if last >= row.counter:
        return replace(row, counter=last)
    return _before(row, first, last)


def _first_event(said: Notification) -> str | None:
    """Return what tells the event of number 1 from another of that number, so that a repeat is no new beginning."""
    return next((f"{event.key} {event.at} {event.focus}" for event in said.events if event.number == 1), None)


def _before(row: Subscribed, first: int, last: int) -> Subscribed:
    """Return *row* after numbers below those that were heard: late, repeated, or counted anew."""
    if row.gap is not None and first <= row.gap[0] and last >= row.gap[1]:
        return replace(row, gap=None)
    if first > 1 or (row.gap is not None and last <= row.gap[1]):
        return row
    restarts = row.restarts + 1
    return replace(row, counter=last, restarts=restarts, gap=(1, last) if restarts < DISTRUSTED else None)


def told_of(row: Subscribed, counter: int | None) -> Subscribed:
    """Return *row* after the server said how many events it has told: what was not heard of them is a gap."""
    if counter is None or row.restarts >= DISTRUSTED:
        return row
    if row.counter is None or counter <= row.counter:
        return replace(row, counter=counter if row.counter is None else row.counter)
    return replace(row, counter=counter, gap=_wider(row.gap, (row.counter + 1, counter)))


def _wider(gap: tuple[int, int] | None, more: tuple[int, int]) -> tuple[int, int]:
    return more if gap is None else (min(gap[0], more[0]), max(gap[1], more[1]))


# What was not heard ---------------------------------------------------------------------------------------


def found_first(
    row: Subscribed,
    ref: str,
    changed_at: datetime,
    now: datetime,
    *,
    waiting: Collection[str],
    listening_since: datetime,
) -> Subscribed:
    """
    Return *row* after the poll brought a change that nobody had rung for.

    Args:
        changed_at: When, by the EHR's clock.
        waiting: What did ring and is still to be read again.
        listening_since: When somebody began to listen.
    """
    kind = ref.partition("/")[0]
    if kind not in row.types or row.unheard_ref is not None or row.active_at is None or row.state != State.ACTIVE:
        return row
    if ref in waiting or kind in waiting or changed_at < max(row.active_at, listening_since) + SLACK:
        return row
    if row.flavor == Flavor.CLASSIC and row.rang_at is not None and row.rang_at >= changed_at:
        return row
    return replace(row, unheard_ref=ref, unheard_at=now)


def judged(row: Subscribed, now: datetime) -> Subscribed:
    """Return *row* with a change that nobody rang for in time counted as missed."""
    if row.unheard_at is None or now - row.unheard_at < PATIENCE:
        return row
    missed, in_row = row.missed + 1, row.missed_in_row + 1
    return replace(row, unheard_ref=None, unheard_at=None, missed=missed, missed_in_row=in_row)
