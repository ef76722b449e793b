"""Deliver: a case that ended and came back has one Task that stands, whenever what was written got there."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.commands import Close, LogOutreach, RaiseBlocker, Reopen
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason
from bridge.store.memory import MemoryStore
from tests.unit.sync.test_deliver import die_after_the_next_write, versions
from tests.unit.sync.world import World, order, patient

ROOT = "ServiceRequest/o1"
FINAL = {"completed", "cancelled", "failed", "rejected", "entered-in-error"}

both_routes = pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])


def a_world(*, own_ids: bool = True) -> World:
    """Return an EHR with one order whose Task is written."""
    world = World()
    for resource in (patient(), patient("p2"), order()):
        world.ehr.put(resource)
    world.ehr.options.update_as_create = own_ids
    world.sync()
    return world


def close_and_reopen(world: World) -> None:
    """End the case and take it up again, before any of it is sent."""
    world.act(ROOT, Close(reason=ClosureReason.DECLINED, outcome="Moved away"))
    world.clock.advance(minutes=1)
    world.act(ROOT, Reopen(why="is back"))


def tasks(world: World) -> dict[str, dict[str, Any]]:
    """Return our Tasks on the EHR by their identifier's round (empty for the first)."""
    case = world.case(ROOT).id
    return {one["identifier"][0]["value"].removeprefix(case): one for one in world.ours("Task", "urn:bridge:case")}


@both_routes
def test_a_case_closed_and_reopened_between_two_rounds_has_one_task_that_stands(own_ids: bool) -> None:
    world = a_world(own_ids=own_ids)
    close_and_reopen(world)

    world.sync()

    first, second = tasks(world)[""], tasks(world)["-2"]
    assert first["status"] == "cancelled"
    assert "reopened" in first["statusReason"]["text"]
    assert "reopened" in first["text"]["div"]
    assert "restriction" in first, "what was said before stays"
    assert second["status"] in ("ready", "in-progress")
    world.sync()
    assert world.writes == []


def test_an_earlier_task_that_was_under_way_ends_by_a_way_that_fhir_draws() -> None:
    world = a_world()
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))
    world.sync()
    close_and_reopen(world)

    world.sync()

    said = [one["status"] for one in versions(world, f"Task/{tasks(world)['']['id']}")]
    assert said == ["ready", "in-progress", "on-hold", "in-progress", "failed"]


def test_rounds_that_were_never_written_leave_nothing() -> None:
    world = a_world()
    close_and_reopen(world)
    close_and_reopen(world)

    world.sync()

    assert {name: task["status"] in FINAL for name, task in tasks(world).items()} == {"": True, "-3": False}


def test_an_earlier_task_that_ended_already_is_left_as_it_ended() -> None:
    world = a_world()
    world.act(ROOT, Close(reason=ClosureReason.COMPLETED, outcome="Seen"))
    world.sync()
    ended = tasks(world)[""]
    world.act(ROOT, Reopen(why="not seen after all"))

    world.sync()

    assert tasks(world)[""] == ended
    assert tasks(world)["-2"]["status"] not in FINAL


@both_routes
@pytest.mark.parametrize("writes", [1, 2])
def test_a_process_that_dies_between_ending_and_creating_leaves_one_task_that_stands(
    own_ids: bool, writes: int
) -> None:
    world = a_world(own_ids=own_ids)
    close_and_reopen(world)
    for _ in range(writes):
        die_after_the_next_write(world)
        with pytest.raises(KeyboardInterrupt):
            world.bridge.deliver()
        with world.store.transaction() as tx:
            assert tx.release_leases(world.clock()) == 1
        world.bridge = world.new_bridge()
        world.clock.advance(minutes=6)

    world.sync()

    assert {name: task["status"] in FINAL for name, task in tasks(world).items()} == {"": True, "-2": False}
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}


def test_the_task_of_an_earlier_patient_is_taken_back_before_a_new_one_is_made() -> None:
    world = a_world()
    close_and_reopen(world)
    world.ehr.put(order(subject={"reference": "Patient/p2"}))

    world.sync()

    first = tasks(world)[""]
    assert (first["status"], first["for"]["reference"]) == ("entered-in-error", "Patient/p1")
    assert "focus" not in first
    (stands,) = [task for task in tasks(world).values() if task["status"] not in FINAL]
    assert stands["for"]["reference"] == "Patient/p2"


def test_an_earlier_task_ends_also_when_the_case_is_over_and_its_order_deleted() -> None:
    world = a_world()
    close_and_reopen(world)
    world.clinic.delete(ROOT).raise_for_status()
    world.bridge.compare()
    world.clock.advance(days=2)
    world.bridge.compare()

    world.sync()

    assert not world.case(ROOT).is_open
    assert all(task["status"] in FINAL for task in tasks(world).values())


def test_a_message_sent_first_ends_the_earlier_task_too() -> None:
    world = a_world()
    close_and_reopen(world)
    world.act(ROOT, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))

    world.sync()

    (message,) = [one for one in world.ours("Communication", "urn:bridge:message") if one["status"] == "not-done"]
    assert message["partOf"] == [{"reference": f"Task/{tasks(world)['-2']['id']}"}]
    assert tasks(world)[""]["status"] in FINAL


# A database that forgot ------------------------------------------------------------------------------------


def lose_the_database(world: World) -> None:
    """Start with an empty database beside the same EHR."""
    world.store = MemoryStore()
    world.bridge = world.new_bridge()


def a_second_life(world: World) -> None:
    """End the work in the EHR, tell it, and take it up again there."""
    world.ehr.put(order(status="revoked"))
    world.sync()
    world.ehr.put(order())
    world.sync()
    assert tasks(world)["-2"]["status"] == "ready"


@both_routes
def test_a_lost_database_goes_on_with_the_life_that_the_case_is_in(own_ids: bool) -> None:
    world = a_world(own_ids=own_ids)
    a_second_life(world)
    before = tasks(world)
    lose_the_database(world)

    world.sync()

    assert tasks(world) == before
    world.ehr.put(order(priority="urgent"))
    world.sync()
    assert set(tasks(world)) == {"", "-2"}
    assert tasks(world)["-2"]["priority"] == "urgent"


@both_routes
def test_a_lost_database_ends_the_life_that_the_case_was_in(own_ids: bool) -> None:
    world = a_world(own_ids=own_ids)
    a_second_life(world)
    lose_the_database(world)
    world.sync()

    world.ehr.put(order(status="revoked"))
    world.sync()

    assert {task["status"] for task in tasks(world).values()} == {"cancelled"}
    assert set(tasks(world)) == {"", "-2"}


@both_routes
def test_what_we_ended_in_a_forgotten_life_is_not_taken_up_again(own_ids: bool) -> None:
    """The new database counts from one: the case comes back for its second time there and for its third in truth."""
    world = a_world(own_ids=own_ids)
    a_second_life(world)
    lose_the_database(world)
    world.sync()

    a_third = order(status="revoked")
    world.ehr.put(a_third)
    world.sync()
    world.ehr.put(order())
    world.sync()

    assert set(tasks(world)) == {"", "-2", "-3"}
    assert tasks(world)["-3"]["status"] == "ready"
    assert tasks(world)["-2"]["status"] == "cancelled"


def test_a_lost_database_passes_over_what_was_taken_back_for_another_patient() -> None:
    world = a_world()
    world.ehr.put(order(subject={"reference": "Patient/p2"}))
    world.sync()
    before = tasks(world)
    lose_the_database(world)

    world.sync()

    assert tasks(world) == before
    assert not [row for row in world.outbox() if row.state is IntentState.PARKED]


# A form that drops what it does not know --------------------------------------------------------------------


@both_routes
def test_our_task_without_its_identifier_is_still_ours_and_gets_it_back(own_ids: bool) -> None:
    world = a_world(own_ids=own_ids)
    ours = world.task(ROOT)
    world.ehr.put({key: value for key, value in ours.items() if key != "identifier"})

    report = world.sync()

    assert [line.ref for line in world.case(ROOT).sources] == [ROOT], "it is no work of somebody else's"
    assert report.sweep.lost == 1
    assert world.task(ROOT)["id"] == ours["id"]
    assert world.task(ROOT)["identifier"] == ours["identifier"]
    assert [task["id"] for task in world.ehr.all("Task")] == [ours["id"]]
    assert world.sync().sweep.lost == 0


def test_a_change_that_comes_before_the_sweep_finds_it_too() -> None:
    world = a_world(own_ids=False)
    ours = world.task(ROOT)
    world.ehr.put({key: value for key, value in ours.items() if key != "identifier"})
    world.ehr.put(order(priority="stat"))
    world.clock.advance(minutes=10)

    world.bridge.read()
    world.bridge.deliver()

    (task,) = world.ehr.all("Task")
    assert (task["id"], task["identifier"], task["priority"]) == (ours["id"], ours["identifier"], "stat")
