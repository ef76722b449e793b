"""Timers: what time alone brings about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bridge.cases.changes import CauseKind
from bridge.cases.commands import Assign, Note
from bridge.cases.lanes import Lanes
from bridge.cases.reconcile import LANE_OFF
from bridge.cases.terms import Status
from bridge.sync.line import Line
from bridge.sync.timers import notice_rules
from tests.stateful.world import NOW
from tests.unit.sync.beside import LINE, Beside

ROOT = "MedicationRequest/m1"


def prescription(until: str, **changes: Any) -> dict[str, Any]:
    """Return a signed, active prescription whose supply ends on a day."""
    return {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "dispenseRequest": {"validityPeriod": {"end": until}},
        **changes,
    }


def test_a_supply_becomes_work_a_week_before_its_end() -> None:
    beside = Beside(prescription("2026-06-30"))

    assert beside.tick(days=10) == 0
    with beside.store.reading() as tx:
        assert tx.cases_of_roots("main", [ROOT]) == {}

    assert beside.tick(days=14) == 1
    assert beside.case(ROOT).status is Status.NEEDS_OUTREACH
    assert {(change.cause.kind, change.cause.what) for change in beside.history(ROOT)} == {(CauseKind.TIMER, "watch")}
    assert beside.tick() == 0


def test_a_supply_that_was_renewed_in_time_is_watched_for_its_new_end() -> None:
    beside = Beside(prescription("2026-06-30"))
    beside.tell(prescription("2026-09-30"))

    assert beside.tick(days=40) == 0
    assert beside.tick(days=80) == 1


def test_a_refill_case_comes_back_when_the_next_supply_runs_out() -> None:
    beside = Beside(prescription("2026-06-05"))
    beside.tell(prescription("2026-07-05"))
    assert beside.case(ROOT).status is Status.CLOSED

    beside.tick(days=30)

    case = beside.case(ROOT)
    assert (case.stage, case.round) == (Status.NEEDS_OUTREACH, 2)


def test_more_than_one_batch_of_supplies_is_looked_at() -> None:
    beside = Beside(*(prescription("2026-06-30", id=f"m{number}") for number in range(250)))

    assert beside.tick(days=25) == 250


def test_a_prescription_that_was_stopped_is_not_watched() -> None:
    beside = Beside(prescription("2026-06-30"))
    beside.tell(prescription("2026-06-30", status="stopped"))

    assert beside.tick(days=25) == 0


def test_time_alone_does_not_close_what_nobody_did() -> None:
    beside = Beside(prescription("2026-06-05"))

    beside.tick(days=365)
    beside.now += timedelta(days=1)
    beside.tell(prescription("2026-06-05", note=[{"text": "patient called"}]))

    assert beside.case(ROOT).is_open


# The ladder -----------------------------------------------------------------------------------------------------


def an_order(**changes: Any) -> dict[str, Any]:
    """Return an order that nobody has acted on."""
    return {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        **changes,
    }


def test_a_case_that_nobody_moves_climbs_step_by_step_and_each_step_is_told_once() -> None:
    beside = Beside(an_order())
    seen = []
    for _ in range(12):
        beside.tick(days=1)
        seen.append([(one.trigger.value, one.level) for one in beside.case("ServiceRequest/s1").escalations])

    assert seen[0] == []
    assert ("overdue", 3) in seen[-1]
    assert seen == sorted(seen, key=len)
    told = [change for change in beside.history("ServiceRequest/s1") if type(change.fact).__name__ == "Escalated"]
    assert len({(change.fact.escalation.trigger, change.fact.escalation.level) for change in told}) == len(told)
    assert {change.cause.kind for change in told} == {CauseKind.TIMER}
    assert beside.tick(days=30) == 0


def test_whoever_slept_through_it_takes_every_step_with_the_time_it_was_due() -> None:
    awake, asleep = Beside(an_order()), Beside(an_order())
    for _ in range(20):
        awake.tick(days=1)
    asleep.tick(days=20)

    assert steps(asleep) == steps(awake)


def steps(beside: Beside) -> list[tuple[str, int, Any]]:
    told = [change.fact for change in beside.history("ServiceRequest/s1") if type(change.fact).__name__ == "Escalated"]
    return sorted((fact.escalation.trigger.value, fact.escalation.level, fact.escalation.since) for fact in told)


# Whose time has come ------------------------------------------------------------------------------------------


def an_urgent_order() -> dict[str, Any]:
    """Return an urgent referral that nobody took yet; whoever asks has four business hours."""
    asked = {"status": "active", "intent": "order", "priority": "urgent", "authoredOn": "2026-05-29T13:00:00Z"}
    return {"resourceType": "ServiceRequest", "id": "o1", "subject": {"reference": "Patient/p1"}, **asked}


def asked_by(beside: Beside) -> list[tuple[str, str, datetime]]:
    """Return who was asked to step in, because of what and since when."""
    return [(one.trigger.value, one.to.id, one.since) for one in beside.case().escalations]


def by_rules(**changes: Any) -> Line:
    """Return the line with other lanes: every lane with these settings."""
    lanes = Lanes(lane.model_copy(update=changes) for lane in LINE.rules.lanes.all)
    return replace(LINE, rules=replace(LINE.rules, lanes=lanes))


def test_who_was_to_be_asked_is_asked_though_something_is_done_before_anybody_looked() -> None:
    """The tick comes after the attempt; without it the supervisor would never have heard of the four hours."""
    timely, late = Beside(an_urgent_order()), Beside(an_urgent_order())
    timely.tick(hours=23)
    assert [trigger for trigger, _, _ in asked_by(timely)] == ["unowned"]

    for beside in (timely, late):
        beside.now = NOW + timedelta(hours=24)
        beside.act(Assign(owner="supervisor"))

    assert asked_by(late) == asked_by(timely)
    assert [one.resolved_by for one in late.case().escalations] == ["rule:unowned"]


def test_what_the_person_saw_is_not_stale_because_time_passed() -> None:
    beside = Beside(an_urgent_order())
    seen = beside.case().version
    beside.now += timedelta(days=1)

    after = beside.act(Note(text="on it"), version=seen)

    assert after.escalation is not None


def test_other_lanes_are_noticed_once_and_hold_for_cases_that_were_open() -> None:
    beside = Beside(an_urgent_order(), line=by_rules(escalates=()))
    assert notice_rules(beside.store, beside.line, beside.now)
    beside.tick(days=9)
    assert asked_by(beside) == []

    beside.line = LINE
    assert notice_rules(beside.store, beside.line, beside.now)
    beside.tick()

    assert {trigger for trigger, _, _ in asked_by(beside)} == {"unowned", "overdue", "not-scheduled"}
    assert not notice_rules(beside.store, beside.line, beside.now)


def test_a_case_whose_lane_is_switched_off_stays_and_says_so_until_it_is_switched_on() -> None:
    beside = Beside(an_urgent_order())
    others = Lanes(lane for lane in LINE.rules.lanes.all if lane.name != "referral")
    beside.line = replace(LINE, rules=replace(LINE.rules, lanes=others))
    notice_rules(beside.store, beside.line, beside.now)

    beside.tick(days=9)

    case = beside.case()
    assert (case.is_open, case.lane, case.oddities, asked_by(beside)) == (True, "referral", (LANE_OFF,), [])
    assert beside.tick(days=9) == 0

    beside.line = LINE
    notice_rules(beside.store, beside.line, beside.now)
    beside.tick()

    assert beside.case().oddities == ()
    assert asked_by(beside)
