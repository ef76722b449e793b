"""Milestones: reached once, undone by what undoes them, each with what proves it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bridge.cases import commands as do
from bridge.cases.loops import Mark, milestones, next_mark
from bridge.cases.terms import AttemptOutcome, BlockerCategory, ClosureReason
from tests.unit.cases.builders import (
    ASKED,
    NOW,
    ORDER,
    SHIPPED,
    Desk,
    a_snapshot,
    a_task,
    a_visit,
    by,
    call,
    taken,
    utc,
)

REACHED = AttemptOutcome.REACHED


def proofs(desk: Desk, root: str = ORDER, told_at: datetime | None = None) -> dict[str, str | None]:
    """Return what proves each milestone that was reached."""
    case = desk.case(root)
    found = milestones(SHIPPED[case.lane].loop, desk.history[case.id], told_at)
    return {one.mark.value: one.evidence for one in found if one.is_reached}


def ahead(desk: Desk, root: str = ORDER) -> Mark | None:
    case = desk.case(root)
    return next_mark(milestones(SHIPPED[case.lane].loop, desk.history[case.id]))


def test_a_referral_goes_round_its_loop_step_by_step() -> None:
    desk = taken(a_snapshot())
    assert (proofs(desk), ahead(desk)) == ({"received": ORDER}, Mark.ACCEPTED)

    desk.take(a_task("accepted", owner=by("Practitioner/elsewhere")))
    desk.take(a_visit("booked"))
    assert ahead(desk) is Mark.SEEN
    desk.take(a_visit("fulfilled", version=9))
    desk.now = utc(22)
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen", evidence=("DocumentReference/5",)))

    assert proofs(desk, told_at=utc(22, 22)) == {
        "received": ORDER,
        "accepted": "Task/1",
        "scheduled": "Appointment/1",
        "seen": "Appointment/1",
        "report": "DocumentReference/5",
        "told": "requester",
    }


def test_each_is_reached_when_it_happened() -> None:
    desk = taken(a_snapshot())
    desk.pass_time(hours=2)
    desk.do(do.Assign(owner="ann"))

    found = {one.mark: one for one in milestones(SHIPPED["referral"].loop, desk.history[desk.case().id])}

    assert found[Mark.RECEIVED].reached_at == ASKED
    assert (found[Mark.ACCEPTED].reached_at, found[Mark.ACCEPTED].evidence) == (NOW + timedelta(hours=2), "person:ann")


@pytest.mark.parametrize("event", ["noshow", "cancelled"])
def test_a_visit_that_does_not_take_place_is_scheduled_no_more_until_the_next(event: str) -> None:
    desk = taken(a_snapshot(), a_visit("booked"))
    desk.take(a_visit(event, version=5))
    assert "scheduled" not in proofs(desk)

    desk.take(a_visit("booked", ref="Appointment/2"))

    assert proofs(desk)["scheduled"] == "Appointment/2"


def test_a_visit_is_confirmed_by_who_spoke_with_the_patient_since_it_was_booked() -> None:
    desk = Desk()
    desk.take(a_visit("proposed", parent=None))
    desk.do(call(REACHED), root="Appointment/1")
    desk.pass_time(hours=1)
    desk.take(a_visit("booked", version=2, parent=None))
    assert ahead(desk, "Appointment/1") is Mark.CONFIRMED

    desk.do(call(REACHED), root="Appointment/1", by="bob")

    assert proofs(desk, "Appointment/1")["confirmed"] == "person:bob"


def test_documents_are_there_once_nothing_is_missing_and_missing_again_when_something_is() -> None:
    desk = taken(a_task(parent=None, codes=(), title="Prior authorization"))
    for category in (BlockerCategory.MISSING_DOCUMENTATION, BlockerCategory.AUTHORIZATION):
        desk.do(do.RaiseBlocker(category=category, text="form"), root="Task/1")
    desk.do(do.RaiseBlocker(category=BlockerCategory.MISSING_DOCUMENTATION, text="form"), root="Task/1")
    assert "documents" not in proofs(desk, "Task/1")

    desk.do(do.ClearBlocker(), root="Task/1")
    assert proofs(desk, "Task/1")["documents"] == "ann"


def test_a_loop_that_is_opened_again_is_not_closed_and_what_was_told_before_does_not_count() -> None:
    desk = taken(a_task(parent=None, codes=(), title="Missed call"))
    desk.do(call(REACHED, understood="when to come"), root="Task/1")
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="answered"), root="Task/1")
    told_at = desk.now
    assert set(proofs(desk, "Task/1", told_at)) == {"received", "accepted", "reached", "understood", "told"}

    desk.pass_time(hours=1)
    desk.do(do.Reopen(why="called again"), root="Task/1")

    assert set(proofs(desk, "Task/1", told_at)) == {"received", "accepted", "reached"}


def test_every_shipped_loop_begins_with_being_asked() -> None:
    assert {lane.loop[0] for lane in SHIPPED.all} == {Mark.RECEIVED}
    assert all(len(set(lane.loop)) == len(lane.loop) > 2 for lane in SHIPPED.all)
