"""What is no fault raises no alert."""

from __future__ import annotations

from tests.monitoring.staged import Staged
from tests.unit.sync.world import order


def test_a_sweep_that_comes_before_the_poll_repairs_nothing() -> None:
    """Where much changes, there is always something that the poll is about to read."""
    world = Staged()
    world.pass_steps(3)
    world.ehr.put(order(status="on-hold"))
    world.clock.advance(minutes=1)

    swept = world.bridge.compare()

    assert swept.repaired == 1
    assert 'bridge_sweep_repairs_total{connection="main"} 0.0' in world.web.get("/metrics").text
