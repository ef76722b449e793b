"""What a manager may rely on, one careful point at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from bridge.cases.commands import Assign, ClearBlocker, Close, Escalate, Note, RaiseBlocker, Reopen, SetNextAction
from bridge.cases.measures.defining import Kind
from bridge.cases.measures.definitions import DEFINITIONS
from bridge.cases.measures.story import owner_label
from bridge.cases.measures.tally import Count, Distribution, Proportion, nearest_rank
from bridge.cases.model import Owner
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, ClosureReason, OwnerKind
from tests.unit.cases.builders import ASKED, NOW, Desk, a_snapshot, a_task, a_visit, call, taken
from tests.unit.cases.measures.figures import MONTH, measured, of_histories
from tests.unit.cases.measures.histories import rules

HOUR = 3600


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: one.code)
def test_nothing_at_all_is_none_and_not_zero_percent(definition: Any) -> None:
    figure = of_histories([], definition.code, MONTH, NOW + timedelta(days=60))

    expected = {
        Kind.PROPORTION: Proportion(denominator=0, numerator=0, excluded=0, pending=0, rate=None),
        Kind.DISTRIBUTION: Distribution(
            measured=0, excluded=0, pending=0, median=None, p90=None, least=None, most=None, total=0
        ),
    }
    assert figure == expected.get(definition.kind, Count(total=0, categories={}))


@pytest.mark.parametrize(
    ("values", "median", "ninth"),
    [([7], 7, 7), ([1, 2], 1, 2), ([1, 2, 3], 2, 3), (list(range(1, 11)), 5, 9), (list(range(1, 12)), 6, 10)],
    ids=str,
)
def test_median_and_percentile_are_values_that_occurred(values: list[int], median: int, ninth: int) -> None:
    assert (nearest_rank(values, 50), nearest_rank(values, 90)) == (median, ninth)


def test_first_response_counts_open_hours_from_when_it_was_asked_for() -> None:
    """Asked on Friday at 9 in New York, answered on Monday at 10: eight open hours and two."""
    desk = taken(a_snapshot())
    desk.do(Note(text="I look into it"))

    assert measured(desk, "first-response").median == 10 * HOUR


def test_an_attempt_made_before_the_work_was_asked_for_is_a_response_without_delay() -> None:
    desk = taken(a_snapshot())
    desk.do(call(at=ASKED - timedelta(days=1)))

    figure = measured(desk, "first-response")

    assert (figure.measured, figure.median) == (1, 0)


def test_a_case_that_nobody_answered_is_pending_while_open_and_left_out_once_it_ended() -> None:
    desk = taken(a_snapshot())
    desk.pass_time(days=1)

    waiting = measured(desk, "first-response", running=True)
    desk.take(a_snapshot(status="completed", version=30))
    ended = measured(desk, "first-response")

    assert (waiting.measured, waiting.pending, waiting.excluded) == (0, 1, 0)
    assert (ended.measured, ended.pending, ended.excluded) == (0, 0, 1)


def test_each_round_of_a_reopened_case_is_an_interval_of_its_own() -> None:
    desk = taken(a_snapshot())
    desk.do(Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    desk.pass_time(days=5)
    desk.do(Reopen(why="not over"))
    desk.pass_time(hours=3)
    desk.do(Close(reason=ClosureReason.COMPLETED, outcome="seen again"))

    figure = measured(desk, "completion")

    asked_to_first = int((NOW - ASKED).total_seconds())
    assert (figure.measured, figure.least, figure.most) == (2, 3 * HOUR, asked_to_first)


def test_reopening_is_no_response_to_being_open_again() -> None:
    desk = taken(a_snapshot())
    desk.do(Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    desk.pass_time(hours=1)
    desk.do(Reopen(why="not over"))
    desk.pass_time(hours=1)

    figure = measured(desk, "first-response", running=True)

    assert (figure.measured, figure.pending) == (1, 1)


def test_what_was_entered_in_error_counts_nowhere_but_among_the_reasons() -> None:
    desk = taken(a_snapshot())
    desk.do(call())
    desk.take(a_snapshot(status="entered-in-error", version=30))

    assert measured(desk, "first-response").measured == 0
    assert measured(desk, "completion").excluded == 1
    assert measured(desk, "time-by-status").total == 0
    assert measured(desk, "closure-reasons").categories == {"entered-in-error": 1}


def test_an_attempt_counts_once_when_its_case_is_merged_and_once_when_it_is_split_off_again() -> None:
    desk = taken(a_task(parent=None))
    desk.do(call(AttemptOutcome.REACHED), root="Task/1")
    desk.take(a_snapshot())
    desk.pass_time(hours=1)
    desk.take(a_task(version=30))
    merged = measured(desk, "contact-rate"), measured(desk, "attempts-per-contact"), measured(desk, "open-age")
    desk.pass_time(hours=1)
    desk.take(a_task(version=31, parent=None))

    contacts, per_contact, age = merged
    assert (contacts.denominator, per_contact.measured, age.measured) == (1, 1, 1)
    assert measured(desk, "contact-rate").denominator == 1
    assert measured(desk, "open-age").measured == 2


def test_a_closing_that_is_replaced_counts_once_by_what_replaced_it() -> None:
    first_of_june = (date(2026, 6, 1), date(2026, 6, 1))
    desk = taken(a_snapshot())
    desk.take(a_snapshot(status="revoked", version=30))
    desk.pass_time(days=3)
    desk.take(a_snapshot(status="completed", version=90))

    assert measured(desk, "closure-reasons").categories == {"completed": 1}
    assert measured(desk, "closure-reasons", first_of_june).categories == {"cancelled-by-requester": 1}


def test_a_missed_visit_is_decided_by_the_next_booking() -> None:
    desk = taken(a_snapshot(), a_visit())
    desk.pass_time(days=20)
    desk.take(a_visit("noshow", version=500))
    desk.pass_time(hours=1)
    open_still = measured(desk, "no-show-recovery", running=True)
    desk.take(a_visit("booked", "Appointment/2", start_at=desk.now + timedelta(days=4)))

    assert (open_still.denominator, open_still.pending, open_still.rate) == (0, 1, None)
    assert measured(desk, "no-show-recovery").rate == 1.0


def test_another_booking_that_is_read_together_with_the_miss_is_the_next_one() -> None:
    """A page has no order: the booking of Appointment/0 stands before the miss of Appointment/1 in it."""
    desk = taken(a_snapshot(), a_visit())
    desk.pass_time(days=20)
    again = a_visit("booked", "Appointment/0", start_at=desk.now + timedelta(days=4))
    desk.take(again, a_visit("noshow", version=500))

    assert measured(desk, "no-show-recovery").rate == 1.0


def test_what_is_recorded_at_midnight_belongs_to_the_day_that_begins() -> None:
    desk = taken(a_snapshot())
    desk.now = datetime(2026, 6, 10, 4, tzinfo=UTC)
    desk.do(call())

    before, after = ((day, day) for day in (date(2026, 6, 9), date(2026, 6, 10)))

    assert [measured(desk, "contact-rate", day).denominator for day in (before, after)] == [0, 1]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 11, 1, 3, 59, 59, tzinfo=UTC), date(2026, 10, 31)),
        (datetime(2026, 11, 1, 4, tzinfo=UTC), date(2026, 11, 1)),
        (datetime(2026, 11, 2, 4, 59, 59, tzinfo=UTC), date(2026, 11, 1)),
        (datetime(2026, 11, 2, 5, tzinfo=UTC), date(2026, 11, 2)),
        (datetime(2027, 3, 14, 4, 59, 59, tzinfo=UTC), date(2027, 3, 13)),
        (datetime(2027, 3, 14, 5, tzinfo=UTC), date(2027, 3, 14)),
        (datetime(2027, 3, 15, 3, 59, 59, tzinfo=UTC), date(2027, 3, 14)),
        (datetime(2027, 3, 15, 4, tzinfo=UTC), date(2027, 3, 15)),
    ],
    ids=str,
)
def test_a_day_ends_at_its_own_midnight_also_where_the_clock_changes_in_it(at: datetime, day: date) -> None:
    desk = taken(a_snapshot())
    desk.now = at
    desk.do(call())

    days = [day + timedelta(days=more) for more in (-1, 0, 1)]

    assert [measured(desk, "contact-rate", (each, each)).denominator for each in days] == [0, 1, 0]


def test_one_case_is_its_own_median_and_every_rate_of_it_none_or_all() -> None:
    desk = taken(a_snapshot())
    desk.do(call(AttemptOutcome.REACHED))

    response, contact, age = (measured(desk, code) for code in ("first-response", "contact-rate", "open-age"))

    assert (response.measured, response.median, response.p90, response.least, response.most) == (
        1,
        *[response.total] * 4,
    )
    assert (contact.denominator, contact.rate) == (1, 1.0)
    assert age.measured == 1


def test_a_case_closed_as_the_period_ends_is_open_at_its_end_and_closed_in_the_next() -> None:
    """Midnight belongs to the day that begins; what opens then was not there yet."""
    desk = taken(a_snapshot())
    desk.now = datetime(2026, 7, 1, 4, tzinfo=UTC)
    desk.do(Close(reason=ClosureReason.DECLINED))
    desk.take(a_task(parent=None))
    july = (date(2026, 7, 1), date(2026, 7, 31))

    ages, reasons = (
        [measured(desk, code, month) for month in (MONTH, july)] for code in ("open-age", "closure-reasons")
    )

    assert [(one.measured, one.total) for one in ages] == [
        (1, int((desk.now - ASKED).total_seconds())),
        (1, int((datetime(2026, 8, 1, 4, tzinfo=UTC) - ASKED).total_seconds())),
    ]
    assert [one.total for one in reasons] == [0, 1]


@pytest.mark.parametrize(("late", "rate"), [(timedelta(), 1.0), (timedelta(seconds=1), 0.0)], ids=["on time", "late"])
def test_what_is_done_at_the_due_instant_is_done_on_time(late: timedelta, rate: float) -> None:
    """By the due time that the round began with; that it was put off later does not help."""
    desk = Desk(rules())
    desk.take(a_task(title="post-visit call", codes=(), parent=None))
    case = desk.case("Task/1")
    assert case.due_at is not None
    desk.do(SetNextAction(code=Action.CALL_PATIENT, due_at=case.due_at + timedelta(days=9)), root="Task/1")
    desk.now = case.due_at + late
    desk.do(call(AttemptOutcome.REACHED, understood="to come back if it gets worse"), root="Task/1")
    desk.do(Close(reason=ClosureReason.COMPLETED, outcome="spoken with"), root="Task/1")

    assert measured(desk, "on-time-post-visit").rate == rate


@pytest.mark.parametrize(
    ("raised", "cleared", "figures"),
    [(-3, 0, (1, 1)), (-3, 1, (1, 0)), (-3, -1, (1, 1)), (0, 1, (0, 0)), (-3, None, (1, 0))],
    ids=["at the beginning", "too late", "before", "missed only then", "never"],
)
def test_intake_is_complete_when_nothing_is_missing_as_the_visit_begins(
    raised: int, cleared: int | None, figures: tuple[int, int]
) -> None:
    starts_at = datetime(2026, 6, 19, 14, tzinfo=UTC)
    desk = taken(a_snapshot(), a_visit())
    desk.now = starts_at + timedelta(hours=raised)
    desk.do(RaiseBlocker(category=BlockerCategory.MISSING_DOCUMENTATION, text="no form"))
    if cleared is not None:
        desk.now = starts_at + timedelta(hours=cleared)
        desk.do(ClearBlocker())
    desk.now = starts_at + timedelta(hours=5)
    desk.take(a_visit("fulfilled", version=500))

    figure = measured(desk, "intake")

    assert (figure.denominator, figure.numerator) == figures


def test_a_case_is_past_its_due_time_only_after_it() -> None:
    desk = taken(a_snapshot())
    midnight_after = datetime(2026, 6, 3, 4, tzinfo=UTC)
    desk.do(SetNextAction(code=Action.CALL_PATIENT, due_at=midnight_after))

    for code in ("overdue-at-end", "overdue"):
        until_then, a_day_more = ((date(2026, 6, 1), date(2026, 6, day)) for day in (2, 3))
        assert [measured(desk, code, days).numerator for days in (until_then, a_day_more)] == [0, 1]


def test_time_in_a_status_is_cut_at_the_ends_of_the_period() -> None:
    desk = taken(a_snapshot())
    desk.pass_time(days=60)
    desk.do(Close(reason=ClosureReason.COMPLETED, outcome="seen"))

    day = (date(2026, 6, 7), date(2026, 6, 7))

    assert measured(desk, "time-by-status", day).categories == {"new": 24 * HOUR}


def test_a_next_action_counts_once_another_took_its_place() -> None:
    """From ten in the morning to noon, and then until the office closes at five and from eight to nine."""
    desk = taken(a_snapshot())
    desk.pass_time(hours=2)
    desk.do(SetNextAction(code=Action.REQUEST_DOCUMENT, text="Ask for the letter"))
    desk.pass_time(hours=21)
    desk.do(SetNextAction(code=Action.SCHEDULE, text="Offer a time"))

    figure = measured(desk, "next-step")

    assert (figure.measured, figure.median, figure.total, figure.pending) == (2, 2 * HOUR, 8 * HOUR, 1)


def test_who_owned_a_case_until_it_was_closed_closed_it() -> None:
    """The EHR completing the request hands the case back to its queue in the same moment."""
    desk = taken(a_snapshot())
    desk.do(Assign(owner="bob"))
    desk.do(Escalate(why="stuck"))
    desk.take(a_snapshot(status="completed", version=30))

    assert measured(desk, "closed-by-owner").categories == {"bob": 1}
    assert measured(desk, "escalation-answer").measured == 1


def test_an_owner_is_never_told_by_words_that_might_name_a_patient() -> None:
    assert owner_label(Owner(OwnerKind.EHR, "Pat Example", "Pat Example")) == "named-in-ehr"
    assert owner_label(Owner(OwnerKind.EHR, "Patient/1", "Pat Example")) == "named-in-ehr"
    assert owner_label(Owner(OwnerKind.EHR, "Practitioner/1", "Dr. Oak")) == "Practitioner/1"


def test_months_add_up_to_their_quarter() -> None:
    desk = taken(*(a_snapshot(f"ServiceRequest/{n}") for n in range(6)))
    for number in range(6):
        desk.pass_time(days=11)
        desk.do(call(AttemptOutcome.REACHED), root=f"ServiceRequest/{number}")
        desk.do(Close(reason=ClosureReason.COMPLETED, outcome="seen"), root=f"ServiceRequest/{number}")
    months = [(date(2026, month, 1), date(2026, month, last)) for month, last in ((6, 30), (7, 31), (8, 31))]

    for code in ("first-response", "completion", "time-by-status", "attempts-per-contact"):
        parts = [measured(desk, code, month).total for month in months]
        assert sum(parts) == measured(desk, code, (months[0][0], months[-1][1])).total > 0, code
