"""Agreement: what is the same on both sides is proven, and everything else is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge.cases.commands import Close
from bridge.cases.sources import SourceRow
from bridge.cases.terms import ClosureReason
from bridge.errors import Refused, RemoteError
from bridge.sync.agreement import IN_FLIGHT, Agreement, Kind, agreement
from tests.unit.sync.world import World, a_task, order, patient, visit

ROOT = "ServiceRequest/o1"


def a_world(orders: int = 1) -> World:
    """Return an EHR with some referrals, a Task and a visit, all read and written."""
    world = World()
    world.ehr.put(patient())
    for number in range(1, orders + 1):
        world.ehr.put(order(f"o{number}"))
    world.ehr.put(a_task(owner={"reference": "Organization/desk"}))
    world.ehr.put(visit())
    world.sync()
    world.sync()
    return world


def kinds(found: Agreement) -> list[tuple[Kind, str]]:
    """Return what differs, without words."""
    return [(one.kind, one.what) for one in found.differences]


def test_after_a_round_they_agree_and_the_proof_says_what_was_compared() -> None:
    world = a_world(orders=5)
    before = world.store

    found = world.bridge.prove()

    assert found.holds, found.differences
    assert (found.resources["ServiceRequest"], found.resources["Appointment"], found.cases) == (5, 1, 5)
    assert found.asked_at <= found.told_at
    assert found.ehr_at is not None
    assert world.store is before


def test_nothing_is_written_and_nothing_stored() -> None:
    world = a_world()
    world.ehr.put(order(priority="urgent"))
    world.requests.clear()
    before = (world.case(ROOT), world.outbox())

    world.bridge.prove()

    assert world.writes == []
    assert (world.case(ROOT), world.outbox()) == before


def test_what_was_not_read_yet_is_named_until_it_is() -> None:
    world = a_world()
    world.ehr.put(order(priority="urgent"))
    world.ehr.put(order("o2"))

    assert kinds(world.bridge.prove()) == [
        (Kind.NOT_RECEIVED, ROOT),
        (Kind.NOT_RECEIVED, "ServiceRequest/o2"),
    ]
    world.sync()
    assert world.bridge.prove().holds


def test_what_is_parked_is_named_with_its_reason() -> None:
    world = a_world()
    world.ehr.put(order(modifierExtension=[{"url": "https://clinic.example/not", "valueBoolean": True}]))
    world.sync()

    unread, unwritten = world.bridge.prove().differences

    assert (unread.kind, unread.what) == (Kind.NOT_READ, ROOT)
    assert "modifierExtension" in unread.words
    assert unwritten.kind is Kind.NOT_WRITTEN
    assert "cannot be read any longer" in unwritten.words


def test_what_is_deleted_there_is_named_until_the_sweep_has_seen_it() -> None:
    world = a_world()
    world.clinic.delete("Appointment/v1").raise_for_status()

    assert kinds(world.bridge.prove()) == [(Kind.NOT_THERE, "Appointment/v1")]
    world.sync()
    assert world.bridge.prove().holds


def test_what_an_earlier_release_read_otherwise_is_named() -> None:
    world = a_world()
    with world.store.transaction() as tx:
        (row,) = tx.sources("main", [ROOT]).values()
        tx.save_sources([_with_title(row, "As it was read before")])

    assert kinds(world.bridge.prove()) == [(Kind.MAPPED_OTHERWISE, ROOT)]


def test_a_task_of_ours_that_does_not_stand_is_named() -> None:
    world = a_world(orders=3)
    ours = {root: f"Task/{world.task(f'ServiceRequest/{root}')['id']}" for root in ("o1", "o2", "o3")}
    world.clinic.delete(ours["o1"]).raise_for_status()
    world.ehr.put({**world.task("ServiceRequest/o2"), "status": "completed"})
    world.ehr.put({**world.task("ServiceRequest/o3"), "for": {"reference": "Patient/p2"}})

    found = world.bridge.prove()

    told = {one.what: one.words for one in found.differences}
    assert {one.kind for one in found.differences} == {Kind.NOT_WRITTEN}
    assert told == {
        ours["o1"]: "our Task is not there",
        ours["o2"]: "our Task was ended there (completed)",
        ours["o3"]: "our Task is for another patient than the case",
    }


def test_a_write_that_only_just_waits_is_no_difference_and_one_that_is_stuck_is() -> None:
    world = a_world()
    world.ehr.put(order("o2"))
    world.bridge.read()
    assert world.bridge.prove().holds

    world.clock.advance(seconds=IN_FLIGHT.total_seconds() + 1)
    (one,) = world.bridge.prove().differences
    assert (one.kind, one.words) == (Kind.NOT_WRITTEN, "queued: it waits for its turn")
    assert one.case == world.case("ServiceRequest/o2").id


def test_a_case_that_is_over_needs_no_task() -> None:
    world = a_world()
    world.act(ROOT, Close(reason=ClosureReason.DECLINED))
    world.sync()
    world.sync()
    world.clinic.delete(f"Task/{world.task(ROOT)['id']}").raise_for_status()

    assert world.bridge.prove().holds


def test_what_moves_meanwhile_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll reads it before the second look."""
    world = a_world()
    world.ehr.put(order(priority="urgent"))
    client = world.bridge.client
    inner = client.batch_read

    def read(refs: Iterable[str]) -> object:
        world.bridge.read()
        return inner(refs)

    monkeypatch.setattr(client, "batch_read", read)

    assert world.bridge.prove().holds


def test_an_ehr_that_does_not_answer_proves_nothing() -> None:
    world = a_world()
    world.away = True

    with pytest.raises(RemoteError):
        world.bridge.prove()


@pytest.mark.parametrize("fault", ["truncate=2,note", "truncate=2,total", "repeat-rows=1,1"])
def test_a_type_of_which_the_ehr_gives_less_than_there_is_is_not_proven(fault: str) -> None:
    """That what it gives is the same says nothing of what it keeps back; what cases rest on is compared by name."""
    world = a_world(orders=9)
    world.bridge = dataclasses.replace(world.bridge, line=dataclasses.replace(world.line, page_size=3))
    assert world.bridge.prove().holds
    world.ehr.put(order("o9", priority="urgent"))
    world.ehr.add_fault(fault)

    assert sorted(kinds(world.bridge.prove())) == [
        (Kind.NOT_PROVEN, "ServiceRequest"),
        (Kind.NOT_PROVEN, "Task"),
        (Kind.NOT_RECEIVED, "ServiceRequest/o9"),
    ]


def test_a_type_that_there_is_no_way_to_read_is_named_and_the_rest_is_proven() -> None:
    world = a_world()

    def searches(stream: str) -> list[list[tuple[str, str]]]:
        if stream == "Appointment":
            raise Refused("there is no way to read Appointment that this EHR lets us prove")
        return [[]]

    found = agreement(world.bridge.client, world.store, world.line, world.clock, searches=searches)

    assert kinds(found) == [(Kind.NOT_PROVEN, "Appointment")]
    assert not found.holds
    assert found.resources["ServiceRequest"] == 1


def test_what_the_ehr_closes_to_us_is_named_and_the_rest_is_compared() -> None:
    world = a_world(orders=3)
    ours = f"Task/{world.task('ServiceRequest/o2')['id']}"
    for number in (1, 3):
        world.ehr.put(order(f"o{number}", priority="urgent"))
    world.forbidden |= {ROOT, ours}

    assert kinds(world.bridge.prove()) == [
        (Kind.NOT_RECEIVED, "ServiceRequest/o3"),
        (Kind.NOT_READABLE, ROOT),
        (Kind.NOT_WRITTEN, ours),
    ]


def test_only_what_is_in_scope_is_asked_for() -> None:
    world = a_world()
    world.ehr.put(order("o9"))
    world.clock.advance(days=3)
    since = world.clock() - timedelta(days=1)

    found = _since(world, since)

    assert found.holds
    assert found.resources["ServiceRequest"] == 0


def _since(world: World, since: datetime) -> Agreement:
    return dataclasses.replace(world.bridge, since=since).prove()


def _with_title(row: SourceRow, title: str) -> SourceRow:
    return replace(row, snapshot=replace(row.snapshot, title=title))


def with_two_tasks() -> World:
    """Return a world in which a second Task of ours stands beside the first."""
    world = World()
    world.ehr.options.update_as_create = False
    world.ehr.put(patient())
    world.ehr.put(order())
    world.sync()
    world.clock.advance(minutes=1)
    world.ehr.put({**{name: value for name, value in world.task(ROOT).items() if name != "meta"}, "id": "zz"})
    world.bridge.read()
    return world


def test_a_second_task_that_may_not_be_read_by_name_leaves_the_rest_proven() -> None:
    world = with_two_tasks()
    world.forbidden.add("Task/zz")

    assert world.bridge.prove().resources["ServiceRequest"] == 1


def test_two_tasks_of_ours_where_one_should_stand_are_a_difference_until_one_is_taken_back() -> None:
    world = with_two_tasks()

    (found,) = world.bridge.prove().differences

    assert (found.kind, found.case) == (Kind.STANDS_TWICE, world.case(ROOT).id)
    assert "Task/1, Task/zz stand for one case" in found.words
    world.sync()
    assert world.bridge.prove().holds
