"""A person's pause: everything waits, nothing is lost, and it goes on where it stood."""

from __future__ import annotations

import pytest

from bridge.errors import HeldBack
from bridge.store.rows import Pause
from tests.unit.sync.world import World, a_task, order, patient, visit

ROOT = "ServiceRequest/o1"


@pytest.fixture
def world() -> World:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.sync()
    return world


def pause(world: World, type_: str | None = None) -> None:
    with world.store.transaction() as tx:
        assert tx.pause(Pause(connection="main", type=type_, by="Ana", at=world.clock()))


def resume(world: World, type_: str | None = None) -> None:
    with world.store.transaction() as tx:
        assert tx.resume("main", type_)


def hints(world: World) -> list[str]:
    with world.store.reading() as tx:
        return [hint.ref for hint in tx.hints("main", 100)]


def note(world: World, *refs: str) -> None:
    with world.store.transaction() as tx:
        tx.note_hints("main", refs, world.clock(), 1)


def test_a_paused_connection_is_not_asked_at_all(world: World) -> None:
    pause(world)
    note(world, ROOT)
    world.clock.advance(minutes=10)
    world.requests.clear()

    report = world.bridge.sync_once()
    for work in (world.bridge.answer, world.bridge.compare, world.bridge.deliver, world.bridge.name_people):
        with pytest.raises(HeldBack, match="it is paused, by Ana since 2026-06-01"):
            work()

    assert world.requests == []
    assert not report.complete
    assert "paused, by Ana" in report.problems[0]


def test_what_a_pause_held_up_is_there_afterwards(world: World) -> None:
    pause(world)
    world.ehr.put(order(status="on-hold"))
    world.ehr.put(a_task())
    note(world, ROOT)
    world.clock.advance(minutes=60 * 24 * 3)
    world.bridge.sync_once()

    assert hints(world) == [ROOT]
    resume(world)
    world.sync()
    world.bridge.answer()

    assert world.task(ROOT)["status"] == "on-hold"
    assert hints(world) == []


def test_a_pause_is_no_problem_of_the_ehr(world: World) -> None:
    pause(world)
    world.bridge.sync_once()

    with world.store.reading() as tx:
        assert [cursor.problem for cursor in tx.cursors("main") if cursor.problem] == []


def test_of_a_paused_type_nothing_is_read_and_the_rest_goes_on(world: World) -> None:
    pause(world, "ServiceRequest")
    world.ehr.put(order(status="on-hold"))
    world.ehr.put(visit())
    note(world, ROOT, "ServiceRequest", "Appointment/v1")
    world.clock.advance(minutes=10)
    world.requests.clear()

    report = world.bridge.sync_once()
    world.bridge.answer()

    assert hints(world) == ["ServiceRequest", ROOT]
    assert [problem.partition(":")[0] for problem in report.problems] == ["ServiceRequest"]
    assert not [sent for sent in world.requests if sent.url.path.endswith("/ServiceRequest")]
    assert report.deliveries is not None


def test_while_tasks_are_paused_a_sweep_does_not_look_at_ours(world: World) -> None:
    pause(world, "Task")
    world.clock.advance(minutes=30)
    world.requests.clear()

    swept = world.bridge.compare()

    assert swept.problems == ()
    assert not [sent for sent in world.requests if sent.url.path.endswith("/Task")]


def test_a_pause_in_the_midst_of_a_crawl_ends_it_after_the_page(world: World) -> None:
    for number in range(12):
        world.ehr.put(order(f"more{number}"))
    connector = world.bridge

    with pytest.raises(HeldBack):
        connector.read_stream("ServiceRequest", lambda _: pause(world))

    resume(world)
    world.sync()
    with world.store.reading() as tx:
        assert len({row.ref for row in tx.inbox(limit=1000) if row.type == "ServiceRequest"}) == 13
