"""Sweep: what the poll missed is repaired, and only what is really gone counts as gone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bridge.cases.terms import Status
from bridge.store.queries import CaseFilter
from bridge.sync.sweep import CONFIRM_AFTER, MANY, SweepReport, sweep
from tests.stateful.world import NOW
from tests.unit.sync.beside import Beside
from tests.unit.sync.world import a_task, order, visit

ROOT = "ServiceRequest/o1"


def test_nothing_moved_and_nothing_is_changed() -> None:
    beside = Beside(order(), a_task(), visit())
    before = beside.case()

    report = beside.sweep()

    assert report == SweepReport(compared=3)
    assert beside.case() == before


def test_a_404_seen_by_a_process_that_was_frozen_then_does_not_count_against_a_later_look() -> None:
    """Another process found it there meanwhile; the first one, thawed, must not close the case."""
    beside = Beside(order())
    kept = beside.ehr.current.pop(ROOT)
    assert beside.sweep().missing == 1
    beside.now += CONFIRM_AFTER
    others = []

    def frozen_while_another_sweeps() -> datetime:
        if not others:
            beside.ehr.current[ROOT] = kept
            others.append(beside.sweep())
        return beside.now

    sweep(beside.ehr.client(beside.now), beside.store, beside.line, frozen_while_another_sweeps)

    assert others == [SweepReport(compared=1)]
    assert beside.gone_at() is None
    assert beside.case().is_open


def test_a_404_counts_from_when_it_was_seen_however_late_it_is_noted() -> None:
    beside = Beside(order())
    del beside.ehr.current[ROOT]
    assert beside.sweep().missing == 1
    seen = beside.now + timedelta(minutes=1)
    moments = [seen]

    def slow() -> datetime:
        return moments.pop() if moments else seen + CONFIRM_AFTER

    assert sweep(beside.ehr.client(seen), beside.store, beside.line, slow).gone == 0
    assert beside.gone_at() is None


def test_a_version_that_the_poll_missed_is_taken_in_and_counted_as_repaired() -> None:
    beside = Beside(order(), a_task())
    beside.ehr.write(order(status="on-hold"))

    report = beside.sweep()

    assert (report.compared, report.repaired, report.gone, report.missing) == (2, 1, 0, 0)
    assert (report.counts.received, report.counts.applied) == (1, 1)
    assert beside.case().status is Status.WAITING_ON_PROVIDER
    assert beside.sweep().repaired == 0


def test_410_is_believed_at_once() -> None:
    beside = Beside(order())
    beside.ehr.delete(ROOT)

    report = beside.sweep()

    assert (report.gone, report.missing) == (1, 0)
    assert beside.gone_at() == beside.now
    case = beside.case()
    assert case.closure is not None
    assert (case.status, case.closure.outcome) == (Status.CLOSED, "Deleted in the EHR")


def test_410_that_is_said_only_once_is_no_deletion() -> None:
    beside = Beside(order())
    beside.ehr.hidden.add(ROOT)
    beside.ehr.flaky.add(ROOT)

    assert beside.sweep() == SweepReport(compared=1)
    assert beside.gone_at() is None


def test_404_is_believed_only_when_it_is_still_so_five_minutes_later() -> None:
    beside = Beside(order())
    del beside.ehr.current[ROOT]

    assert (beside.sweep().missing, beside.gone_at()) == (1, None)
    assert (beside.sweep(minutes=4, seconds=59).gone, beside.gone_at()) == (0, None)
    assert beside.case().is_open

    assert beside.sweep(seconds=1).gone == 1
    assert beside.gone_at() == NOW + CONFIRM_AFTER
    assert not beside.case().is_open


def test_a_resource_that_is_back_begins_anew_to_be_missed() -> None:
    beside = Beside(order())
    kept = beside.ehr.current.pop(ROOT)
    beside.sweep()

    beside.ehr.current[ROOT] = kept
    beside.sweep(minutes=3)
    del beside.ehr.current[ROOT]

    assert beside.sweep(minutes=3).missing == 1
    assert beside.gone_at() is None


def test_a_resource_that_a_search_does_not_find_but_a_read_does_is_there() -> None:
    beside = Beside(order())
    beside.ehr.hidden.add(ROOT)

    assert beside.sweep() == SweepReport(compared=1)

    beside.ehr.write(order(status="on-hold"))
    assert beside.sweep().repaired == 1
    assert beside.case().status is Status.WAITING_ON_PROVIDER


def test_a_resource_that_comes_back_as_a_new_version_is_no_longer_gone() -> None:
    beside = Beside(order())
    beside.ehr.delete(ROOT)
    beside.sweep()

    beside.tell(order(priority="urgent"))

    assert beside.gone_at() is None
    assert beside.case().is_open


def test_a_deleted_task_leaves_its_order_open() -> None:
    beside = Beside(order(), a_task(status="in-progress"))
    assert beside.case().status is Status.SCHEDULED
    beside.ehr.delete("Task/t1")

    beside.sweep()

    assert beside.case().status is Status.NEW
    assert [line.gone for line in beside.case().sources] == [False, True]


def test_the_deletion_is_in_the_history_with_its_cause() -> None:
    beside = Beside(order())
    beside.ehr.delete(ROOT)

    beside.sweep()

    with beside.store.reading() as tx:
        causes = {change.cause.what for change in tx.history(beside.case().id)}
    assert f"{ROOT}/_history/deleted" in causes


def test_closed_cases_are_left_alone() -> None:
    beside = Beside(order(), order(status="completed"))

    assert beside.sweep() == SweepReport()


def test_when_a_whole_type_disappears_the_server_is_not_believed() -> None:
    """A lost permission answers 404 for everything; it must not close every case five minutes later."""
    beside = Beside(*(order(f"o{number}") for number in range(MANY)), a_task())
    orders = {ref: beside.ehr.current.pop(ref) for ref in list(beside.ehr.current) if ref != "Task/t1"}

    for _ in range(3):
        report = beside.sweep(minutes=10)
        assert (report.gone, report.missing) == (0, 0)
        assert report.problems == ("sweep: no ServiceRequest is there any more; may Bridge still read them?",)

    beside.ehr.current |= orders
    assert beside.sweep(minutes=10) == SweepReport(compared=MANY + 1)


def test_a_server_that_lost_a_type_is_not_asked_for_each_of_a_thousand() -> None:
    beside = Beside(*(order(f"o{number}") for number in range(250)))
    beside.ehr.current.clear()

    beside.sweep()

    assert beside.ehr.reads == 100


def test_when_the_server_says_itself_that_all_was_deleted_it_is_believed() -> None:
    beside = Beside(*(order(f"o{number}") for number in range(MANY)))
    for ref in list(beside.ehr.current):
        beside.ehr.delete(ref)

    assert beside.sweep().gone == MANY


def test_every_open_case_is_compared_however_many_there_are() -> None:
    beside = Beside(*(order(f"o{number}") for number in range(230)))
    beside.ehr.write(order("o7", status="on-hold"))
    beside.ehr.write(order("o99", status="on-hold"))

    report = beside.sweep()

    assert (report.compared, report.repaired) == (230, 2)
    with beside.store.reading() as tx:
        waiting = tx.list_cases(CaseFilter(status=Status.WAITING_ON_PROVIDER), limit=10).cases
    assert {case.root for case in waiting} == {"ServiceRequest/o7", "ServiceRequest/o99"}


@pytest.mark.parametrize("how", ["it is not shown", "the search is refused"])
def test_one_record_that_the_ehr_closes_to_us_holds_up_no_other(how: str) -> None:
    """Break-the-glass (Epic 4130) and SMART both let a server leave it out of a search, or refuse."""
    others = [order(f"o{number}") for number in range(2, 8)]
    beside = Beside(order(), *others, a_task(focus={"reference": "ServiceRequest/o5"}))
    beside.ehr.closed.add(ROOT)
    beside.ehr.hidden |= {ROOT} if how == "it is not shown" else set()
    for number in (2, 7):
        beside.ehr.write(order(f"o{number}", status="on-hold"))

    report = beside.sweep()
    again = beside.sweep(minutes=30)

    assert (report.repaired, report.gone, report.missing, report.refused) == (2, 0, 0, 1)
    assert any("1 ServiceRequest may not be read" in problem for problem in report.problems)
    assert (again.repaired, again.gone, again.missing, again.refused) == (0, 0, 0, 1)
    assert beside.gone_at() is None
    assert beside.case().is_open


def test_a_closed_record_that_opens_again_is_compared_again() -> None:
    beside = Beside(order(), order("o2"))
    beside.ehr.closed.add(ROOT)
    beside.ehr.write(order(status="on-hold"))
    assert beside.sweep().repaired == 0

    beside.ehr.closed.clear()

    assert beside.sweep().repaired == 1


def test_a_type_that_may_not_be_read_at_all_is_not_asked_for_one_by_one() -> None:
    beside = Beside(*(order(f"o{number}") for number in range(1, 60)), a_task())
    beside.ehr.closed |= {ref for ref in beside.ehr.current if ref.startswith("ServiceRequest/")}
    beside.ehr.write(a_task(status="on-hold"))

    report = beside.sweep()

    assert (list(report.closed), report.repaired, beside.ehr.reads) == (["ServiceRequest"], 1, 0)
    assert any("ServiceRequest is left out" in problem for problem in report.problems)
