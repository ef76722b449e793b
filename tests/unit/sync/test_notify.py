"""Notifications: durable before they are heard, read again once, never the only way in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.cases.terms import Status
from bridge.errors import HeldBack, Unreachable
from bridge.store.memory import MemoryStore
from bridge.store.opening import create_or_open
from bridge.store.port import Store, Tx
from bridge.sync.notify import Doorbell, NotKept, answer
from tests.unit.sync.world import World, order, patient

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def noted(store: Store) -> list[str]:
    with store.reading() as tx:
        return [hint.ref for hint in tx.hints("main", 1000)]


def note(world: World, *refs: str, mark: int = 1) -> None:
    with world.store.transaction() as tx:
        tx.note_hints("main", refs, world.clock(), mark)


@pytest.fixture
def world() -> World:
    world = World()
    world.ehr.put(patient())
    return world


# The doorbell -------------------------------------------------------------------------------------------------


@contextmanager
def a_bell(store: Store, woken: list[str] | None = None) -> Iterator[Doorbell]:
    bell = Doorbell(store, lambda: NOW, (woken if woken is not None else []).append)
    try:
        yield bell
    finally:
        bell.close()


def test_a_ring_is_durable_when_it_returns(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    store = create_or_open(url)
    with a_bell(store) as bell:
        bell.ring("main", ["Task/1"])
        other = create_or_open(url)

        assert noted(other) == ["Task/1"]

        other.close()
    store.close()


def test_every_ring_of_many_threads_is_kept_and_wakes_its_connection() -> None:
    store, woken = MemoryStore(), list[str]()

    with a_bell(store, woken) as bell, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: bell.ring("main", [f"Task/{number % 50}"]), range(400)))

    assert sorted(noted(store)) == sorted(f"Task/{number}" for number in range(50))
    assert set(woken) == {"main"}


class Held(MemoryStore):
    """A store whose transactions wait, as on a locked database."""

    def __init__(self) -> None:
        super().__init__()
        self.free, self.entered = threading.Event(), threading.Event()
        self.begun = 0

    @contextmanager
    def transaction(self) -> Iterator[Tx]:  # type: ignore[override]
        self.begun += 1
        self.entered.set()
        assert self.free.wait(60)
        with super().transaction() as tx:
            yield tx


def test_rings_that_wait_share_one_commit() -> None:
    """And one future, which wakes all who wait for it."""
    store = Held()
    with a_bell(store) as bell:
        first = bell.take("main", ["Task/0"])
        assert store.entered.wait(60)
        others = [bell.take("main", [f"Task/{number}"]) for number in range(1, 8)]
        assert not first.done()
        store.free.set()
        for kept in [first, *others]:
            kept.result(60)

    assert len(noted(store)) == 8
    assert (store.begun, len({id(kept) for kept in others})) == (2, 1)


def test_a_sender_that_goes_away_does_not_take_its_ring_along() -> None:
    store = Held()
    with a_bell(store) as bell:
        kept = bell.take("main", ["Task/1"])

        assert not kept.cancel()
        store.free.set()

    assert noted(store) == ["Task/1"]


def test_a_sender_is_told_when_the_database_does_not_take_it_in_time() -> None:
    store = Held()
    with a_bell(store) as bell:
        with pytest.raises(NotKept):
            bell.ring("main", ["Task/1"], patience_seconds=0.01)
        store.free.set()


class Broken(MemoryStore):
    """A store that cannot be written to."""

    broken = True

    @contextmanager
    def transaction(self) -> Iterator[Tx]:  # type: ignore[override]
        if self.broken:
            raise OSError("disk full")
        with super().transaction() as tx:
            yield tx


def test_a_database_that_refuses_is_told_to_the_sender_and_does_not_end_the_bell() -> None:
    store = Broken()
    with a_bell(store) as bell:
        with pytest.raises(NotKept):
            bell.ring("main", ["Task/1"])
        store.broken = False
        bell.ring("main", ["Task/2"])

    assert noted(store) == ["Task/2"]


def test_after_the_end_nothing_is_taken() -> None:
    with a_bell(MemoryStore()) as bell:
        pass

    with pytest.raises(NotKept):
        bell.ring("main", ["Task/1"])


# The answer ---------------------------------------------------------------------------------------------------


def test_a_new_resource_is_read_and_opens_its_case(world: World) -> None:
    world.ehr.put(order())
    note(world, "ServiceRequest/o1")

    report = world.bridge.answer()

    assert world.case("ServiceRequest/o1").is_open
    assert (report.asked, report.counts.applied, noted(world.store)) == (1, 1, [])


def test_a_change_reaches_its_case_without_a_poll(world: World) -> None:
    world.ehr.put(order())
    world.sync()
    world.ehr.put(order(status="revoked"))
    note(world, "ServiceRequest/o1")

    world.bridge.answer()

    assert world.case("ServiceRequest/o1").status is Status.CLOSED


def test_a_deletion_reaches_its_case(world: World) -> None:
    world.ehr.put(order())
    world.sync()
    world.clinic.delete("ServiceRequest/o1").raise_for_status()
    note(world, "ServiceRequest/o1")

    world.bridge.answer()

    assert world.case("ServiceRequest/o1").status is Status.CLOSED


def test_what_rang_a_thousand_times_is_read_once(world: World) -> None:
    world.ehr.put(order())
    for mark in range(1000):
        note(world, "ServiceRequest/o1", mark=mark)
    world.requests.clear()

    world.bridge.answer()

    assert len(world.requests) == 1


def test_many_hints_are_read_in_few_requests(world: World) -> None:
    for number in range(250):
        world.ehr.put(order(f"o{number}"))
    note(world, *(f"ServiceRequest/o{number}" for number in range(250)))
    world.requests.clear()

    report = world.bridge.answer()

    assert report.counts.applied == 250
    assert len(world.requests) <= 250 / 20 + 3
    assert noted(world.store) == []


def test_a_repeat_changes_nothing(world: World) -> None:
    world.ehr.put(order())
    world.sync()
    before = world.case("ServiceRequest/o1")
    note(world, "ServiceRequest/o1")

    world.bridge.answer()

    assert world.case("ServiceRequest/o1") == before


def test_a_hint_that_names_a_type_polls_it(world: World) -> None:
    world.ehr.put(order())
    note(world, "ServiceRequest")

    report = world.bridge.answer()

    assert report.streams == {"ServiceRequest"}
    assert world.case("ServiceRequest/o1").is_open


def test_what_the_ehr_does_not_have_is_forgotten(world: World) -> None:
    note(world, "Task/none")

    world.bridge.answer()

    assert noted(world.store) == []


def test_while_the_ehr_is_away_hints_wait(world: World) -> None:
    world.ehr.put(order())
    note(world, "ServiceRequest/o1")
    world.away = True
    with pytest.raises(Unreachable):
        world.bridge.answer()
    assert noted(world.store) == ["ServiceRequest/o1"]

    world.away = False
    world.bridge.answer()

    assert world.case("ServiceRequest/o1").is_open


def test_one_that_the_ehr_refuses_does_not_hold_up_the_others(world: World) -> None:
    world.ehr.put(order())
    world.forbidden.add("ServiceRequest/secret")
    note(world, "ServiceRequest/o1", "ServiceRequest/secret", "Task/none")

    report = world.bridge.answer()

    assert world.case("ServiceRequest/o1").is_open
    assert (report.refused, noted(world.store)) == (1, [])


def test_one_that_was_known_and_is_closed_to_us_now_does_not_hold_up_the_others(world: World) -> None:
    for resource in (patient(), order(), order("o2")):
        world.ehr.put(resource)
    world.sync()
    world.forbidden.add("ServiceRequest/o1")
    world.ehr.put(order("o2", status="on-hold"))
    note(world, "ServiceRequest/o1", "ServiceRequest/o2")

    report = world.bridge.answer()

    assert (report.refused, report.counts.applied, noted(world.store)) == (1, 1, [])
    assert world.case("ServiceRequest/o1").is_open


def test_a_hint_for_a_type_that_there_is_no_way_to_read_is_not_tried_for_ever(world: World) -> None:
    """An event that names nothing rings for every type, also one that the EHR never lets us poll."""
    world.ehr.put(order())
    world.ehr.add_fault("forbidden=Task")
    note(world, "Task", "ServiceRequest")

    report = world.bridge.answer()

    assert world.case("ServiceRequest/o1").is_open
    assert (report.refused, noted(world.store)) == (1, [])


def test_a_stream_that_somebody_else_is_reading_is_read_again_after_that(world: World) -> None:
    """Its hint stays: what rang may have come after their last page."""
    world.ehr.put(order())
    note(world, "ServiceRequest")
    bridge = world.bridge

    def held(stream: str) -> None:
        raise HeldBack(f"{stream}: another process is at it", retry_at=world.clock())

    report = answer(bridge.client, world.store, bridge.line, world.clock, held)

    assert report.waiting == {"ServiceRequest"}
    assert noted(world.store) == ["ServiceRequest"]
    bridge.answer()
    assert noted(world.store) == []
    assert world.case("ServiceRequest/o1").is_open
