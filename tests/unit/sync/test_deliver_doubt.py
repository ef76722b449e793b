"""Deliver: a create of which no answer came, on a server that chooses ids and whose searches lag."""

from __future__ import annotations

from typing import Any

from bridge.cases.commands import LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel
from bridge.errors import OutcomeUnknown
from tests.unit.sync.world import World, a_task, order, patient

ROOT = "ServiceRequest/o1"
CASES, MESSAGES = "urn:bridge:case", "urn:bridge:message"
SETTLED = {IntentState.CONFIRMED, IntentState.SUPERSEDED}


def a_world(*faults: str) -> World:
    """Return an EHR that chooses ids itself, with an order that Bridge has read."""
    world = World()
    world.ehr.options.update_as_create = False
    world.ehr.put(patient())
    world.ehr.put(order())
    world.bridge.read()
    world.bridge.name_people()
    for fault in faults:
        world.ehr.add_fault(fault)
    return world


def deliver(world: World, seconds: float) -> None:
    """Let time pass and send what is due."""
    world.clock.advance(seconds=seconds)
    world.requests.clear()
    world.bridge.deliver()


def waiting(world: World) -> list[str | None]:
    """Return the codes of what waits."""
    return [row.code for row in world.outbox() if row.state is IntentState.QUEUED and not row.intent.is_copy]


def test_nothing_is_created_again_before_what_an_unanswered_create_made_would_show() -> None:
    world = a_world("late-commit=290", "drop-answer=1")
    deliver(world, 0)
    assert len(world.ours("Task", CASES)) == 1

    for _ in range(14):
        deliver(world, 20)
        assert world.writes == []
    deliver(world, 30)

    assert len(world.ours("Task", CASES)) == 1
    assert {row.state for row in world.outbox() if not row.intent.is_copy} <= SETTLED


def test_an_attempt_that_moves_to_another_case_is_recorded_once_though_no_search_shows_it_yet() -> None:
    world = a_world()
    world.ehr.put(a_task(focus={"display": "a referral"}))
    world.sync()
    world.ehr.add_fault("late-commit=86400")
    world.act("Task/t1", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    deliver(world, 1)
    assert len(world.ours("Communication", MESSAGES)) == 1

    world.ehr.remove_fault("late-commit")
    world.ehr.put(a_task())
    world.clock.advance(minutes=1)
    world.bridge.read()
    world.ehr.add_fault("late-commit=86400")
    for _ in range(3):
        deliver(world, 10)

    assert [one.id for one in world.case(ROOT).outreach] == ["attempt-1"]
    assert len(world.ours("Communication", MESSAGES)) == 1
    assert {row.state for row in world.outbox()} <= SETTLED


def test_it_is_looked_for_in_steps_that_grow_and_the_wait_is_shown() -> None:
    world = a_world("late-commit=290", "drop-answer=1")
    deliver(world, 0)

    looks = 0
    for _ in range(28):
        deliver(world, 10)
        looks += any(sent.url.path == "/fhir/Task" for sent in world.requests)

    (row,) = [row for row in world.outbox() if row.state is not IntentState.SUPERSEDED]
    assert (row.state, row.code, row.unsure) == (IntentState.QUEUED, "unanswered", True)
    assert "was not answered" in (row.reason or "")
    assert "14:05:05 UTC" in (row.reason or "")
    assert 4 <= looks <= 7
    assert row.attempts == 1, "waiting uses up no attempt"


def test_what_was_never_made_is_created_once_the_wait_is_over() -> None:
    world = a_world()
    lose_the_next_create(world)
    deliver(world, 0)
    assert world.ours("Task", CASES) == []

    deliver(world, 300)
    assert world.ours("Task", CASES) == []
    deliver(world, 6)

    assert len(world.ours("Task", CASES)) == 1


def test_messages_wait_behind_the_task_and_other_cases_go_on() -> None:
    world = a_world("late-commit=290", "drop-answer=1")
    world.act(ROOT, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    deliver(world, 0)
    world.ehr.remove_fault("late-commit")
    world.ehr.put(order("o2"))
    world.bridge.read()
    world.ehr.add_fault("late-commit=290")
    deliver(world, 20)

    assert world.ours("Communication", MESSAGES) == []
    assert sorted(task["focus"]["reference"] for task in world.ours("Task", CASES)) == [ROOT, "ServiceRequest/o2"]
    assert waiting(world) == ["unanswered", "unanswered"]
    for _ in range(8):
        deliver(world, 60)

    (message,) = world.ours("Communication", MESSAGES)
    (task,) = [one for one in world.ours("Task", CASES) if one["focus"]["reference"] == ROOT]
    assert message["partOf"] == [{"reference": f"Task/{task['id']}"}]
    assert waiting(world) == []


def test_news_of_the_case_do_not_end_the_wait() -> None:
    world = a_world("late-commit=290", "drop-answer=1")
    deliver(world, 0)
    world.act(ROOT, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))

    deliver(world, 30)

    assert world.writes == []
    for _ in range(8):
        deliver(world, 60)
    assert len(world.ours("Task", CASES)) == len(world.ours("Communication", MESSAGES)) == 1


def test_a_restart_does_not_end_the_wait() -> None:
    world = a_world("late-commit=290", "drop-answer=1")
    deliver(world, 0)
    with world.store.transaction() as tx:
        tx.release_leases(world.clock())
    world.bridge = world.new_bridge()

    deliver(world, 200)

    assert world.writes == []
    assert len(world.ours("Task", CASES)) == 1


def test_several_that_the_server_knows_of_and_no_search_shows_are_waited_for() -> None:
    """412 on If-None-Exist (hapi-fhir #3141) while an index is rebuilt: what is there shows later."""
    world = a_world("reindex=200")
    case = world.case(ROOT).id
    for own_id in ("x1", "x2"):
        world.ehr.put(a_task(own_id, identifier=[{"system": CASES, "value": case}]))

    deliver(world, 1)

    (row,) = [row for row in world.outbox() if row.state is not IntentState.SUPERSEDED]
    assert (row.state, row.unsure) == (IntentState.QUEUED, True)
    assert "several are there already" in (row.reason or "")


def lose_the_next_create(world: World) -> None:
    """Let a create get lost on its way to the EHR, with nobody knowing."""
    client, send = world.bridge.client, world.bridge.client.create

    def create(*args: Any, **kwargs: Any) -> Any:
        client.create = send  # type: ignore[method-assign]
        raise OutcomeUnknown("create of Task: sent, but no whole answer came")

    client.create = create  # type: ignore[method-assign]
