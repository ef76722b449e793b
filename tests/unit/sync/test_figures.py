"""What a connection at work leaves for monitoring to count."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from bridge.errors import AuthExpired, OutcomeUnknown, RemoteError, ServerFault, Unreachable
from bridge.store.rows import Cursor, Delivered
from bridge.sync.governor import Asked, Away, Governor
from bridge.sync.sweep import SWEEP_STREAM
from bridge.sync.taking import begin
from tests.unit.sync.world import World, order, patient


def delivered(world: World) -> dict[tuple[str, str], int]:
    with world.store.reading() as tx:
        rows: list[Delivered] = tx.deliveries("main")
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        found[row.outcome, row.code] = found.get((row.outcome, row.code), 0) + row.found
    return found


def cursor(world: World, stream: str = "Task") -> Cursor:
    with world.store.reading() as tx:
        found = tx.cursor("main", stream)
    assert found is not None
    return found


def test_a_type_that_is_never_read_whole_is_behind_since_it_was_first_asked_for() -> None:
    world = World()
    world.answers = lambda sent: httpx.Response(500, request=sent) if sent.url.path.endswith("/Task") else None
    first = world.clock()
    world.bridge.read()
    assert cursor(world).lag(first + timedelta(minutes=7)) == timedelta(minutes=7)

    world.clock.advance(minutes=30)
    world.bridge.read()
    assert cursor(world).lag(world.clock()) == timedelta(minutes=30)

    world.answers = lambda _: None
    world.bridge.read()
    lag = cursor(world).lag(world.clock())
    assert lag is not None
    assert lag < timedelta(minutes=1)


def test_a_first_read_from_a_day_on_is_not_behind_since_that_day() -> None:
    """Its watermark is that day until it is done."""
    world = World(start_date="2020-01-01", page_size=2)
    for number in range(9):
        world.clock.advance(minutes=1)
        world.ehr.put(order(f"o{number}"))
    seen: list[Cursor] = []
    world.bridge.read(lambda progress: seen.append(cursor(world, progress.stream)))

    begun = [one for one in seen if one.checked_at is None]
    assert len(begun) > 2
    assert all(one.known_until is None and one.lag(world.clock()) == timedelta(0) for one in begun)


def test_what_one_way_has_read_is_known_while_another_begins_anew() -> None:
    world = World()
    world.sync()
    known = cursor(world)

    anew = begin(world.store, world.line, "Task", "snapshot", None)

    assert anew.behind_since == known.watermark
    assert anew.lag(world.clock()) == world.clock() - anew.behind_since


def test_deliveries_are_counted_by_how_they_ended() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.refuses = lambda sent: sent.method in ("PUT", "POST")
    world.clock.advance(minutes=1)
    world.bridge.sync_once()
    refused = delivered(world)

    world.refuses = lambda _: False
    world.ehr.put(order("o2"))
    world.sync()

    assert refused == {("parked", "http-400"): 1}
    assert delivered(world) == {("parked", "http-400"): 1, ("confirmed", ""): 1}


def test_what_was_not_answered_is_counted_as_tried_again() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.clock.advance(minutes=1)
    world.bridge.read()
    world.answers = lambda sent: (
        httpx.Response(500, request=sent) if sent.url.path.endswith("/ServiceRequest/o1") else None
    )

    world.bridge.deliver()

    assert delivered(world) == {("again", "http-500"): 1}


def test_a_sweep_leaves_when_it_came_to_its_end() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.sync()
    first = world.clock()

    with world.store.reading() as tx:
        cursor = tx.cursor("main", SWEEP_STREAM)
    assert cursor is not None
    assert (cursor.checked_at, cursor.problem) == (first, None)

    world.forbidden.add("ServiceRequest")
    world.refuses = lambda sent: "ServiceRequest" in str(sent.url)
    world.clock.advance(minutes=30)
    world.bridge.compare()
    with world.store.reading() as tx:
        cursor = tx.cursor("main", SWEEP_STREAM)
    assert cursor is not None
    assert cursor.checked_at == first
    assert cursor.problem is not None


def test_the_clock_of_the_ehr_is_noted_when_it_changes() -> None:
    world = World()
    world.ehr.put(patient())
    slow = timedelta(0)
    world.bridge.client._clock = lambda: world.clock() - slow  # type: ignore[method-assign]

    def noted() -> timedelta | None:
        with world.store.reading() as tx:
            return tx.budget("main").ahead

    world.sync()
    assert noted() == timedelta(0)
    slow = timedelta(minutes=6)
    world.sync()
    assert noted() == timedelta(minutes=6)


@pytest.mark.parametrize(
    ("error", "asked", "away"),
    [
        (AuthExpired("401"), Asked.CREDENTIALS, Away.CREDENTIALS),
        (Unreachable("no connection"), Asked.FAILED, Away.UNREACHABLE),
        (ServerFault("500"), Asked.FAILED, Away.SERVER_FAULT),
        (OutcomeUnknown("no answer"), Asked.FAILED, Away.UNANSWERED),
    ],
)
def test_why_an_ehr_is_away_is_kept_in_a_word(error: RemoteError, asked: Asked, away: Away) -> None:
    world = World()
    governor = Governor("main", world.store, world.clock, sleep=lambda _: None)

    def ask(error: RemoteError | None) -> None:
        with governor.turn():
            if error is not None:
                raise error

    for _ in range(5):
        with pytest.raises(type(error)):
            ask(error)
    assert governor.budget().cause == away
    assert governor.asked() == {asked: 5}

    world.clock.advance(minutes=2)
    ask(None)
    assert governor.budget().cause is None
    assert governor.asked() == {asked: 5, Asked.ANSWERED: 1}
