"""
What attempts to reach the patient lead to: the next attempt and when, and what is done when they were enough.

Attempts count from when the step that the case is at began to wait for somebody (``duties.work_begun_at``): what was
tried before a visit was missed says nothing about reaching the patient now.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bridge.cases.calendar import Calendar
from bridge.cases.lanes import Outreach
from bridge.cases.model import Attempt, AttemptOutcome
from bridge.cases.snapshot import Priority

ANSWERED = frozenset({AttemptOutcome.REACHED, AttemptOutcome.DECLINED})
"""Outcomes in which the patient said something."""


def in_vain(attempts: Iterable[Attempt], since: datetime) -> list[Attempt]:
    """Return the attempts since the last one that was answered, oldest first; none from before *since*."""
    counted: list[Attempt] = []
    for attempt in sorted((one for one in attempts if one.at >= since), key=lambda one: (one.at, one.id)):
        counted = [] if attempt.outcome in ANSWERED else [*counted, attempt]
    return counted


def next_try(last: Attempt, policy: Outreach, priority: Priority, calendar: Calendar) -> datetime:
    """Return when the patient is to be tried again after *last*."""
    return calendar.after(last.at, policy.wait[priority])
