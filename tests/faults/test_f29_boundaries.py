"""
F29: queues and batches at their bounds: none is skipped where one batch ends and the next begins.

No queue has a cap; what there is of bounds is how much is taken at a time. Each is met with one less, just as many,
and one more, and with 1,001 of everything.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bridge.cases.commands import LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel
from bridge.store.queries import CaseFilter
from bridge.sync import agreement, notify, people, scan, sweep, timers
from bridge.sync.notify import Doorbell
from tests.faults.beside import FileWorld
from tests.unit.sync.world import World, order, patient

BATCH = 100
A_CLAIM = 4
"""How many intents a sender claims at a time; the world beside has one sender."""


def test_every_batch_is_as_large_as_is_met_here() -> None:
    assert {each.AT_ONCE for each in (agreement, notify, people, scan, sweep, timers)} == {BATCH}


def each_with_a_patient(world: World, count: int, **changes: Any) -> None:
    """Let the clinic order, or change, so many things, each for a patient of its own."""
    for number in range(count):
        world.ehr.put(order(f"o{number}", subject={"reference": f"Patient/p{number}"}, **changes))


def statuses(world: World) -> Counter[str]:
    """Return how many cases there are by the status that their order was last seen with."""
    with world.store.reading() as tx:
        return Counter(case.sources[0].status for case in tx.list_cases(CaseFilter(), limit=10_000).cases)


@pytest.mark.parametrize("count", [BATCH - 1, BATCH, BATCH + 1])
def test_everything_that_is_queued_gets_through(count: int, tmp_path: Path) -> None:
    """Pages, people, sweep, hints, deliveries and the proof, each in batches of a hundred or of four."""
    world = FileWorld(tmp_path, page_size=BATCH)
    read_all(world, count)
    delivered = world.bridge.deliver()

    assert delivered.ended[IntentState.CONFIRMED] == count
    assert len(world.ours("Task", "urn:bridge:case")) == count
    assert world.bridge.prove().differences == ()
    world.store.close()


def test_a_thousand_and_one_are_read_and_looked_at_again() -> None:
    read_all(World(page_size=BATCH, write=False), 1001)


def read_all(world: World, count: int) -> None:
    """Take so many in, with whom they name, compare them, and read them all again because they rang."""
    for number in range(count):
        world.ehr.put(patient(f"p{number}"))
    each_with_a_patient(world, count)
    first = world.sync()
    each_with_a_patient(world, count, status="on-hold")
    bell = Doorbell(world.store, world.clock)
    bell.ring("main", [f"ServiceRequest/o{number}" for number in range(count)], patience_seconds=60)
    bell.close()

    answered = world.bridge.answer()

    assert first.people.read == first.sweep.compared == count
    assert answered.asked == answered.counts.applied == count
    assert statuses(world) == {"on-hold": count}
    with world.store.reading() as tx:
        assert tx.hints("main", 10) == []
        assert tx.wanted_people("main", world.clock(), 10) == []


@pytest.mark.parametrize("count", [A_CLAIM * 4 - 1, A_CLAIM * 4, A_CLAIM * 4 + 1])
def test_many_messages_of_one_case_keep_no_other_case_from_being_sent(count: int, tmp_path: Path) -> None:
    """A claim looks at four times as many rows as it takes, since it takes one of a case."""
    world = FileWorld(tmp_path)
    world.fill(2)
    world.sync()
    for number in range(count):
        attempt = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
        world.act("ServiceRequest/o0", attempt, new_id=f"attempt-{number}")
        world.clock.advance(seconds=1)
    world.act("ServiceRequest/o1", attempt, new_id="another")

    world.bridge.deliver()

    told = world.ours("Communication", "urn:bridge:message")
    assert len([one for one in told if "Outreach" in one["text"]["div"]]) == count + 1
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}
    world.store.close()


def test_more_people_ring_at_once_than_a_batch_holds(tmp_path: Path) -> None:
    """Whoever waits for the same commit is told by it, each of 1,001."""
    world = FileWorld(tmp_path)
    bell = Doorbell(world.store, world.clock)
    with ThreadPoolExecutor(32) as senders:
        list(senders.map(lambda number: bell.ring("main", [f"Task/{number}"], patience_seconds=60), range(1001)))
    bell.close()

    with world.store.reading() as tx:
        assert len(tx.hints("main", 10_000)) == 1001
    world.store.close()
