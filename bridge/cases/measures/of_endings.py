"""How work ends: whether the loop was closed, how long it took, and for which reason."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.cases.measures.rounds import Closing, Round, Story
from bridge.cases.measures.seeing import Part, Seen, Surroundings, closed, is_work, still_open
from bridge.cases.model import ClosureReason

_NOT_NEEDED = frozenset({ClosureReason.CANCELLED_BY_REQUESTER})
_REBOOKED = ("booked", "attended")


def conversion(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended: was a visit booked or attended?"""
    for one, closing in closed(story, on):
        booked = any(visit.event in _REBOOKED for visit in one.visits)
        yield _judged(story, one, closing, met=booked)


def loop_closure(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that ended: as completed, with something that proves it?"""
    for one, closing in closed(story, on):
        yield _judged(story, one, closing, met=closing.reason is ClosureReason.COMPLETED and closing.proven)


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
