"""F24: two resources stand where Bridge wrote one: the oldest is kept, the other marked as entered in error."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.commands import Close, LogOutreach, RaiseBlocker
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason
from bridge.store.memory import MemoryStore
from bridge.store.rows import OutboxRow
from bridge.tasks.intents import copy_intent
from tests.unit.sync.world import World, order, patient

ROOT = "ServiceRequest/o1"
CASES, MESSAGES, COPIES = "urn:bridge:case", "urn:bridge:message", "urn:bridge:copy"
ATTEMPT = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
Json = dict[str, Any]


def a_world() -> World:
    """Return an EHR that chooses ids itself, with one order whose Task is written."""
    world = World()
    world.ehr.options.update_as_create = False
    for resource in (patient(), patient("p2"), order()):
        world.ehr.put(resource)
    world.sync()
    return world


def double(world: World, resource: Json, own_id: str = "zz", **changes: Any) -> str:
    """Let a second copy stand on the EHR, as a create of ours whose answer was lost leaves it."""
    kind = resource["resourceType"]
    world.clock.advance(seconds=1)
    world.ehr.put({**{name: value for name, value in resource.items() if name != "meta"}, "id": own_id, **changes})
    return f"{kind}/{own_id}"


def standing(world: World, kind: str = "Task", system: str = CASES) -> list[str]:
    """Return the ids of what stands under an identifier of ours."""
    return [one["id"] for one in world.ours(kind, system)]


def copies(world: World) -> list[OutboxRow]:
    """Return the intents about second copies."""
    return [row for row in world.outbox() if row.intent.is_copy]


def parked(world: World) -> list[str | None]:
    return [row.code for row in world.outbox() if row.state is IntentState.PARKED]


def settle(world: World, rounds: int = 3) -> None:
    for _ in range(rounds):
        world.sync()


# Noticed, wherever it shows ------------------------------------------------------------------------------------


def test_a_poll_that_brings_a_second_task_of_ours_retires_it() -> None:
    world = a_world()
    first = world.task(ROOT)
    ref = double(world, first)

    settle(world)

    assert standing(world) == [first["id"]]
    retired = world.ehr.get(ref)
    assert (retired["status"], retired["identifier"][0]["system"]) == ("entered-in-error", COPIES)
    assert f"Task/{first['id']}" in retired["statusReason"]["text"]
    assert retired["for"] == first["for"]
    (row,) = [row for row in copies(world) if row.state is IntentState.CONFIRMED]
    assert (row.written, row.reason) == (ref, f"a second copy of Task/{first['id']}")
    settle(world)
    assert world.writes == []


def test_a_sweep_finds_what_no_poll_brought() -> None:
    world = a_world()
    first = world.task(ROOT)
    ref = double(world, first)

    world.bridge.compare()
    world.bridge.deliver()

    assert standing(world) == [first["id"]]
    assert world.ehr.get(ref)["status"] == "entered-in-error"


def test_a_look_before_a_create_that_finds_two_keeps_the_oldest_and_goes_on() -> None:
    """A database that was lost knows of none."""
    world = a_world()
    first = world.task(ROOT)
    ref = double(world, first)
    world.store = MemoryStore()
    world.bridge = world.new_bridge()

    settle(world)

    assert standing(world) == [first["id"]]
    assert world.ehr.get(ref)["status"] == "entered-in-error"
    assert parked(world) == []


def test_the_older_is_kept_also_where_the_younger_is_the_one_that_we_know() -> None:
    """The answer to the first create was lost, and what it made shows last."""
    world = World()
    world.ehr.options.update_as_create = False
    world.ehr.put(patient())
    world.ehr.put(order())
    world.sync()
    younger = world.task(ROOT)
    ref = double(world, younger, authoredOn="2026-05-01T00:00:00Z", status="ready")
    world.ehr.put({**world.ehr.get(ref), "note": [{"text": "another version, so that both count by their dates"}]})
    world.refuses = lambda request: "_history/" in request.url.path

    settle(world)
    world.act(ROOT, ATTEMPT)
    settle(world)

    assert standing(world) == ["zz"]
    assert world.ehr.get(f"Task/{younger['id']}")["status"] == "entered-in-error"
    assert world.task(ROOT)["status"] == "in-progress", "what we say goes on there"
    (message,) = world.ours("Communication", MESSAGES)
    assert message["partOf"] == [{"reference": ref}]


def test_two_messages_of_one_intent_become_one() -> None:
    world = a_world()
    world.act(ROOT, ATTEMPT)
    world.sync()
    (message,) = world.ours("Communication", MESSAGES)
    ref = double(world, message)
    with world.store.transaction() as tx:
        case = world.case(ROOT)
        tx.add_intents([copy_intent(case, f"Communication/{message['id']}", "after-1")], world.clock())

    settle(world)

    assert standing(world, "Communication", MESSAGES) == [message["id"]]
    assert world.ehr.get(ref)["status"] == "entered-in-error"


def test_a_conditional_create_that_a_double_had_blocked_for_ever_works_again() -> None:
    """hapi-fhir #3141: 412, for several fit; and what is deleted later is created anew."""
    world = a_world()
    first = world.task(ROOT)
    double(world, first)
    settle(world)

    world.clinic.delete(f"Task/{first['id']}").raise_for_status()
    world.clock.advance(days=1)
    settle(world)

    (again,) = world.ours("Task", CASES)
    assert again["status"] == "ready"
    assert again["id"] not in (first["id"], "zz")


def test_the_second_copy_of_a_case_that_is_over_goes_too() -> None:
    world = a_world()
    first = world.task(ROOT)
    world.act(ROOT, Close(reason=ClosureReason.DECLINED, outcome="Moved away"))
    world.sync()

    ref = double(world, first)
    settle(world)

    assert world.ehr.get(ref)["status"] == "entered-in-error"
    assert world.task(ROOT)["status"] == "failed" or world.task(ROOT)["status"] == "cancelled"


def test_what_others_added_to_the_second_copy_stays_on_it() -> None:
    world = a_world()
    note = [{"text": "Called the family"}]
    ref = double(world, world.task(ROOT), note=note)

    settle(world)

    assert world.ehr.get(ref)["note"] == note


# Left alone, with the reason -----------------------------------------------------------------------------------

FOREIGN = {
    "another patient's": {"for": {"reference": "Patient/p2"}},
    "somebody's own Task": {"code": {"text": "Call back"}, "businessStatus": None},
    "about something else": {"focus": {"reference": "ServiceRequest/elsewhere"}},
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_only_carries_our_identifier_is_left_alone(changes: Json) -> None:
    world = a_world()
    first = world.task(ROOT)
    ref = double(world, first, **changes)
    before = world.ehr.get(ref)

    settle(world)

    assert world.ehr.get(ref) == before
    assert parked(world) == ["duplicate-on-server"]
    (row,) = [row for row in copies(world) if row.state is IntentState.PARKED]
    assert "was left as it is" in (row.reason or "")
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))
    world.sync()
    assert world.ehr.get(f"Task/{first['id']}")["status"] == "on-hold", "the work goes on in ours"


def test_a_second_copy_that_a_person_moved_is_left_to_people() -> None:
    world = a_world()
    ref = double(world, world.task(ROOT))
    moved = {**world.ehr.get(ref), "status": "in-progress"}
    world.ehr.put(moved)

    settle(world)

    assert world.ehr.get(ref)["status"] == "in-progress"
    assert parked(world) == ["duplicate-on-server"]
    assert "not as Bridge left it" in str(copies(world)[-1].reason)


def test_a_server_that_refuses_to_have_it_marked_leaves_it_parked_with_its_answer() -> None:
    world = a_world()
    ref = double(world, world.task(ROOT))
    world.refuses = lambda request: request.method == "PUT" and request.url.path.endswith("/zz")

    settle(world)

    assert world.ehr.get(ref)["status"] == "ready"
    assert parked(world) == ["http-400"]


def test_a_task_that_stands_alone_is_left_alone_whatever_was_noticed() -> None:
    world = a_world()
    first = world.task(ROOT)
    with world.store.transaction() as tx:
        tx.add_intents([copy_intent(world.case(ROOT), f"Task/{first['id']}", "after-1")], world.clock())

    settle(world)

    assert world.task(ROOT) == first
    assert [row.state for row in copies(world)] == [IntentState.SUPERSEDED]


# Once, whatever happens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["close", "502"])
def test_a_lost_answer_to_the_retirement_is_looked_up(manner: str) -> None:
    world = a_world()
    first = world.task(ROOT)
    ref = double(world, first)
    world.ehr.add_fault(f"drop-answer=1,{manner}")

    for _ in range(4):
        world.clock.advance(minutes=10)
        world.bridge.sync_once()

    assert standing(world) == [first["id"]]
    assert world.ehr.get(ref)["meta"]["versionId"] == "2"
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}


def test_two_replicas_retire_the_same_one() -> None:
    world = a_world()
    first = world.task(ROOT)
    for own_id in ("yy", "zz"):
        double(world, first, own_id)
    other = world.new_bridge()

    for replica in (world.bridge, other, other, world.bridge):
        world.clock.advance(minutes=10)
        replica.sync_once()

    assert standing(world) == [first["id"]]
    assert {world.ehr.get(f"Task/{own_id}")["status"] for own_id in ("yy", "zz")} == {"entered-in-error"}


def test_how_many_stood_twice_is_counted() -> None:
    world = a_world()
    double(world, world.task(ROOT))
    settle(world)

    with world.store.reading() as tx:
        assert tx.copies("main")[IntentState.CONFIRMED] == 1
