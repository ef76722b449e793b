"""When the loop of a referral is closed: by report and word, in a week."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from bridge.cases.commands import Close, Reopen
from bridge.cases.measures.rounds import Word
from bridge.cases.terms import ClosureReason
from tests.unit.cases.builders import Desk, a_snapshot, taken
from tests.unit.cases.measures.figures import measured

REPORT = ("DocumentReference/9",)


def ended(evidence: tuple[str, ...] = REPORT, reason: ClosureReason = ClosureReason.COMPLETED) -> Desk:
    """A referral that ended on 1 June."""
    desk = taken(a_snapshot())
    desk.do(Close(reason=reason, outcome="seen", evidence=evidence))
    return desk


def test_a_loop_is_closed_when_the_report_came_back_and_the_requester_was_told() -> None:
    desk = ended()
    version = desk.case().version

    silent, told = (measured(desk, "referral-loop-closure", words=said) for said in ((), [Word(version, desk.now)]))

    assert (silent.rate, told.rate) == (0.0, 1.0)
    assert measured(desk, "referral-report").rate == 1.0


@pytest.mark.parametrize("evidence", [(), ("ServiceRequest/1",), ("spoken with Dr. Oak",)], ids=str)
def test_a_referral_that_ended_without_a_report_closed_no_loop(evidence: tuple[str, ...]) -> None:
    desk = ended(evidence)

    assert measured(desk, "referral-loop-closure", words=[Word(desk.case().version, desk.now)]).rate == 0.0
    assert measured(desk, "referral-report").rate == 0.0


def test_word_may_come_for_a_week_and_until_then_nothing_is_decided() -> None:
    desk = ended()
    version, last = desk.case().version, desk.now + timedelta(days=7)
    desk.now = last
    waiting = measured(desk, "referral-loop-closure", running=True)
    desk.now += timedelta(seconds=1)
    over = measured(desk, "referral-loop-closure", running=True)

    on_time, late = (
        measured(desk, "referral-loop-closure", words=[Word(version, last + timedelta(seconds=more))])
        for more in (0, 1)
    )

    assert (waiting.pending, waiting.rate) == (1, None)
    assert (over.pending, over.rate, late.rate, on_time.rate) == (0, 0.0, 0.0, 1.0)


def test_word_of_an_older_end_or_a_later_round_does_not_close_a_loop() -> None:
    desk = ended(reason=ClosureReason.DECLINED)
    first = desk.case().version
    desk.do(Reopen(why="not over"))
    desk.do(Close(reason=ClosureReason.COMPLETED, outcome="seen", evidence=REPORT))
    second = desk.case().version

    older, right = (measured(desk, "referral-loop-closure", words=[Word(each, desk.now)]) for each in (first, second))

    assert [(one.numerator, one.denominator) for one in (older, right)] == [(0, 2), (1, 2)]


def test_a_loop_counts_in_the_month_in_which_it_was_decided() -> None:
    desk = ended()
    words = [Word(desk.case().version, datetime(2026, 6, 2, 4, tzinfo=UTC))]
    first, second = ((date(2026, 6, day), date(2026, 6, day)) for day in (1, 2))

    ended_then, told_then = (measured(desk, "referral-loop-closure", day, words=words) for day in (first, second))

    assert (ended_then.pending, ended_then.denominator) == (1, 0)
    assert told_then.rate == 1.0
