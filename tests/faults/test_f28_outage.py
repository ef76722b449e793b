"""F28: the EHR is away for three days."""

from __future__ import annotations

from bridge.cases.commands import LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel
from tests.unit.sync.world import World, order, patient

HOURS = 72
ORDERS = 12


def test_an_outage_of_three_days_costs_nothing_but_time() -> None:
    world = World()
    world.ehr.put(patient())
    for number in range(ORDERS):
        world.ehr.put(order(f"o{number}"))
    world.sync()
    for number in range(ORDERS):
        attempt = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
        world.act(f"ServiceRequest/o{number}", attempt, new_id=f"attempt-{number}")
    world.away = True
    for _ in range(HOURS * 2):
        world.clock.advance(minutes=30)
        world.bridge.sync_once()
    given_up = [row for row in world.outbox() if row.state in (IntentState.PARKED, IntentState.NOT_WRITABLE)]
    tried = [row.attempts for row in world.outbox() if row.state is IntentState.QUEUED]

    world.away = False
    world.ehr.put(order("o99"))
    for _ in range(4):
        world.clock.advance(minutes=30)
        report = world.bridge.sync_once()

    assert given_up == []
    assert set(tried) == {0}
    assert report.complete
    messages = world.ours("Communication", "urn:bridge:message")
    assert len([one for one in messages if one["status"] == "not-done"]) == ORDERS
    assert len(world.ours("Task", "urn:bridge:case")) == ORDERS + 1
