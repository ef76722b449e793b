"""
Every measure a second time, by brute force: the case is folded anew after each version, and looked at.

Nothing here is shared with ``bridge.cases.measures``: rounds, stretches and figures are found by comparing whole
states of the case with each other, sums by walking over all of them for every measure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from bridge.cases.calendar import Calendar
from bridge.cases.changes import (
    CaseClosed,
    CaseReopened,
    CauseKind,
    Change,
    Escalated,
    OutreachLogged,
    SuggestionAnswered,
    VisitHappened,
    fold,
)
from bridge.cases.model import Case, OwnerKind

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)

Row = tuple[str, Case, int, str]
"""What it is (``+`` in the numerator or measured, ``-`` not, ``x`` excluded, ``?`` pending), whose, how much, which."""


@dataclass
class Step:
    """One version: the case before (``None`` at first) and after, and what was written."""

    at: datetime
    before: Case | None
    after: Case
    changes: list[Change]
    round: int

    @property
    def standing(self) -> Case:
        return self.before or self.after


@dataclass
class Life:
    """One round: its steps from the one that began it to the last before the next round."""

    steps: list[Step]

    @property
    def closings(self) -> list[tuple[Step, Any]]:
        """Closings with another reason than the one before."""
        found: list[tuple[Step, Any]] = []
        for step in self.steps:
            told = [c.fact.closure for c in step.changes if isinstance(c.fact, CaseClosed)]
            if step.before is None and step.after.closure is not None:
                told = [step.after.closure]
            for closure in told:
                if not found or found[-1][1].reason != closure.reason:
                    found.append((step, closure))
        return found

    @property
    def is_open(self) -> bool:
        return not self.closings

    @property
    def over_at(self) -> datetime | None:
        return self.closings[0][0].at if self.closings else None


class Told:
    """A history as far as it was known at *until*."""

    def __init__(
        self,
        history: Iterable[Change],
        begins: datetime,
        until: datetime,
        calendar: Calendar,
        words: Iterable[tuple[int, datetime]] = (),
    ) -> None:
        self.begins, self.until, self.calendar = begins, until, calendar
        self.words = [(version, at) for version, at in words if at < until]
        known = [change for change in history if change.at < until]
        self.steps: list[Step] = []
        case: Case | None = None
        number = 1
        for version in sorted({change.version for change in known}):
            together = [change for change in known if change.version == version]
            before = case
            for change in together:
                case = fold(case, change)
                number += isinstance(change.fact, CaseReopened)
            assert case is not None
            self.steps.append(Step(together[0].at, before, case, together, number))
        numbers = sorted({step.round for step in self.steps})
        self.lives = [Life([step for step in self.steps if step.round == number]) for number in numbers]

    @property
    def last(self) -> Case:
        return self.steps[-1].after

    def within(self, at: datetime) -> bool:
        return self.begins <= at < self.until

    def begun(self, life: Life) -> datetime:
        return self.last.opened_at if life is self.lives[0] else life.steps[0].at

    def works(self, life: Life) -> bool:
        if self.last.merged_into is not None:
            return False
        if not life.closings:
            return True
        if life.closings[-1][1].reason.value in ("entered-in-error", "duplicate"):
            return False
        return life.closings[0][0] is not life.steps[0]

    def seconds(self, begin: datetime, end: datetime) -> int:
        return max(0, (end - begin) // SECOND)

    def business(self, begin: datetime, end: datetime) -> int:
        """Day by day, the part that lies in that day's opening hours."""
        zone, total = self.calendar.zone, timedelta()
        day = begin.astimezone(zone).date()
        while day <= end.astimezone(zone).date():
            if day.weekday() in self.calendar.hours and day not in self.calendar.holidays:
                opens, closes = (
                    datetime(day.year, day.month, day.day, at.hour, at.minute, tzinfo=zone).astimezone(UTC)
                    for at in self.calendar.hours[day.weekday()]
                )
                total += max(timedelta(), min(end, closes) - max(begin, opens))
            day += DAY
        return total // SECOND

    def ended(self) -> Iterator[tuple[Life, Any, Case, datetime]]:
        """Each round that ended in the period: its last closing, who had it, and when that was recorded."""
        for life in self.lives:
            if life.closings and self.within(life.closings[-1][0].at):
                yield life, life.closings[-1][1], life.closings[0][0].standing, life.closings[-1][0].at

    def attempts(self, life: Life) -> list[tuple[Any, Step, Change]]:
        return [
            (change.fact.attempt, step, change)
            for step in self._written_in(life)
            for change in step.changes
            if isinstance(change.fact, OutreachLogged) and self._round_of(change, step) == life.steps[0].round
        ]

    def _written_in(self, life: Life) -> list[Step]:
        number = life.steps[0].round
        return [step for step in self.steps if step.round in (number, number + 1)]

    def _round_of(self, change: Change, step: Step) -> int:
        """Within the step that reopens a case, what stands before the reopening belongs to the round before."""
        later = [c for c in step.changes if isinstance(c.fact, CaseReopened) and c.seq > change.seq]
        return step.round - len(later)

    def visits(self, life: Life) -> list[tuple[VisitHappened, Step, Change]]:
        return [
            (change.fact, step, change)
            for step in self._written_in(life)
            for change in step.changes
            if isinstance(change.fact, VisitHappened) and self._round_of(change, step) == life.steps[0].round
        ]

    def runs(self, of: Callable[[Case], Any]) -> list[tuple[Life, Any, datetime, datetime, Case, Case]]:
        """Stretches of an open round in which *of* gives the same: value, from, to, who stood at its end and begin."""
        found = []
        for life in self.lives:
            current: list[Any] | None = None
            steps = [step for step in life.steps if life.over_at is None or step.at <= life.over_at]
            for step in steps:
                over = life.closings and step.changes[0].version >= life.closings[0][0].changes[0].version
                value = None if over else of(step.after)
                if current is not None and current[0] != value:
                    found.append((life, current[0], current[1], step.at, step.standing, current[2]))
                    current = None
                if current is None and value is not None:
                    current = [value, step.at, step.standing]
                if over:
                    break
            if current is not None:
                found.append((life, current[0], current[1], self.until, self.last, current[2]))
        return found


Measure = Callable[[Told], Iterable[Row]]


def label(case: Case) -> str:
    coordinate = ("Practitioner", "PractitionerRole", "Organization", "CareTeam", "HealthcareService")
    if case.owner.kind is OwnerKind.EHR and case.owner.id.split("/")[0] not in coordinate:
        return "named-in-ehr"
    return case.owner.id


def answered(attempt: Any) -> bool:
    return attempt.outcome.value in ("reached", "declined")


# Response and outreach ----------------------------------------------------------------------------------------


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
    yield from _lacking(told, lambda life: not _responses(told, life))


def _lacking(told: Told, lacks: Callable[[Life], bool]) -> Iterator[Row]:
    for life, _, standing, _ in told.ended():
        if lacks(life):
            yield "x", standing, 0, ""
    if told.lives[-1].is_open and told.last.merged_into is None and lacks(told.lives[-1]):
        yield "?", told.last, 0, ""


def callback(told: Told) -> Iterator[Row]:
    for life in told.lives:
        tries = told.attempts(life)
        if tries and told.within(tries[0][1].at):
            seconds = told.business(told.begun(life), min(attempt.at for attempt, _, _ in tries))
            yield "+" if told.works(life) else "x", tries[0][1].standing, seconds, ""
    yield from _lacking(told, lambda life: not told.attempts(life))


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

    yield from _lacking(told, in_vain)


# Visits -------------------------------------------------------------------------------------------------------


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


def _recovery(event: str) -> Measure:
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


# Endings ------------------------------------------------------------------------------------------------------


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


def _turnaround(reasons: set[str], *, business: bool) -> Measure:
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


# Open work ----------------------------------------------------------------------------------------------------


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


def _time_by(of: Callable[[Case], Any]) -> Measure:
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


# Obstacles ----------------------------------------------------------------------------------------------------


def suggestions_accepted(told: Told) -> Iterator[Row]:
    for step in told.steps:
        for change in step.changes:
            fact = change.fact
            by_person = change.cause.kind is CauseKind.PERSON
            if isinstance(fact, SuggestionAnswered) and by_person and told.within(step.at):
                yield "+" if fact.answer.accepted else "-", step.standing, 0, fact.answer.rule


def _blockers(told: Told) -> Iterator[tuple[Case, str, bool]]:
    runs = told.runs(lambda case: case.blocker.category.value if case.blocker else None)
    for index, (life, kind, begin, _, _, standing) in enumerate(runs):
        if told.works(life) and told.within(begin):
            yield standing, kind, kind in {earlier[1] for earlier in runs[:index]}


def blockers(told: Told) -> Iterator[Row]:
    for standing, kind, _ in _blockers(told):
        yield "+", standing, 1, kind


def blockers_again(told: Told) -> Iterator[Row]:
    for standing, kind, again in _blockers(told):
        yield "+" if again else "-", standing, 0, kind


def _by_escalation(told: Told) -> list[list[tuple[Step, Change, Any]]]:
    """What was written of each escalation, from its first step on."""
    found: dict[tuple[str, datetime | None], list[tuple[Step, Change, Any]]] = defaultdict(list)
    for step in told.steps:
        for change in step.changes:
            if isinstance(change.fact, Escalated):
                now = change.fact.escalation
                found[now.trigger.value, now.begun_at].append((step, change, now))
    return list(found.values())


def escalations(told: Told) -> Iterator[Row]:
    for written in _by_escalation(told):
        for index, (step, change, now) in enumerate(written):
            is_step = index == 0 or written[index - 1][2].since != now.since
            if is_step and told.within(change.at) and change.cause.rule != "merged":
                yield "+", step.standing, 1, f"level {now.level}"


def escalations_by_trigger(told: Told) -> Iterator[Row]:
    for written in _by_escalation(told):
        step, change, now = written[0]
        if told.within(change.at) and change.cause.rule != "merged":
            yield "+", step.standing, 1, now.trigger.value


def escalation_answer(told: Told) -> Iterator[Row]:
    if told.last.merged_into is not None:
        return
    for written in _by_escalation(told):
        asked: tuple[Step, Change, Any] | None = None
        for index, (step, change, now) in enumerate(written):
            was = written[index - 1][2] if index else None
            if (was is None or was.since != now.since) and (was is None or _is_over(was)):
                if asked is not None:
                    yield from _unanswered(told, asked)
                asked = (step, change, now)
            if asked is not None and _is_over(now):
                if told.within(step.at) and not _error(_life_of(told, asked)):
                    yield "+", asked[0].standing, told.seconds(asked[2].since, step.at), now.trigger.value
                asked = None
        if asked is not None:
            yield from _unanswered(told, asked)


def _unanswered(told: Told, asked: tuple[Step, Change, Any]) -> Iterator[Row]:
    if not _error(_life_of(told, asked)):
        yield "?", asked[0].standing, 0, asked[2].trigger.value


def _life_of(told: Told, asked: tuple[Step, Change, Any]) -> Life:
    number = told._round_of(asked[1], asked[0])
    return next(life for life in told.lives if life.steps[0].round == number)


def _is_over(escalation: Any) -> bool:
    return escalation.acknowledged_at is not None or escalation.resolved_at is not None


def _error(life: Life) -> bool:
    return bool(life.closings) and life.closings[-1][1].reason.value in ("entered-in-error", "duplicate")


DECIDED = {"completed", "declined"}
MEASURES: dict[str, tuple[str, Measure, set[str]]] = {
    "first-response": ("distribution", first_response, set()),
    "callback": ("distribution", callback, {"missed-call"}),
    "contact-rate": ("proportion", contact_rate, set()),
    "attempts-per-contact": ("distribution", attempts_per_contact, set()),
    "attempts-by-person": ("count", attempts_by_person, set()),
    "confirmation": ("proportion", confirmation, set()),
    "intake": ("proportion", intake, set()),
    "no-show-recovery": ("proportion", _recovery("missed"), set()),
    "reschedule": ("proportion", _recovery("cancelled"), set()),
    "referral-conversion": ("proportion", conversion, {"referral"}),
    "referral-report": ("proportion", report_back, {"referral"}),
    "referral-loop-closure": ("proportion", loop_closure, {"referral"}),
    "on-time-post-visit": ("proportion", on_time, {"post-visit", "discharge"}),
    "completion": ("distribution", _turnaround({"completed"}, business=False), set()),
    "prior-authorization-turnaround": ("distribution", _turnaround(DECIDED, business=True), {"prior-authorization"}),
    "refill-turnaround": ("distribution", _turnaround(DECIDED, business=True), {"medication-refill"}),
    "open-age": ("distribution", open_age, set()),
    "open-age-bands": ("count", open_age_bands, set()),
    "open-by-owner": ("count", open_by_owner, set()),
    "overdue-at-end": ("proportion", overdue_at_end, set()),
    "overdue": ("proportion", overdue, set()),
    "next-step": ("distribution", next_step, set()),
    "time-by-status": ("time", _time_by(lambda case: case.status.value), set()),
    "time-by-owner": ("time", _time_by(label), set()),
    "blockers": ("count", blockers, set()),
    "blockers-again": ("proportion", blockers_again, set()),
    "suggestions-accepted": ("proportion", suggestions_accepted, set()),
    "time-blocked": ("time", _time_by(lambda case: case.blocker.category.value if case.blocker else None), set()),
    "escalations": ("count", escalations, set()),
    "escalations-by-trigger": ("count", escalations_by_trigger, set()),
    "escalation-answer": ("distribution", escalation_answer, set()),
    "closure-reasons": ("count", closure_reasons, set()),
    "closed-by-owner": ("count", closed_by_owner, set()),
}


def figures(
    histories: Iterable[Iterable[Change]],
    begins: datetime,
    until: datetime,
    calendar: Calendar,
    words: Mapping[str, Sequence[tuple[int, datetime]]] = MappingProxyType({}),
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return every measure's figures: code, then stratum (``whole`` too), then its value."""
    told = [
        Told(history, begins, until, calendar, words.get(history[0].case_id, ())) for history in map(list, histories)
    ]
    told = [one for one in told if one.steps]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for code, (kind, measure, lanes) in MEASURES.items():
        rows = [row for one in told for row in measure(one) if not lanes or row[1].lane in lanes]
        strata: dict[str, dict[str, list[Row]]] = {"whole": {"": rows}}
        for name, of in (
            ("lane", lambda row: row[1].lane),
            ("priority", lambda row: row[1].priority.value),
            ("owner", lambda row: label(row[1])),
            ("category", lambda row: row[3]),
        ):
            groups: dict[str, list[Row]] = defaultdict(list)
            for row in rows:
                groups[of(row)].append(row)
            strata[name] = dict(groups)
        found[code] = {
            name: {value: _figure(kind, mine) for value, mine in groups.items()} for name, groups in strata.items()
        }
    return found


def _figure(kind: str, rows: list[Row]) -> dict[str, Any]:
    if kind in ("count", "time"):
        totals: dict[str, int] = defaultdict(int)
        for _, _, amount, which in rows:
            totals[which] += amount
        return {"total": sum(totals.values()), "categories": dict(totals)}
    number = {sign: sum(row[0] == sign for row in rows) for sign in "+-x?"}
    if kind == "proportion":
        whole = number["+"] + number["-"]
        rate = number["+"] / whole if whole else None
        found = {"denominator": whole, "numerator": number["+"], "rate": rate}
    else:
        values = [row[2] for row in rows if row[0] == "+"]
        found = {
            "measured": len(values),
            "median": _rank(values, 0.5),
            "p90": _rank(values, 0.9),
            "least": min(values, default=None),
            "most": max(values, default=None),
            "total": sum(values),
        }
    return {**found, "excluded": number["x"], "pending": number["?"]}


def _rank(values: list[int], share: float) -> int | None:
    """The smallest value that at least this share of the values do not exceed, tried one after the other."""
    for value in sorted(set(values)):
        if sum(other <= value for other in values) >= math.ceil(round(share * len(values), 6)):
            return value
    return None
