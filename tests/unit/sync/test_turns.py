"""Turns: one at a time, taken over from who is gone, and given up by who was overtaken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import HeldBack, Unreachable
from bridge.store.memory import MemoryStore
from bridge.sync.turns import Turns

LEASE = timedelta(minutes=2)
HOUR = timedelta(hours=1)


class Desk:
    """Two processes over one store, on one clock."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 1, tzinfo=UTC)
        store = MemoryStore()
        self.one, self.other = (Turns(store, lambda: self.now, LEASE, shared=True) for _ in range(2))
        self.alone = Turns(store, lambda: self.now, LEASE)

    def later(self, by: timedelta) -> None:
        self.now += by

    def is_due(self, turns: Turns) -> bool:
        with turns.due("sweep", HOUR) as keep:
            return keep is not None


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_one_process_is_at_it_until_it_is_done(desk: Desk) -> None:
    with desk.one.one_at("read"), pytest.raises(HeldBack, match="another process is at it"), desk.other.one_at("read"):
        pass

    with desk.other.one_at("read"):
        pass


def test_who_goes_on_is_not_overtaken(desk: Desk) -> None:
    with desk.one.one_at("read") as keep:
        for _ in range(5):
            desk.later(LEASE / 2)
            keep()
            with pytest.raises(HeldBack), desk.other.one_at("read"):
                pass


def test_who_was_frozen_stops_when_another_has_taken_over(desk: Desk) -> None:
    with desk.one.one_at("read") as keep:
        desk.later(LEASE)
        with desk.other.one_at("read"), pytest.raises(HeldBack, match="taken over"):
            keep()


def test_the_end_of_one_that_was_overtaken_does_not_end_the_turn_of_another(desk: Desk) -> None:
    frozen = desk.one.one_at("read")
    frozen.__enter__()
    desk.later(LEASE)

    with desk.other.one_at("read"):
        frozen.__exit__(None, None, None)
        with pytest.raises(HeldBack), desk.one.one_at("read"):
            pass


def test_a_process_alone_may_always_begin(desk: Desk) -> None:
    with desk.alone.one_at("read"), desk.alone.one_at("read") as keep:
        keep()


def test_what_was_done_is_due_again_after_its_time_for_one_of_all(desk: Desk) -> None:
    assert desk.is_due(desk.one)
    assert not desk.is_due(desk.other)

    desk.later(HOUR)

    assert desk.is_due(desk.other)
    assert not desk.is_due(desk.one)


def test_what_failed_is_due_again_soon(desk: Desk) -> None:
    with pytest.raises(Unreachable), desk.one.due("sweep", HOUR):
        raise Unreachable("no answer")

    assert not desk.is_due(desk.other)
    desk.later(timedelta(minutes=1))
    assert desk.is_due(desk.other)


def test_what_a_process_died_over_is_due_when_its_lease_has_run_out(desk: Desk) -> None:
    desk.one.due("sweep", HOUR).__enter__()

    assert not desk.is_due(desk.other)
    desk.later(LEASE)
    assert desk.is_due(desk.other)


def test_what_a_process_hands_back_others_begin_with_at_once(desk: Desk) -> None:
    reading, sweeping = desk.one.one_at("read"), desk.one.due("sweep", HOUR)
    keep = reading.__enter__()
    sweeping.__enter__()

    assert desk.one.hand_back() == 2
    assert desk.one.hand_back() == 0

    with desk.other.one_at("read"), pytest.raises(HeldBack, match="taken over"):
        keep()
    assert desk.is_due(desk.other)


def test_what_was_handed_back_is_not_taken_again_by_its_end(desk: Desk) -> None:
    reading = desk.one.one_at("read")
    reading.__enter__()
    desk.one.hand_back()
    reading.__exit__(None, None, None)

    with desk.other.one_at("read"):
        pass
    assert desk.one.hand_back() == 0
