"""Histories of any shape, also such as reconcile does not make: ties, clocks that stand still, backdated acts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.cases import changes as facts_of
from bridge.cases.calendar import Calendar
from bridge.cases.changes import Cause, CauseKind, Change, Fact, fold
from bridge.cases.measures.period import midnight, period_of
from bridge.cases.measures.rounds import Word
from bridge.cases.measures.tally import Tally
from bridge.cases.model import Answer, Attempt, Blocker, Case, Closure, Escalation, NextAction, Owner
from bridge.cases.snapshot import Priority
from bridge.cases.terms import (
    Action,
    AttemptOutcome,
    BlockerCategory,
    Channel,
    ClosureReason,
    OwnerKind,
    Status,
    Trigger,
)
from tests.unit.cases.measures import oracle
from tests.unit.cases.measures.test_oracle import as_compared, compare

ZONE = ZoneInfo("Europe/Berlin")
CALENDAR = Calendar(ZONE, holidays=frozenset({date(2026, 4, 3), date(2026, 4, 6)}))
START = datetime(2026, 3, 19, 23, tzinfo=UTC)
"""Midnight in Berlin, where the clock goes forward on 29 March."""
OWNERS = (
    Owner(OwnerKind.PERSON, "ann", "Ann"),
    Owner(OwnerKind.ROLE, "scheduler", "Schedulers"),
    Owner(OwnerKind.EHR, "Practitioner/1", "Dr. Oak"),
    Owner(OwnerKind.EHR, "Pat Example", "Pat Example"),
)
LANES = ("referral", "missed-call", "post-visit", "prior-authorization", "medication-refill")
OPEN = tuple(status for status in Status if status is not Status.CLOSED)

days = st.integers(0, 3).map(timedelta)
spans = st.one_of(days, st.timedeltas(timedelta(), timedelta(days=9)))
"""Often whole days, so that instants meet each other and the ends of periods."""
around = st.one_of(st.integers(-2, 2).map(timedelta), st.timedeltas(timedelta(days=-3), timedelta(days=3)))


words = st.builds(Word, st.integers(1, 12), st.integers(0, 60).map(lambda days: START + timedelta(days=days)))


@st.composite
def any_history(draw: st.DrawFn) -> list[Change]:
    """A history that folds, and keeps one rule: what is closed has the status closed, until it is reopened."""
    now = START + draw(spans)
    case = _opened(draw, now)
    history = [Change(case.id, 1, 1, now, Cause(CauseKind.SOURCE, "x"), facts_of.CaseOpened(case))]
    for version in range(2, draw(st.integers(2, 12))):
        now += draw(spans)
        cause = draw(st.sampled_from(CAUSES))
        for fact in draw(st.sampled_from(ACTS))(draw, case, now):
            change = Change(case.id, len(history) + 1, version, now, cause, fact)
            history.append(change)
            case = fold(case, change)
    return history


CAUSES = (Cause(CauseKind.SOURCE, "x"), Cause(CauseKind.PERSON, "ann"), Cause(CauseKind.SOURCE, "x", "merged"))


def _opened(draw: st.DrawFn, now: datetime) -> Case:
    return Case(
        id="c",
        connection="main",
        tenant="default",
        root="Task/1",
        lane=draw(st.sampled_from(LANES)),
        status=draw(st.sampled_from(OPEN)),
        priority=Priority.ROUTINE,
        patient=None,
        title="",
        requester=None,
        sources=(),
        owner=draw(st.sampled_from(OWNERS)),
        backup=None,
        next_action=None,
        due_at=draw(st.none() | around.map(lambda span: now + span)),
        blocker=None,
        opened_at=now - draw(spans),
        updated_at=now,
    )


def _close(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    closure = Closure(
        reason=draw(st.sampled_from(tuple(ClosureReason))),
        outcome="",
        evidence=draw(st.sampled_from(((), ("Task/1",), ("Observation/1",)))),
        by="x",
        at=now + draw(around),
    )
    moved: list[Fact] = [facts_of.StatusChanged(Status.CLOSED, case.status)] if case.is_open else []
    return [*moved, facts_of.CaseClosed(closure)]


def _reopen(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    if case.closure is None:
        return []
    return [facts_of.CaseReopened(case.closure), facts_of.StatusChanged(draw(st.sampled_from(OPEN)), case.status)]


def _status(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    return [facts_of.StatusChanged(draw(st.sampled_from(OPEN)), case.status)] if case.is_open else []


def _attempt(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    outcome = draw(st.sampled_from(tuple(AttemptOutcome)))
    at, own_id = now - draw(spans), str(len(case.outreach))
    return [facts_of.OutreachLogged(Attempt(id=own_id, at=at, channel=Channel.PHONE, outcome=outcome, by="ann"))]


def _visit(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    events = st.tuples(
        st.sampled_from(("missed", "cancelled", "waitlisted", "booked", "attended")),
        st.sampled_from(("Appointment/1", "Appointment/2")),
        st.none() | around.map(lambda span: now + span),
    )
    return [facts_of.VisitHappened(*event) for event in draw(st.lists(events, min_size=1, max_size=2))]


def _blocker(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    if case.blocker is not None and draw(st.booleans()):
        return [facts_of.BlockerCleared(case.blocker)]
    kind = draw(st.sampled_from((BlockerCategory.MISSING_DOCUMENTATION, BlockerCategory.TRANSPORT)))
    return [facts_of.BlockerRaised(Blocker(kind, draw(st.sampled_from(("a", "b"))), now, "x"))]


def _suggestion(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    rule = draw(st.sampled_from(("transport", "cost")))
    return [facts_of.SuggestionAnswered(Answer(str(len(case.answered)), rule, draw(st.booleans())))]


def _escalation(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    """A new one, or one that stands: a step further, acknowledged, acknowledged and asked anew, or resolved."""
    on = draw(st.sampled_from((None, *case.escalations)))
    if on is None or not on.is_open:
        trigger = draw(st.sampled_from((Trigger.PERSON, Trigger.OVERDUE)))
        begun_at = now - draw(spans)
        return [facts_of.Escalated(_escalation_to(level=1, since=now, trigger=trigger, begun_at=begun_at))]
    answer = draw(st.sampled_from(("step", "acknowledged_at", "resolved_at")))
    if answer == "step":
        again = replace(on, level=on.level + 1, since=now, acknowledged_at=None)
        return [facts_of.Escalated(again)]
    return [facts_of.Escalated(replace(on, **{answer: now}))]


def _escalation_to(**fields: Any) -> Escalation:
    return Escalation(to=OWNERS[0], why="", by="ann", **fields)


def _due(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    due_at = draw(st.none() | around.map(lambda span: now + span))
    return [facts_of.NextActionSet(NextAction(Action.SCHEDULE, ""), due_at)]


def _assign(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    return [facts_of.OwnerAssigned(draw(st.sampled_from(OWNERS)), None)]


def _known_better(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    opened_at = case.opened_at - draw(spans)
    return [
        facts_of.FactsChanged("", draw(st.sampled_from(tuple(Priority))), None, None, opened_at),
        facts_of.LaneChanged(draw(st.sampled_from(LANES)), case.lane),
    ]


def _merge(draw: st.DrawFn, case: Case, now: datetime) -> list[Fact]:
    if case.merged_into is not None:
        return [facts_of.CaseMerged(None), *_reopen(draw, case, now)]
    closure = Closure(reason=ClosureReason.DUPLICATE, outcome="", by="x", at=now)
    moved: list[Fact] = [facts_of.StatusChanged(Status.CLOSED, case.status)] if case.is_open else []
    return [*moved, facts_of.CaseClosed(closure), facts_of.CaseMerged("other")]


ACTS = (
    _close,
    _reopen,
    _reopen,
    _status,
    _attempt,
    _attempt,
    _visit,
    _visit,
    _blocker,
    _blocker,
    _suggestion,
    _escalation,
    _due,
    _assign,
    _known_better,
    _merge,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_history(), st.lists(words, max_size=3), st.integers(0, 25), st.integers(0, 25), spans)
def test_any_history_is_measured_as_by_brute_force(
    history: list[Change], told: list[Word], skipped: int, length: int, known: timedelta
) -> None:
    first = date(2026, 3, 20) + timedelta(days=skipped)
    last = first + timedelta(days=length)
    period = period_of(first, last, ZONE, midnight(first, ZONE) + known)
    tally = Tally(period, CALENDAR)

    tally.add(history, told)

    expected = oracle.figures([history], period.begins_at, period.until, CALENDAR, {"c": told})
    compare(tally.report(["main"]), expected)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_history(), st.lists(words, max_size=3), st.integers(1, 25))
def test_nothing_recorded_later_changes_a_period_that_is_over(
    history: list[Change], told: list[Word], length: int
) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    period = period_of(date(2026, 3, 20), date(2026, 3, 20) + timedelta(days=length), ZONE, now)
    whole, then = Tally(period, CALENDAR), Tally(period, CALENDAR)

    whole.add(history, told)
    then.add([one for one in history if one.at < period.ends_at], [one for one in told if one.at < period.ends_at])

    assert as_compared(whole.report([])) == as_compared(then.report([]))
