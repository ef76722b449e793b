"""A server that is away is not asked once for every intent that waits."""

from __future__ import annotations

from bridge.cases.intents import IntentState
from bridge.sync.deliver import deliver_due
from tests.unit.sync.world import World, order, patient


class Counting(World):
    """A world that counts how often a connection was tried in vain."""

    tries = 0
    _is_away = False

    @property
    def away(self) -> bool:  # type: ignore[override]
        self.tries += self._is_away
        return self._is_away

    @away.setter
    def away(self, value: bool) -> None:
        self._is_away = value


def test_after_one_attempt_in_vain_the_others_wait_and_use_up_none() -> None:
    world = Counting()
    world.ehr.put(patient())
    for number in range(8):
        world.ehr.put(order(f"o{number}"))
    world.bridge.read()
    channel = world.bridge.channel()
    world.away = True

    deliver_due(world.store, channel, world.clock)
    deliver_due(world.store, channel, world.clock)

    assert world.tries == 1
    assert {(row.state, row.attempts) for row in world.outbox()} == {(IntentState.QUEUED, 0)}
    world.away = False
    world.sync()
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}
