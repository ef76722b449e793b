"""How work ends: whether the loop was closed, how long it took, and for which reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from bridge.cases.measures.rounds import Closing, Round, Story
from bridge.cases.measures.seeing import Part, Seen, Surroundings, closed, is_work, still_open
from bridge.cases.terms import ClosureReason

_NOT_NEEDED = frozenset({ClosureReason.CANCELLED_BY_REQUESTER})
_REBOOKED = ("booked", "attended")
LOOP_CLOSES_WITHIN = timedelta(days=7)
"""So long after a referral ended its report and the word to whoever asked may still come."""


def conversion(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended: was a visit booked or attended?"""
    for one, closing in closed(story, on):
        booked = any(visit.event in _REBOOKED for visit in one.visits)
        yield _judged(story, one, closing, met=booked)


def report_back(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended: as completed, with a document or result?"""
    for one, closing in closed(story, on):
        met = closing.reason is ClosureReason.COMPLETED and closing.reported_at is not None
        yield _judged(story, one, closing, met=met)


def loop_closure(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended: did the report come back, and was whoever asked told, in time?"""
    for one in story.rounds:
        if one.closing is None or not on.covers(one.closing.standing):
            continue
        part, decided_at = _came_round(story, one, one.closing, on.period.until)
        if part is Part.PENDING or on.period.holds(decided_at):
            yield Seen(part, one.closing.standing)


def _came_round(story: Story, one: Round, closing: Closing, until: datetime) -> tuple[Part, datetime]:
    """Decided by the later of report and word; where one of them is missing, when the time for it is over."""
    if not is_work(story, one):
        return Part.EXCLUDED, closing.recorded_at
    if closing.reason is not ClosureReason.COMPLETED:
        return Part.NOT_MET, closing.recorded_at
    over_at, told_at = closing.recorded_at + LOOP_CLOSES_WITHIN, story.told_at(one)
    if closing.reported_at is not None and told_at is not None:
        round_at = max(closing.reported_at, told_at)
        if round_at <= over_at:
            return Part.MET, round_at
    return Part.NOT_MET if over_at < until else Part.PENDING, over_at


def on_time(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended: as completed, not later than they were due when they began?"""
    for one, closing in closed(story, on):
        due_at = one.first_due_at
        if due_at is None or closing.reason in _NOT_NEEDED:
            yield Seen(Part.EXCLUDED, closing.standing)
        else:
            met = closing.reason is ClosureReason.COMPLETED and closing.at <= due_at
            yield _judged(story, one, closing, met=met)


def _judged(story: Story, one: Round, closing: Closing, *, met: bool) -> Seen:
    if not is_work(story, one):
        return Seen(Part.EXCLUDED, closing.standing)
    return Seen(Part.MET if met else Part.NOT_MET, closing.standing)


def completion(story: Story, on: Surroundings) -> Iterator[Seen]:
    """From being asked for, or reopened, to being completed."""
    return _turnaround(frozenset({ClosureReason.COMPLETED}), story, on)


def decision(story: Story, on: Surroundings) -> Iterator[Seen]:
    """From being asked for, or reopened, to a yes or a no."""
    return _turnaround(frozenset({ClosureReason.COMPLETED, ClosureReason.DECLINED}), story, on)


def _turnaround(reasons: frozenset[ClosureReason], story: Story, on: Surroundings) -> Iterator[Seen]:
    for one, closing in closed(story, on):
        counts = is_work(story, one) and closing.reason in reasons
        value = on.elapsed(one.begun_at, closing.at) if counts else 0
        yield Seen(Part.MET if counts else Part.EXCLUDED, closing.standing, value)
    for _ in still_open(story, on):
        yield Seen(Part.PENDING, story.standing)


def closure_reasons(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended, by reason; also those that should never have been, but not merged cases."""
    for _, closing in closed(story, on):
        if not story.merged:
            yield Seen(Part.MET, closing.standing, 1, closing.reason.value)


def closed_by_owner(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended, by who owned them until then."""
    for one, closing in closed(story, on):
        if is_work(story, one):
            yield Seen(Part.MET, closing.standing, 1, closing.standing.owner)
