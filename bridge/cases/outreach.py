"""
What attempts to reach the patient lead to: the next attempt and when, and what is done when they were enough.

Attempts count from when the step that the case is at began to wait for somebody (``duties.work_begun_at``): what was
tried before a visit was missed says nothing about reaching the patient now.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bridge.cases.calendar import Calendar
from bridge.cases.lane_parts import Outreach
from bridge.cases.lanes import Lane
from bridge.cases.model import Attempt
from bridge.cases.quiet import RINGS
from bridge.cases.snapshot import Priority
from bridge.cases.terms import AttemptOutcome, Channel
from bridge.errors import CommandRefused

ANSWERED = frozenset({AttemptOutcome.REACHED, AttemptOutcome.DECLINED})
"""Outcomes in which the patient said something."""


def in_vain(attempts: Iterable[Attempt], since: datetime) -> list[Attempt]:
    """Return the attempts since the last one that was answered, oldest first; none from before *since*."""
    counted: list[Attempt] = []
    for attempt in sorted((one for one in attempts if one.at >= since), key=lambda one: (one.at, one.id)):
        counted = [] if attempt.outcome in ANSWERED else [*counted, attempt]
    return counted


def next_try(last: Attempt, policy: Outreach, priority: Priority, calendar: Calendar) -> datetime:
    """Return when the patient is to be tried again after *last*: not in quiet hours, but when they are over."""
    at = calendar.after(last.at, policy.wait[priority])
    return at if policy.quiet is None else policy.quiet.over(at, calendar.zone)


def check_channel(channel: Channel, lane: Lane) -> None:
    """
    Refuse an attempt by a way by which the lane does not approach patients.

    Raises:
        CommandRefused: The message says which ways there are.
    """
    if lane.outreach is not None and channel not in lane.outreach.channels:
        allowed = ", ".join(lane.outreach.channels)
        raise CommandRefused(
            f"Patients of lane {lane.name} are not approached by {channel}; they may be by {allowed}. "
            "What was done all the same belongs in a note."
        )


def disturbs(channel: Channel, at: datetime, lane: Lane, calendar: Calendar) -> bool:
    """Whether an attempt rang at the patient's in the lane's quiet hours."""
    quiet = lane.outreach.quiet if lane.outreach is not None and channel in RINGS else None
    return quiet is not None and quiet.holds(at, calendar.zone)
