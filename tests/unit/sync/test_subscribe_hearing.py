"""A Subscription is believed by what comes of it: gaps are caught up with, deaf ones found out and mended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bridge.errors import Unreachable
from bridge.fhir.notification import Event, NotificationKind
from bridge.sync.hearing import Condition, condition
from tests.unit.sync.ringing import Ringing
from tests.unit.sync.world import a_task

TOPIC = "http://example.org/topics/task"


def by_topic(*operations: str, **connection: Any) -> Ringing:
    """Return a world with one topic Subscription, active, that has told of event 1."""
    world = Ringing({"operations": operations}, subscribe_topics={"Task": TOPIC}, **connection)
    world.subscribe()
    tell(world, 1)
    return world


def tell(world: Ringing, *numbers: int) -> None:
    told = tuple(Event(number=number, focus=f"Task/t{number}") for number in numbers)
    refs = [f"Task/t{number}" for number in numbers]
    world.ring(*refs, subscription=world.remote["id"], events=told)
    world.bridge.answer()


def searches(world: Ringing) -> list[str]:
    """Return the whole-type searches for Tasks since the last look."""
    asked = [sent.url.params for sent in world.requests if sent.url.path == "/fhir/Task"]
    return [str(params) for params in asked if "_id" not in params]


def the_change(world: Ringing, number: int) -> None:
    """Have the poll find a change that nobody rang for, and wait until it should have rung."""
    world.ehr.put(a_task(f"silent-{number}"))
    world.sync(minutes=3)
    world.tend(3)


# Gaps -----------------------------------------------------------------------------------------------------


def test_a_gap_is_caught_up_with_by_one_poll() -> None:
    world = by_topic()
    world.requests.clear()

    tell(world, 4)
    tell(world, 5)

    assert len(searches(world)) == 1
    assert (world.row.gap, world.row.gaps) == (None, 1)


def of_events(numbers: Iterable[int]) -> dict[str, Any]:
    """Return what ``$events`` answers."""
    told = [{"eventNumber": number, "focus": {"reference": f"Task/t{number}"}} for number in numbers]
    status = {"resourceType": "SubscriptionStatus", "type": "query-event", "notificationEvent": told}
    return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}]}


def test_a_gap_is_caught_up_with_by_events_where_there_are_any() -> None:
    world = by_topic("events")
    for number in (2, 3):
        world.ehr.put(a_task(f"t{number}"))
    world.registry.events = lambda _, since, until: of_events(range(since, until + 1))
    world.requests.clear()

    tell(world, 4)

    assert world.registry.asked_events == [(2, 3)]
    assert searches(world) == []
    with world.store.reading() as tx:
        assert set(tx.sources("main", ["Task/t2", "Task/t3"])) == {"Task/t2", "Task/t3"}


@pytest.mark.parametrize("answered", [{}, of_events([]), of_events([2]), of_events([3, 4])])
def test_events_that_do_not_tell_all_are_followed_by_a_poll(answered: dict[str, Any]) -> None:
    world = by_topic("events")
    world.registry.events = lambda *_: answered
    world.requests.clear()

    tell(world, 4)

    assert world.registry.asked_events == [(2, 3)]
    assert len(searches(world)) == 1


def test_a_catch_up_that_the_ehr_does_not_answer_is_not_forgotten() -> None:
    world = by_topic()
    world.away = True
    with pytest.raises(Unreachable):
        tell(world, 4)
    world.away = False
    world.requests.clear()

    world.bridge.answer()

    assert len(searches(world)) == 1


def test_status_tells_of_events_that_were_not_heard() -> None:
    world = by_topic("status")
    world.registry.status = lambda own_id: {
        "resourceType": "SubscriptionStatus",
        "type": "query-status",
        "status": "active",
        "eventsSinceSubscriptionStart": 3,
    }
    world.tend()
    world.requests.clear()

    world.bridge.answer()

    assert len(searches(world)) == 1
    assert (world.row.counter, world.row.gaps) == (3, 1)


def test_a_foreign_subscription_changes_nothing_of_ours() -> None:
    world = by_topic()
    before = world.row

    world.ring("Task/t9", subscription="somebody-elses", events=(Event(number=99, focus="Task/t9"),))

    assert world.row == before


# Silence --------------------------------------------------------------------------------------------------


def test_a_heartbeat_that_lacks_twice_is_shown_and_mended_after_a_poll() -> None:
    world = by_topic(subscribe_heartbeat_seconds=600)
    assert world.remote["channel"]["extension"][0]["valueUnsignedInt"] == 600
    world.ring(kind=NotificationKind.HEARTBEAT, subscription=world.remote["id"])
    world.clock.advance(minutes=20.1)
    assert condition(world.row, world.clock()) is Condition.SILENT

    world.tend()

    assert searches(world)
    assert world.writes == [f"PUT /fhir/Subscription/{world.remote['id']}"]


def test_a_heartbeat_in_time_leaves_all_as_it_is() -> None:
    world = by_topic(subscribe_heartbeat_seconds=600)
    for _ in range(5):
        world.clock.advance(minutes=10)
        world.ring(kind=NotificationKind.HEARTBEAT, subscription=world.remote["id"])

        world.tend()

        assert world.writes == []


# Deafness -------------------------------------------------------------------------------------------------


def test_one_that_is_called_active_and_never_rings_is_found_out_and_mended() -> None:
    world = Ringing()
    world.subscribe()
    for number in range(3):
        assert world.writes == []
        the_change(world, number)

    assert condition(world.row, world.clock()) in (Condition.NOT_ARRIVING, Condition.STARTING)
    assert world.row.missed == 3
    assert world.writes == [f"PUT /fhir/Subscription/{world.remote['id']}"]

    world.registry.activate()
    world.tend()
    assert condition(world.row, world.clock()) is Condition.NOT_ARRIVING

    world.ring("Task")
    world.tend()
    assert condition(world.row, world.clock()) is Condition.WORKING


def test_one_that_rings_is_never_held_to_have_missed_anything() -> None:
    world = Ringing()
    world.subscribe()
    for number in range(5):
        world.ehr.put(a_task(f"told-{number}"))
        world.clock.advance(seconds=5)
        world.ring("Task")
        world.bridge.answer()
        world.sync(minutes=3)
        world.tend(3)

    assert world.row.missed == 0


def test_one_that_rings_after_the_poll_is_in_time() -> None:
    world = Ringing()
    world.subscribe()
    world.ehr.put(a_task())
    world.sync(minutes=0.5)
    assert world.row.unheard_ref == "Task/t1"

    world.ring("Task")
    world.tend(10)

    assert world.row.missed == 0


def test_what_bridge_writes_itself_is_not_expected_to_ring() -> None:
    world = Ringing()
    world.subscribe()
    world.ehr.put(a_task())
    world.ring("Task")
    world.bridge.answer()
    for _ in range(3):
        world.sync(minutes=3)

    assert world.row.unheard_ref is None
