"""How soon somebody acted, how the patient was reached, and who was asked to step in."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.cases.measures.rounds import REACHED, Round, Story
from bridge.cases.measures.seeing import Part, Seen, Surroundings, is_work, without


def first_response(story: Story, on: Surroundings) -> Iterator[Seen]:
    """From being asked for, or reopened, to the first thing that a person did."""
    for one in story.rounds:
        said = one.response
        if said is not None and on.period.holds(said.recorded_at) and on.covers(said.standing):
            part = Part.MET if is_work(story, one) else Part.EXCLUDED
            yield Seen(part, said.standing, on.elapsed(one.begun_at, said.at))
    yield from without(story, on, lambda one: one.response is None)


def first_attempt(story: Story, on: Surroundings) -> Iterator[Seen]:
    """From being asked for, or reopened, to the first attempt to reach the patient."""
    for one in story.rounds:
        tried = min(one.attempts, key=lambda tried: tried.recorded_at, default=None)
        if tried is not None and on.period.holds(tried.recorded_at) and on.covers(tried.standing):
            part = Part.MET if is_work(story, one) else Part.EXCLUDED
            first_at = min(each.attempt.at for each in one.attempts)
            yield Seen(part, tried.standing, on.elapsed(one.begun_at, first_at))
    yield from without(story, on, lambda one: not one.attempts)


def contacts(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Each attempt once, on the case on which it was made; by its channel."""
    for one in story.rounds:
        for tried in one.attempts:
            if not tried.copied and on.period.holds(tried.recorded_at) and on.covers(tried.standing):
                part = Part.MET if tried.attempt.outcome in REACHED else Part.NOT_MET
                yield Seen(part, tried.standing, category=tried.attempt.channel.value)


def attempts_by_person(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Each attempt once, by who made it."""
    for one in story.rounds:
        for tried in one.attempts:
            if not tried.copied and on.period.holds(tried.recorded_at) and on.covers(tried.standing):
                yield Seen(Part.MET, tried.standing, 1, tried.attempt.by)


def attempts_per_contact(story: Story, on: Surroundings) -> Iterator[Seen]:
    """How many attempts it took in a round until the patient was spoken with, that one included."""
    for one in story.rounds:
        tries = sorted(one.attempts, key=lambda tried: (tried.attempt.at, tried.attempt.id))
        number = next((n for n, tried in enumerate(tries, 1) if tried.attempt.outcome in REACHED), None)
        if number is None:
            continue
        reached = tries[number - 1]
        if on.period.holds(reached.recorded_at) and on.covers(reached.standing):
            yield Seen(Part.MET if is_work(story, one) else Part.EXCLUDED, reached.standing, number)
    yield from without(story, on, _in_vain)


def _in_vain(one: Round) -> bool:
    return bool(one.attempts) and all(tried.attempt.outcome not in REACHED for tried in one.attempts)


def escalations(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Each step of an escalation once, on the case on which it was taken; by level."""
    for one in story.rounds:
        for raised in one.raised:
            if not raised.copied and on.period.holds(raised.recorded_at) and on.covers(raised.standing):
                yield Seen(Part.MET, raised.standing, 1, f"level {raised.level}")


def escalations_by_trigger(story: Story, on: Surroundings) -> Iterator[Seen]:
    """Each escalation once, with its first step, on the case on which that was taken; by what triggered it."""
    seen = set()
    for one in story.rounds:
        for raised in one.raised:
            key = (raised.trigger, raised.begun_at)
            if key in seen:
                continue
            seen.add(key)
            if not raised.copied and on.period.holds(raised.recorded_at) and on.covers(raised.standing):
                yield Seen(Part.MET, raised.standing, 1, raised.trigger.value)


def escalation_answer(story: Story, on: Surroundings) -> Iterator[Seen]:
    """From somebody being asked to step in to an answer, on whatever step of the ladder; by what triggered it."""
    for one in story.rounds:
        for raised in one.raised:
            if not raised.asks or story.merged or one.never_was or not on.covers(raised.standing):
                continue
            if raised.answered_at is None:
                yield Seen(Part.PENDING, raised.standing, category=raised.trigger.value)
            elif on.period.holds(raised.answered_at):
                elapsed = on.elapsed(raised.since, raised.answered_at)
                yield Seen(Part.MET, raised.standing, elapsed, raised.trigger.value)
