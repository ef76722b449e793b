"""What is created under our identifier is there once, whatever the identifier looks like."""

from __future__ import annotations

import httpx
import pytest

from bridge.errors import OutcomeUnknown
from bridge.sync.hand import Hand
from bridge.tasks.check import encode
from bridge.tasks.identity import MESSAGE_SYSTEM, message_ref
from bridge.tasks.merge import decode
from bridge.tasks.route import How
from tests.unit.sync.world import World, a_task


@pytest.mark.parametrize("how", [How.PUT_OWN_ID, How.CONDITIONAL_CREATE])
@pytest.mark.parametrize("key", ["told/closed/Task/1/_history/2", "at 14:00+02:00", "a&b=c#d%2F", "x,y$z"])
def test_a_repeated_create_finds_what_the_first_one_made(how: How, key: str) -> None:
    world = World()
    world.ehr.options.update_as_create = how is How.PUT_OWN_ID
    hand = Hand(world.bridge.client, world.clock)
    resource = {
        "resourceType": "Communication",
        "status": "completed",
        "identifier": [{"system": MESSAGE_SYSTEM, "value": key}],
    }

    first = hand.create(how, "Communication", message_ref(key), MESSAGE_SYSTEM, key, encode(resource))
    if how is How.CONDITIONAL_CREATE:
        again = hand.create(how, "Communication", message_ref(key), MESSAGE_SYSTEM, key, encode(resource))
        assert (again.ref, again.created) == (first.ref, False)

    found = hand.look(how, message_ref(key), MESSAGE_SYSTEM, key)
    assert found is not None
    assert found.ref == first.ref
    assert len(world.ours("Communication", MESSAGE_SYSTEM)) == 1


def test_an_empty_answer_to_an_update_that_changed_nothing_is_not_believed() -> None:
    """A gateway answered 200 for what never reached the EHR."""
    world = World()
    world.ehr.put(a_task())
    hand = Hand(world.bridge.client, world.clock)
    stands = world.bridge.client.read("Task/t1")
    world.answers = lambda request: httpx.Response(200) if request.method == "PUT" else None

    with pytest.raises(OutcomeUnknown, match="stands as it did"):
        hand.update("Task/t1", {**decode(stands.raw), "status": "accepted"}, stands.version)

    world.answers = lambda request: None
    assert hand.update("Task/t1", {**decode(stands.raw), "status": "accepted"}, stands.version) == "2"
