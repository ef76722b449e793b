"""Visits: whether the patient knew, whether everything was there, and what came of those that did not take place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from bridge.cases.measures.rounds import Round, Story, Visit
from bridge.cases.measures.seeing import Part, Seen, Surroundings, is_work
from bridge.cases.terms import AttemptOutcome, BlockerCategory, ClosureReason

_TOOK_TIME = ("attended", "missed")
_REBOOKED = ("booked", "attended")
_NOT_NEEDED = frozenset({ClosureReason.CANCELLED_BY_REQUESTER})


def confirmation(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Visits whose time came: had the patient been spoken with, or answered the EHR, before?"""
    for one, visit, known_at, starts_at in _times_that_came(story, on):
        if not is_work(story, one) or known_at >= starts_at:
            yield Seen(Part.EXCLUDED, visit.standing)
            continue
        spoken = any(
            tried.attempt.outcome is AttemptOutcome.REACHED and known_at <= tried.attempt.at < starts_at
            for each in story.rounds
            for tried in each.attempts
        )
        replied = any(each.event == "booked" and each.replied for each in _events_of(story, visit.ref))
        yield Seen(Part.MET if spoken or replied else Part.NOT_MET, visit.standing)


def intake(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Visits for which documents were missing: were they there when it began?"""
    for one, visit, known_at, starts_at in _times_that_came(story, on):
        missing = [
            stretch
            for each in story.rounds
            for stretch in each.blockers
            if stretch.value is BlockerCategory.MISSING_DOCUMENTATION
            and stretch.began_at < starts_at
            and stretch.ended_at > known_at
        ]
        if not missing:
            continue
        if not is_work(story, one):
            yield Seen(Part.EXCLUDED, visit.standing)
            continue
        complete = all(stretch.ended_at <= starts_at for stretch in missing)
        yield Seen(Part.MET if complete else Part.NOT_MET, visit.standing)


def _times_that_came(story: Story, on: Surroundings) -> Iterator[tuple[Round, Visit, datetime, datetime]]:
    """Yield each visit that took place or was missed, once, with since when it was known and when it began."""
    decided: set[str] = set()
    for one in story.rounds:
        for visit in one.visits:
            if visit.event not in _TOOK_TIME or visit.ref in decided:
                continue
            decided.add(visit.ref)
            if on.period.holds(visit.recorded_at) and on.covers(visit.standing):
                known_at = min(each.recorded_at for each in _events_of(story, visit.ref))
                yield one, visit, known_at, visit.starts_at or visit.recorded_at


def _events_of(story: Story, ref: str) -> Iterator[Visit]:
    return (visit for one in story.rounds for visit in one.visits if visit.ref == ref)


def no_show_recovery(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Visits that were missed: was there another one?"""
    return _recovery("missed", story, on)


def reschedule(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Visits that were called off: was there another one?"""
    return _recovery("cancelled", story, on)


def _recovery(event: str, story: Story, on: Surroundings) -> Iterator[Seen]:
    for one in story.rounds:
        for visit in one.visits:
            if visit.event == event and on.covers(visit.standing):
                part, decided_at = _recovered(visit, story, one)
                if part is Part.PENDING or (decided_at is not None and on.period.holds(decided_at)):
                    yield Seen(part, visit.standing)


def _recovered(visit: Visit, story: Story, one: Round) -> tuple[Part, datetime | None]:
    """Decided by the next visit in the same round, else by how the round ended, if it did."""
    following = (each for each in one.visits if each.event in _REBOOKED and _comes_after(each, visit))
    rebooked, closing = next(following, None), one.closing
    work = is_work(story, one)
    if rebooked is not None:
        return Part.MET if work else Part.EXCLUDED, rebooked.recorded_at
    if closing is None:
        return Part.PENDING, None
    decided_at = max(closing.recorded_at, visit.recorded_at)
    if not work or closing.reason in _NOT_NEEDED:
        return Part.EXCLUDED, decided_at
    return Part.MET if closing.reason is ClosureReason.COMPLETED else Part.NOT_MET, decided_at


def _comes_after(one: Visit, visit: Visit) -> bool:
    """What was recorded together has no order: another visit in it counts as the next."""
    return one.place > visit.place or (one.version == visit.version and one.ref != visit.ref)
