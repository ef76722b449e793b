"""Response and outreach, and visits, by brute force."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from bridge.cases.changes import (
    CauseKind,
    Change,
    OutreachLogged,
    VisitHappened,
)
from bridge.cases.model import Case
from tests.unit.cases.measures.oracle.told import Life, Measure, Row, Step, Told, answered, lacking


def _responses(told: Told, life: Life) -> list[tuple[datetime, Step]]:
    found = []
    for step in told.steps:
        first = step is life.steps[0]
        was_open = step.before is not None and step.before.closure is None
        for change in step.changes:
            if told._round_of(change, step) != life.steps[0].round or not (first or was_open):
                continue
            if isinstance(change.fact, OutreachLogged):
                found.append((change.fact.attempt.at, step))
            if change.cause.kind is CauseKind.PERSON and not first:
                found.append((change.at, step))
    return found


def first_response(told: Told) -> Iterator[Row]:
    for life in told.lives:
        acts = _responses(told, life)
        if acts:
            step = acts[0][1]
            if told.within(step.at):
                seconds = told.business(told.begun(life), min(at for at, _ in acts))
                yield "+" if told.works(life) else "x", step.standing, seconds, ""
    yield from lacking(told, lambda life: not _responses(told, life))


def callback(told: Told) -> Iterator[Row]:
    for life in told.lives:
        tries = told.attempts(life)
        if tries and told.within(tries[0][1].at):
            seconds = told.business(told.begun(life), min(attempt.at for attempt, _, _ in tries))
            yield "+" if told.works(life) else "x", tries[0][1].standing, seconds, ""
    yield from lacking(told, lambda life: not told.attempts(life))


def contact_rate(told: Told) -> Iterator[Row]:
    for step in told.steps:
        for change in step.changes:
            fact = change.fact
            if isinstance(fact, OutreachLogged) and change.cause.rule != "merged" and told.within(change.at):
                yield "+" if answered(fact.attempt) else "-", step.standing, 0, fact.attempt.channel.value


def attempts_by_person(told: Told) -> Iterator[Row]:
    for step in told.steps:
        for change in step.changes:
            fact = change.fact
            if isinstance(fact, OutreachLogged) and change.cause.rule != "merged" and told.within(change.at):
                yield "+", step.standing, 1, fact.attempt.by


def attempts_per_contact(told: Told) -> Iterator[Row]:
    for life in told.lives:
        tries = told.attempts(life)
        first = min((t for t in tries if answered(t[0])), key=lambda t: (t[0].at, t[0].id), default=None)
        if first is not None and told.within(first[1].at):
            number = sum((t[0].at, t[0].id) <= (first[0].at, first[0].id) for t in tries)
            yield "+" if told.works(life) else "x", first[1].standing, number, ""

    def in_vain(life: Life) -> bool:
        tries = told.attempts(life)
        return len(tries) > 0 and not any(answered(t[0]) for t in tries)

    yield from lacking(told, in_vain)


def _came(told: Told) -> Iterator[tuple[Life, Case, datetime, datetime, list[tuple[VisitHappened, Step, Change]]]]:
    everything = [(life, *event) for life in told.lives for event in told.visits(life)]
    for ref in {fact.ref for _, fact, _, _ in everything}:
        mine = [event for event in everything if event[1].ref == ref]
        over = [event for event in mine if event[1].event in ("attended", "missed")]
        if over and told.within(over[0][2].at):
            life, fact, step, _ = over[0]
            yield life, step.standing, mine[0][2].at, fact.at or step.at, [event[1:] for event in mine]


def confirmation(told: Told) -> Iterator[Row]:
    for life, standing, known, starts, events in _came(told):
        if not told.works(life) or known >= starts:
            yield "x", standing, 0, ""
            continue
        tries = [attempt for each in told.lives for attempt, _, _ in told.attempts(each)]
        met = any(attempt.outcome.value == "reached" and known <= attempt.at < starts for attempt in tries)
        for fact, step, _ in events:
            waited = step.before is not None and step.before.stage.value == "waiting-on-patient"
            met = met or (fact.event == "booked" and waited)
        yield "+" if met else "-", standing, 0, ""


def intake(told: Told) -> Iterator[Row]:
    runs = told.runs(lambda case: case.blocker.category.value if case.blocker else None)
    for life, standing, known, starts, _ in _came(told):
        missing = [run for run in runs if run[1] == "missing-documentation" and run[2] < starts and run[3] > known]
        if missing:
            met = not any(run[3] > starts for run in missing)
            yield ("x" if not told.works(life) else "+" if met else "-"), standing, 0, ""


def recovery(event: str) -> Measure:
    def measure(told: Told) -> Iterator[Row]:
        for life in told.lives:
            events = told.visits(life)
            for fact, step, change in events:
                if fact.event != event:
                    continue
                after = [
                    other[1].at
                    for other in events
                    if other[0].event in ("booked", "attended")
                    and (other[2].seq > change.seq or (other[1] is step and other[0].ref != fact.ref))
                ]
                if after:
                    what, at = "+", after[0]
                elif life.is_open:
                    yield "?", step.standing, 0, ""
                    continue
                else:
                    closing = life.closings[-1][1].reason.value
                    what = {"completed": "+", "cancelled-by-requester": "x"}.get(closing, "-")
                    at = max(step.at, life.closings[-1][0].at)
                if told.within(at):
                    yield what if told.works(life) else "x", step.standing, 0, ""

    return measure
