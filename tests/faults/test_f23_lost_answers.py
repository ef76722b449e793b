"""F23: an answer to a write is lost, wherever, however the server makes resources, however late its searches are."""

from __future__ import annotations

from itertools import product
from typing import Any

import httpx
import pytest

from bridge.cases.commands import LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel
from tests.unit.sync.world import World, order, patient

ROOT = "ServiceRequest/o1"
CASES, MESSAGES = "urn:bridge:case", "urn:bridge:message"
ENDED = (IntentState.CONFIRMED, IntentState.SUPERSEDED)

WAYS = {
    "own id": {"update_as_create": True},
    "conditional": {"update_as_create": False},
    "search alone": {"update_as_create": False, "conditional_create": False},
}
LOST = ("before", "after")
"""Whether the request or the answer is lost: the EHR never saw it, or carried it out."""
LAGS = (0, 60, 300)
WRITES = (1, 2)
"""Which of the writes: the Task, or a message."""

COMBINATIONS = list(product(WAYS, LOST, LAGS, WRITES))


def a_world(way: str, lag: int) -> World:
    """Return an EHR with one order and two attempts to reach the patient, none of which is told yet."""
    world = World()
    for name, value in WAYS[way].items():
        setattr(world.ehr.options, name, value)
    world.ehr.put(patient())
    world.ehr.put(order())
    world.bridge.read()
    world.bridge.name_people()
    for number in (1, 2):
        attempt = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
        world.act(ROOT, attempt, new_id=f"attempt-{number}")
    if lag:
        world.ehr.add_fault(f"late-commit={lag}")
    return world


def lose(world: World, manner: str, number: int) -> None:
    """Let the answer to the *number*-th write be lost, and what is sent before the EHR has seen it with it."""
    seen = iter(range(1, 1000))

    def on_the_way(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET" or next(seen) != number:
            return None
        if manner == "before":
            raise httpx.ReadTimeout("lost on the way there", request=request)
        world.ehr.add_fault("drop-answer=1")
        return None

    world.answers = on_the_way


def die_with_all_claimed(world: World) -> None:
    """Claim what is due, as a third process that never settles it."""
    with world.store.transaction() as tx:
        tx.claim("main", world.clock(), world.clock(), 100)


@pytest.mark.parametrize(("way", "lost", "lag", "number"), COMBINATIONS)
def test_whatever_answer_is_lost_one_task_stands_and_each_message_once(
    way: str, lost: str, lag: int, number: int
) -> None:
    world = a_world(way, lag)
    replicas = [world.bridge, world.new_bridge()]
    lose(world, lost, number)

    for turn in range(30):
        replicas[turn % 2].deliver()
        world.clock.advance(seconds=45)
        if turn == 3:
            die_with_all_claimed(world)
        if turn % 10 == 9:
            replicas[turn // 10 % 2].read()
            replicas[turn // 10 % 2].compare()

    assert live(world, "Task", CASES) == [world.case(ROOT).id]
    assert live(world, "Communication", MESSAGES) == ["outreach/attempt-1", "outreach/attempt-2"]
    assert {row.state for row in world.outbox()} <= set(ENDED)


def live(world: World, kind: str, system: str) -> list[str]:
    """Return the identifiers under which something of ours stands that is not marked as entered in error."""
    found: list[dict[str, Any]] = [one for one in world.ours(kind, system) if one["status"] != "entered-in-error"]
    return sorted(one["identifier"][0]["value"] for one in found)
