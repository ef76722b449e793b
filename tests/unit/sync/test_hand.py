"""What is created under our identifier is there once, whatever the identifier looks like."""

from __future__ import annotations

import pytest

from bridge.sync.hand import Hand
from bridge.tasks.check import encode
from bridge.tasks.identity import MESSAGE_SYSTEM, message_ref
from bridge.tasks.route import How
from tests.unit.sync.world import World


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
