"""A new database beside an EHR that Bridge wrote to before finds everything as it is, however the pages fall."""

from __future__ import annotations

from random import Random

import pytest

from conformance.generator import generate
from conformance.generator.people import cast
from tests.unit.sync.world import World


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_it_writes_nothing(seed: int) -> None:
    first = a_bridge(seed, page_size=5)
    work = generate(seed, 250, at=first.clock())
    Random(seed).shuffle(work)
    for resource in work:
        first.ehr.put(resource)
        first.clock.advance(seconds=1)
    first.sync()
    written = first.writes

    others = {size: a_bridge(seed, page_size=size) for size in (1, 7, 50, 200)}
    for other in others.values():
        other.ehr, other.clock = first.ehr, first.clock
        other.bridge = other.new_bridge()
        other.sync()

    assert len(written) > 90
    assert {size: other.writes for size, other in others.items() if other.writes} == {}


def a_bridge(seed: int, *, page_size: int) -> World:
    """Return a Bridge with a database of its own, whom some of the Tasks ask."""
    staff = cast(seed)
    ours = [f"{one['resourceType']}/{one['id']}" for one in (staff.cardiology, staff.nurse)]
    return World(vendor="hapi", we_are=ours, overlap_seconds=0, lag_seconds=0, page_size=page_size)
