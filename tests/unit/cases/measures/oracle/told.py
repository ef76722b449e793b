"""A history as the oracle knows it: the whole case before and after each version, and the rounds these make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.cases.calendar import Calendar
from bridge.cases.changes import (
    CaseClosed,
    CaseReopened,
    Change,
    OutreachLogged,
    VisitHappened,
    fold,
)
from bridge.cases.model import Case
from bridge.cases.terms import OwnerKind

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


def lacking(told: Told, lacks: Callable[[Life], bool]) -> Iterator[Row]:
    for life, _, standing, _ in told.ended():
        if lacks(life):
            yield "x", standing, 0, ""
    if told.lives[-1].is_open and told.last.merged_into is None and lacks(told.lives[-1]):
        yield "?", told.last, 0, ""
