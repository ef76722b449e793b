"""What befalls a process in the midst of a delivery: its database breaks off, or its lease runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from bridge.cases.intents import IntentState
from bridge.errors import StoreUnavailable
from bridge.store.memory import MemoryStore, MemoryTx
from tests.unit.sync.world import World, order, patient


class Breaking(MemoryStore):
    """Breaks off once, at the first read after a transaction."""

    def __init__(self, inner: MemoryStore) -> None:
        self.inner, self.breaks, self.broke = inner, False, False

    @contextmanager
    def transaction(self) -> Iterator[MemoryTx]:
        with self.inner.transaction() as tx:
            yield tx
        self.breaks = not self.broke

    @contextmanager
    def reading(self) -> Iterator[MemoryTx]:
        if self.breaks:
            self.breaks, self.broke = False, True
            raise StoreUnavailable("database: server closed the connection unexpectedly")
        with self.inner.reading() as tx:
            yield tx


def test_a_write_whose_database_broke_off_is_tried_again_and_not_parked() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.bridge.read()
    world.bridge.name_people()
    store = Breaking(world.store)

    replace(world.bridge, store=store).deliver()

    assert store.broke
    (row,) = (row for row in world.outbox() if row.reason is not None)
    assert (row.state, row.attempts, row.unsure) == (IntentState.QUEUED, 0, True)
    assert "server closed the connection" in str(row.reason)
    world.sync()
    assert world.task("ServiceRequest/o1")["status"] == "ready"
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}


def test_what_was_looked_at_too_long_ago_is_not_written_over() -> None:
    """A process that was frozen between looking and writing: another one may have written what is true by now."""
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.bridge.read()
    world.bridge.name_people()
    world.slow = timedelta(seconds=61)
    world.requests.clear()

    world.bridge.deliver()

    assert world.writes == []
    assert [row.state for row in world.outbox() if "lease ran out" in str(row.reason)] == [IntentState.QUEUED]
    world.slow = timedelta(0)
    world.sync()
    assert world.task("ServiceRequest/o1")["status"] == "ready"
