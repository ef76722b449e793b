"""Open work: how old, how late, who has it, what holds it up, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from bridge.cases.measures.period import seconds_between
from bridge.cases.measures.rounds import Story, Stretch
from bridge.cases.measures.seeing import Part, Seen, Surroundings, is_work, still_open

_BANDS = ((2, "0 to 2 days"), (7, "3 to 7 days"), (14, "8 to 14 days"), (30, "15 to 30 days"), (90, "31 to 90 days"))
_OLDER = "more than 90 days"
BANDS = (*(name for _, name in _BANDS), _OLDER)
_DAY_SECONDS = 86_400


def open_age(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Open cases at the end of the period, and how long ago they were asked for or reopened."""
    for one in still_open(story, on):
        yield Seen(Part.MET, story.standing, on.elapsed(one.begun_at, on.period.until))


def open_age_bands(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Open cases at the end of the period by age; a band includes the last second of its last day."""
    for one in still_open(story, on):
        days = seconds_between(one.begun_at, on.period.until) // _DAY_SECONDS
        band = next((name for most, name in _BANDS if days <= most), _OLDER)
        yield Seen(Part.MET, story.standing, 1, band)


def open_by_owner(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Open cases at the end of the period by owner."""
    for _ in still_open(story, on):
        yield Seen(Part.MET, story.standing, 1, story.standing.owner)


def overdue_at_end(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Open cases at the end of the period: has their due time passed?"""
    until = on.period.until
    for one in still_open(story, on):
        late = any(stretch.ended_at == until and stretch.value < until for stretch in one.dues[-1:])
        yield Seen(Part.MET if late else Part.NOT_MET, story.standing)


def overdue_ever(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Rounds that were open in the period: were they past their due time in it at any moment?"""
    for one in story.rounds:
        held = [each for each in one.statuses if on.period.overlaps(each.began_at, each.ended_at)]
        if not held or not on.covers(held[-1].standing):
            continue
        late = any(_was_late(stretch, on) for stretch in one.dues)
        part = Part.MET if late else Part.NOT_MET
        yield Seen(part if is_work(story, one) else Part.EXCLUDED, held[-1].standing)


def _was_late(stretch: Stretch, on: Surroundings) -> bool:
    since: datetime = max(stretch.began_at, stretch.value, on.period.begins_at)
    return since < min(stretch.ended_at, on.period.until)


def next_step(story: Story, on: Surroundings) -> Iterator[Seen]:
    """How long each next action stood until another took its place or the round ended; by what was to be done."""
    for one in story.rounds:
        for stretch in one.steps if is_work(story, one) else ():
            if not on.covers(stretch.standing):
                continue
            action = stretch.value.code.value
            if on.period.holds(stretch.ended_at):
                yield Seen(Part.MET, stretch.standing, on.elapsed(stretch.began_at, stretch.ended_at), action)
            elif stretch.ended_at >= on.period.until:
                yield Seen(Part.PENDING, stretch.standing, category=action)


def time_by_status(story: Story, on: Surroundings) -> Iterator[Seen]:
    """How long cases were in each status during the period."""
    return _time_by("statuses", story, on)


def time_by_owner(story: Story, on: Surroundings) -> Iterator[Seen]:
    """How long each owner held open cases during the period."""
    return _time_by("owners", story, on)


def time_blocked(story: Story, on: Surroundings) -> Iterator[Seen]:
    """How long cases were held up by each kind of blocker during the period."""
    return _time_by("blockers", story, on)


def _time_by(track: str, story: Story, on: Surroundings) -> Iterator[Seen]:
    for one in story.rounds:
        if not is_work(story, one):
            continue
        for stretch in getattr(one, track):
            seconds = on.period.seconds_of(stretch.began_at, stretch.ended_at)
            if seconds and on.covers(stretch.standing):
                yield Seen(Part.MET, stretch.standing, seconds, str(stretch.value))


def blockers(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Blockers that were raised, by kind."""
    return (seen._replace(part=Part.MET, value=1) for seen in blockers_again(story, on))


def blockers_again(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Blockers that were raised: had the same kind held up the same case before?"""
    for one in story.rounds:
        for blocked in one.blocked:
            if is_work(story, one) and on.period.holds(blocked.recorded_at) and on.covers(blocked.standing):
                part = Part.MET if blocked.again else Part.NOT_MET
                yield Seen(part, blocked.standing, category=blocked.category.value)


def suggestions(story: Story, on: Surroundings) -> Iterator[Seen]:
    """What remarks suggested and people answered: did they agree?"""
    for one in story.rounds:
        for said in one.answers:
            if on.period.holds(said.recorded_at) and on.covers(said.standing):
                yield Seen(Part.MET if said.accepted else Part.NOT_MET, said.standing, category=said.rule)
