"""How work ends, and what is open, by brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from bridge.cases.model import Case
from tests.unit.cases.measures.oracle.told import DAY, Life, Measure, Row, Told, label


def conversion(told: Told) -> Iterator[Row]:
    for life, _, standing, _ in told.ended():
        met = any(fact.event in ("booked", "attended") for fact, _, _ in told.visits(life))
        yield ("x" if not told.works(life) else "+" if met else "-"), standing, 0, ""


def _reported(told: Told, life: Life) -> datetime | None:
    """Since when the case has stood with a report: a look at each state of its end, the last one first."""
    first, reason = None, life.closings[-1][1].reason
    for step in reversed(life.steps):
        closure = step.after.closure
        if closure is None or closure.reason is not reason or not any(map(_written, closure.evidence)):
            break
        first = step.at
    return first


def _written(named: str) -> bool:
    return "/" in named and named.split("/")[0] not in ("Task", "ServiceRequest", "Appointment", "MedicationRequest")


def report_back(told: Told) -> Iterator[Row]:
    for life, closing, standing, _ in told.ended():
        met = closing.reason.value == "completed" and _reported(told, life) is not None
        yield ("x" if not told.works(life) else "+" if met else "-"), standing, 0, ""


def loop_closure(told: Told) -> Iterator[Row]:
    for number, life in enumerate(told.lives):
        if not life.closings:
            continue
        step, closing = life.closings[-1]
        what, at, limit = "x", step.at, step.at + 7 * DAY
        if told.works(life):
            what = "-"
            if closing.reason.value == "completed":
                next_begins = [other.steps[0].changes[0].version for other in told.lives[number + 1 :]]
                ours = [w for w in told.words if step.changes[0].version <= w[0] and all(w[0] < v for v in next_begins)]
                marks = [_reported(told, life), min((heard for _, heard in ours), default=None)]
                known = [mark for mark in marks if mark is not None and mark <= limit]
                what, at = ("+", max(known)) if len(known) == 2 else ("-", limit)
        standing = life.closings[0][0].standing
        if what == "-" and at == limit and at >= told.until:
            yield "?", standing, 0, ""
        elif told.within(at):
            yield what, standing, 0, ""


def on_time(told: Told) -> Iterator[Row]:
    for life, closing, standing, _ in told.ended():
        due = life.steps[0].after.due_at if life.steps[0].after.closure is None else None
        met = due is not None and closing.reason.value == "completed" and closing.at <= due
        out = due is None or closing.reason.value == "cancelled-by-requester" or not told.works(life)
        yield ("x" if out else "+" if met else "-"), standing, 0, ""


def turnaround(reasons: set[str], *, business: bool) -> Measure:
    def measure(told: Told) -> Iterator[Row]:
        for life, closing, standing, _ in told.ended():
            if told.works(life) and closing.reason.value in reasons:
                clock = told.business if business else told.seconds
                yield "+", standing, clock(told.begun(life), closing.at), ""
            else:
                yield "x", standing, 0, ""
        if told.lives[-1].is_open and told.last.merged_into is None:
            yield "?", told.last, 0, ""

    return measure


def closure_reasons(told: Told) -> Iterator[Row]:
    for _, closing, standing, _ in told.ended():
        if told.last.merged_into is None:
            yield "+", standing, 1, closing.reason.value


def closed_by_owner(told: Told) -> Iterator[Row]:
    for life, _, standing, _ in told.ended():
        if told.works(life):
            yield "+", standing, 1, label(standing)


def _still_open(told: Told) -> Iterator[Case]:
    if told.last.closure is None and told.last.merged_into is None:
        yield told.last


def open_age(told: Told) -> Iterator[Row]:
    for case in _still_open(told):
        yield "+", case, told.seconds(told.begun(told.lives[-1]), told.until), ""


def open_age_bands(told: Told) -> Iterator[Row]:
    for case in _still_open(told):
        days = max(timedelta(), told.until - told.begun(told.lives[-1])).days
        band = (
            "0 to 2 days"
            if days < 3
            else "3 to 7 days"
            if days < 8
            else "8 to 14 days"
            if days < 15
            else "15 to 30 days"
            if days < 31
            else "31 to 90 days"
            if days < 91
            else "more than 90 days"
        )
        yield "+", case, 1, band


def open_by_owner(told: Told) -> Iterator[Row]:
    for case in _still_open(told):
        yield "+", case, 1, label(case)


def overdue_at_end(told: Told) -> Iterator[Row]:
    for case in _still_open(told):
        yield "+" if case.due_at is not None and case.due_at < told.until else "-", case, 0, ""


def overdue(told: Told) -> Iterator[Row]:
    statuses, dues = told.runs(lambda case: case.status), told.runs(lambda case: case.due_at)
    for life in told.lives:
        held = [
            run
            for run in statuses
            if run[0] is life and run[2] < told.until and (run[3] > told.begins or run[2] >= told.begins)
        ]
        if held:
            late = any(max(run[1], run[2], told.begins) < min(run[3], told.until) for run in dues if run[0] is life)
            yield ("x" if not told.works(life) else "+" if late else "-"), held[-1][4], 0, ""


def time_by(of: Callable[[Case], Any]) -> Measure:
    def measure(told: Told) -> Iterator[Row]:
        for life, value, begin, end, standing, _ in told.runs(of):
            seconds = told.seconds(max(begin, told.begins), min(end, told.until))
            if seconds and told.works(life):
                yield "+", standing, seconds, str(value)

    return measure


def next_step(told: Told) -> Iterator[Row]:
    for life, action, begin, end, standing, _ in told.runs(lambda case: case.next_action):
        if not told.works(life):
            continue
        if told.within(end):
            yield "+", standing, told.business(begin, end), action.code.value
        elif end >= told.until:
            yield "?", standing, 0, action.code.value
