"""Timers: what time alone brings about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bridge.cases.changes import CauseKind
from bridge.cases.model import Status
from tests.unit.sync.beside import Beside

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
