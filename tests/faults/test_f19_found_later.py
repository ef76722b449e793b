"""F19, after the restore: what belongs to work that is read later, that is over by then, or that moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.cases.commands import Close, LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason
from bridge.sync.connector import Connector
from bridge.sync.recovery import Adoption
from bridge.tasks.transitions import FINAL
from tests.faults.disaster import OWN_OR_NOT, Disaster, asking
from tests.unit.sync.world import order, patient, visit


@OWN_OR_NOT
def test_what_was_done_for_work_that_cannot_be_read_yet_is_found_once_it_can(own_ids: bool, tmp_path: Path) -> None:
    """The order is newer than the backup, and the EHR does not give it when everything is read again."""
    world = Disaster(tmp_path, own_ids)
    for own_id in ("o8", "o9"):
        world.ehr.put(order(own_id))
    world.sync()
    world.act("ServiceRequest/o8", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="a8")
    world.act("ServiceRequest/o9", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.sync(minutes=110)
    before = world.said()

    world.restore()
    world.clock.advance(minutes=10)
    world.refuses = lambda sent: "ServiceRequest" in sent.url.path
    world.bridge.sync_once()
    assert world.restored().ready_at is not None
    world.refuses = lambda _: False
    for _ in range(3):
        world.sync(minutes=60)

    assert [one.id for one in world.case("ServiceRequest/o8").outreach] == ["a8"]
    closed = world.case("ServiceRequest/o9")
    assert closed.is_open
    assert [(one.case_id, one.held) for one in world.restored().differing if one.held] == [(closed.id, True)]
    assert "does not want to" in closed.notes[-1].text
    assert world.said().keys() == before.keys()
    assert not any(one.waits for one in world.restored().adrift)
    world.store.close()


@OWN_OR_NOT
def test_work_that_was_over_before_it_could_be_read_again_has_no_open_task(own_ids: bool, tmp_path: Path) -> None:
    """Asked for after the backup, and withdrawn, deleted or made part of other work while Bridge was away."""
    world = Disaster(tmp_path, own_ids)
    for own_id in ("o7", "o8", "o9"):
        world.ehr.put(order(own_id))
    world.ehr.put(asking())
    world.ehr.put(asking(id="t10", focus={"reference": "ServiceRequest/o9"}))
    world.sync(minutes=120)
    about = {one["focus"]["reference"] for one in world.open_tasks()}
    assert {"ServiceRequest/o7", "ServiceRequest/o8", "ServiceRequest/o9", "Task/t9"} < about
    messages = len(world.ours("Communication", "urn:bridge:message"))

    world.ehr.put(order("o7", status="revoked"))
    world.clinic.delete("ServiceRequest/o8").raise_for_status()
    world.ehr.put(order("o9", status="revoked"))
    world.ehr.put(asking(focus={"reference": "ServiceRequest/o1"}))
    world.restore()
    for _ in range(4):
        world.sync(minutes=60)

    assert {one["focus"]["reference"] for one in world.open_tasks()} == {f"ServiceRequest/o{n}" for n in range(6)}
    assert [world.case(f"ServiceRequest/{one}").status.value for one in ("o7", "o8", "o9")] == ["closed"] * 3
    assert {one.ref for one in world.case("ServiceRequest/o1").sources} == {"ServiceRequest/o1", "Task/t9"}
    assert len(world.ours("Communication", "urn:bridge:message")) == messages + 1
    assert not world.restored().waiting
    world.said()
    assert world.sound()
    world.store.close()


@OWN_OR_NOT
def test_nothing_of_ours_stays_with_whom_finished_work_named_by_mistake(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(order("o9"))
    world.sync()
    world.ehr.put(order("o9", status="completed"))
    world.sync(minutes=110)
    world.ehr.put(patient("p2"))
    world.ehr.put(order("o9", status="completed", subject={"reference": "Patient/p2"}))

    world.restore()
    for _ in range(3):
        world.sync()

    about = {"reference": "ServiceRequest/o9"}
    ours = world.ours("Task", "urn:bridge:case") + world.ours("Communication", "urn:bridge:message")
    tells = [one for one in ours if about in (one.get("focus"), *one.get("basedOn", ()))]
    assert {(one.get("for") or one["subject"])["reference"] for one in tells} <= {"Patient/p2"}
    assert tells
    assert all(row.state is not IntentState.PARKED for row in world.outbox())
    world.store.close()


@OWN_OR_NOT
def test_an_attempt_stays_with_its_patient_where_a_visit_is_read_before_its_order(
    own_ids: bool, tmp_path: Path
) -> None:
    """They are of two patients, and stand apart once both are known; another replica may read one of them first."""
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(patient("p2"))
    world.ehr.put(order("o9"))
    participant = [{"actor": {"reference": "Patient/p2"}, "status": "accepted"}]
    world.ehr.put(visit("v7", basedOn=[{"reference": "ServiceRequest/o9"}], participant=participant))
    world.sync()
    world.act("Appointment/v7", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.DECLINED), new_id="a7")
    world.sync(minutes=110)
    before = world.said()

    world.restore()
    world.bridge.read_stream("Appointment")
    for _ in range(3):
        world.sync()

    assert [one.id for one in world.case("Appointment/v7").outreach] == ["a7"]
    assert world.case("ServiceRequest/o9").outreach == ()
    after = world.said()
    assert {ref: after[ref] for ref in before if ref.startswith("Communication/")}.items() <= before.items()
    about = [(one["focus"]["reference"], one["for"]["reference"]) for one in world.open_tasks()]
    assert about.count(("ServiceRequest/o9", "Patient/p1")) == 1
    assert about.count(("Appointment/v7", "Patient/p2")) == 1
    world.store.close()


def test_who_is_long_at_it_is_not_taken_for_gone(tmp_path: Path) -> None:
    """Two replicas that took over from each other would never come to its end."""
    world = Disaster(tmp_path, own_ids=True)
    for number in range(20):
        world.ehr.put(order(f"p{number}"))
    world.sync(minutes=120)
    world.restore()
    bridge, kept = world.bridge, list[int]()
    for stream in bridge.line.types:
        bridge.read_stream(stream)
    adoption = Adoption(bridge.client, world.store, bridge.line, world.clock, world.restored())

    adoption.rest(lambda: kept.append(1))

    assert len(kept) >= 20, "the turn is kept with every Task that is looked at"
    world.store.close()


def test_who_gets_the_turn_when_another_came_to_the_end_does_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Disaster(tmp_path, own_ids=True)
    world.sync(minutes=120)
    world.restore()
    late, first, asked = world.bridge, world.new_bridge(), list[int]()

    @contextmanager
    def after_the_first(bridge: Connector, name: str) -> Iterator[Callable[[], None]]:
        if bridge is late:
            first.recover()
            asked.append(len(world.requests))
        yield lambda: None

    monkeypatch.setattr(Connector, "_one_at", after_the_first)
    late.recover()

    assert world.restored().ready_at is not None
    assert asked == [len(world.requests)]
    world.store.close()


def test_a_list_that_changed_while_it_was_read_again_is_read_once_more(tmp_path: Path) -> None:
    """Seen on HAPI 8.0.0, 2026-11: of what is deleted while a list is paged, the total still counts it."""
    world = Disaster(tmp_path, own_ids=True)
    world.ehr.put(order("o9"))
    world.sync(minutes=120)
    short = iter([{"resourceType": "Bundle", "type": "searchset", "total": 9, "link": []}] * 4)
    world.restore()
    world.answers = lambda sent: (
        httpx.Response(200, json=one)
        if sent.url.path.endswith("/Appointment") and (one := next(short, None)) is not None
        else None
    )
    world.sync()

    assert next(short, None) is None
    assert world.restored().ready_at is not None
    assert world.restored().problems == ()
    world.store.close()


@OWN_OR_NOT
def test_an_attempt_on_work_that_belongs_to_another_case_by_now_is_on_that_one(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(visit("v7", basedOn=[]))
    world.sync()
    act = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
    world.act("Appointment/v7", act, new_id="a7")
    world.sync(minutes=110)
    before = world.said()
    world.ehr.put(visit("v7", basedOn=[{"reference": "ServiceRequest/o1"}]))

    world.restore()
    world.sync()

    assert [one.id for one in world.case("ServiceRequest/o1").outreach] == ["a7"]
    assert {ref for ref in world.said() if ref not in before} <= set(world.told())
    world.store.close()


@OWN_OR_NOT
@pytest.mark.parametrize("subject", ["Patient/p1", "Patient/p2"], ids=["same patient", "another"])
def test_a_task_of_work_that_belongs_to_another_case_by_now_is_ended(
    subject: str, own_ids: bool, tmp_path: Path
) -> None:
    """Nobody knows its own case any more, until the work is on its own again."""
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(patient("p2"))
    world.ehr.put(visit("v7", basedOn=[]))
    world.sync(minutes=110)
    (before,) = _of_the_visit(world)
    world.ehr.put(visit("v7", basedOn=[{"reference": "ServiceRequest/o1"}]))

    world.restore()
    world.sync()
    world.sync()

    (left,) = _of_the_visit(world)
    assert before["status"] == "in-progress"
    assert left["status"] in FINAL

    alone = visit("v7", basedOn=[])
    alone["participant"][0]["actor"] = {"reference": subject}
    world.ehr.put(alone)
    world.sync()
    world.sync()

    stands = {one["for"]["reference"] for one in _of_the_visit(world) if one["status"] == "in-progress"}
    assert stands == {subject}
    assert all(one["status"] == "entered-in-error" for one in _of_the_visit(world) if one["status"] != "in-progress")
    world.store.close()


def _of_the_visit(world: Disaster) -> list[dict[str, Any]]:
    """Return what of our Tasks was ever about the visit; what is marked as entered in error says no longer of what."""
    return [one for one in world.ours("Task", "urn:bridge:case") if one.get("focus") == {"reference": "Appointment/v7"}]
