"""Who may ask the EHR, and when: the rate, the EHR's own wish, and whether it is there at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bridge.cases.calendar import Calendar
from bridge.errors import NotFound, OutcomeUnknown, PutOff, RemoteError, ServerFault, Throttled, Unreachable
from bridge.store.memory import MemoryStore
from bridge.store.port import Store
from bridge.sync.governor import (
    A_REAL_OUTAGE,
    FIRST_PAUSE,
    FULL_AGAIN,
    LONGEST_PAUSE,
    LONGEST_WAIT_ASKED_FOR,
    MOST_FAILURES,
    SEEN_OF_LATE,
    SLOW_START,
    Governor,
    Limits,
)

MONDAY_NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that moves when told, and when somebody sleeps."""

    def __init__(self) -> None:
        self.now = MONDAY_NOON

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def pass_(self, span: timedelta) -> None:
        self.now += span


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def governor(store: Store, clock: Clock, worker: str | None = None, **limits: float) -> Governor:
    """Return a governor without jitter."""
    given = Limits(**limits)  # type: ignore[arg-type]
    return Governor("main", store, clock, given, Calendar(), worker, clock.sleep, jitter=lambda: 0.0)


def ask(one: Governor, error: RemoteError | None = None) -> None:
    """Make a request that ends with *error*, or well."""
    if error is None:
        with one.turn():
            return
    with pytest.raises(type(error)), one.turn():
        raise error


def away(one: Governor) -> None:
    """Let the EHR not answer until it is taken for away."""
    for _ in range(MOST_FAILURES):
        ask(one, Unreachable("refused"))


@contextmanager
def put_off() -> Iterator[None]:
    with pytest.raises(PutOff, match="not asked before"):
        yield


def asked_in(one: Governor, clock: Clock, span: timedelta) -> int:
    """Return how many requests are let through in *span*, of somebody who never stops asking."""
    end, count = clock.now + span, 0
    while True:
        ask(one)
        if clock.now >= end:
            return count
        count += 1


# The rate -------------------------------------------------------------------------------------------------


def test_without_a_limit_nobody_waits(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    for _ in range(1000):
        ask(one)
    assert clock.now == MONDAY_NOON


@pytest.mark.parametrize("rate", [0.5, 1, 4, 30])
def test_so_many_a_second_and_no_more(store: MemoryStore, clock: Clock, rate: float) -> None:
    one = governor(store, clock, per_second=rate)
    assert asked_in(one, clock, timedelta(minutes=1)) == pytest.approx(60 * rate, abs=1)


def test_two_processes_share_one_rate(store: MemoryStore, clock: Clock) -> None:
    pair = [governor(store, clock, name, per_second=4) for name in ("a", "b")]
    end, count = clock.now + timedelta(minutes=1), 0
    while clock.now < end:
        ask(pair[count % 2])
        count += 1
    assert count <= 60 * 4 + 2 * 4


def test_what_was_not_used_is_not_saved_up(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock, per_second=10)
    ask(one)
    clock.pass_(timedelta(hours=1))
    assert asked_in(one, clock, timedelta(seconds=2)) <= 21


def test_office_hours_have_a_rate_of_their_own(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock, per_second=20, office_per_second=2)
    assert asked_in(one, clock, timedelta(minutes=1)) == pytest.approx(120, abs=1)
    clock.now = MONDAY_NOON.replace(hour=22)
    assert asked_in(one, clock, timedelta(minutes=1)) == pytest.approx(1200, abs=21)


def test_a_turn_too_far_off_is_put_off_with_its_time(store: MemoryStore, clock: Clock) -> None:
    """Another process has reserved what comes next: at a tenth of a request a second that is far away."""
    ask(governor(store, clock, "a", per_second=0.02))
    one = governor(store, clock, "b", per_second=0.02)
    with pytest.raises(PutOff, match="its budget is used up") as put_off_:
        ask(one)
    assert put_off_.value.retry_at == MONDAY_NOON + timedelta(seconds=50)


# What the EHR asks for ------------------------------------------------------------------------------------


def test_retry_after_is_kept_by_every_process(store: MemoryStore, clock: Clock) -> None:
    one, other = governor(store, clock, "a"), governor(store, clock, "b")
    until = clock.now + timedelta(minutes=5)
    ask(one, Throttled("429", retry_at=until, status=429))

    for each in (one, other):
        with put_off(), each.turn():
            pytest.fail("it asked to be left alone")
    clock.now = until
    ask(other)


def test_a_short_wait_is_waited_for(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    until = clock.now + timedelta(seconds=7)
    ask(one, Throttled("429", retry_at=until))
    ask(one)
    assert clock.now == until


def test_a_wait_without_end_is_cut_to_an_hour(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    ask(one, Throttled("429", retry_at=clock.now + timedelta(seconds=9_999_999)))
    assert one.budget().asked_until == clock.now + LONGEST_WAIT_ASKED_FOR


def test_who_is_not_told_how_long_waits_longer_each_time(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    waits = []
    for _ in range(8):
        ask(one, Throttled("429"))
        until = one.budget().asked_until
        assert until is not None
        waits.append((until - clock.now).total_seconds())
        clock.now = until
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    ask(one)
    ask(one, Throttled("429"))
    assert one.budget().asked_until == clock.now + timedelta(seconds=1)


# Whether it is there --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unreachable("x"), ServerFault("x"), OutcomeUnknown("x")])
def test_after_a_few_unanswered_requests_in_a_row_nobody_asks(
    store: MemoryStore, clock: Clock, error: RemoteError
) -> None:
    one, other = governor(store, clock, "a"), governor(store, clock, "b")
    ask(other)
    for _ in range(MOST_FAILURES):
        ask(one, error)
    clock.pass_(timedelta(seconds=2))
    for each in (one, other):
        with put_off(), each.turn():
            pytest.fail("it is away")


def test_an_answer_in_between_means_that_it_is_there(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    for _ in range(4):
        for _ in range(MOST_FAILURES - 1):
            ask(one, ServerFault("500"))
        ask(one, NotFound("404"))
    assert one.budget().open_until is None


def test_one_request_tries_it_when_the_pause_is_over(store: MemoryStore, clock: Clock) -> None:
    one, other = governor(store, clock, "a"), governor(store, clock, "b")
    ask(other)
    away(one)
    clock.pass_(FIRST_PAUSE)

    with one.turn(), put_off(), other.turn():
        pytest.fail("one of them tries")
    ask(other)
    assert one.budget().open_until is None


def test_the_pauses_grow_to_a_minute_and_outages_cost_a_request_a_minute(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    away(one)
    asked, began = 0, clock.now
    while clock.now < began + timedelta(hours=72):
        with pytest.raises((Unreachable, PutOff)) as ended, one.turn():
            raise Unreachable("still away")
        asked += isinstance(ended.value, Unreachable)
        if isinstance(ended.value, PutOff):
            until = ended.value.retry_at
            assert until is not None
            assert until - clock.now <= LONGEST_PAUSE
            clock.now = until
    assert 72 * 60 <= asked <= 72 * 60 + 10
    assert one.budget().away_since == began


def test_a_process_that_just_began_tries_at_once_and_only_once(store: MemoryStore, clock: Clock) -> None:
    away(governor(store, clock))
    fresh = governor(store, clock)
    ask(fresh, Unreachable("still away"))
    with put_off(), fresh.turn():
        pytest.fail("it tried")


def test_a_process_that_just_began_keeps_what_the_ehr_asked_for(store: MemoryStore, clock: Clock) -> None:
    ask(governor(store, clock), Throttled("429", retry_at=clock.now + timedelta(minutes=5)))
    with put_off(), governor(store, clock).turn():
        pytest.fail("it asked to be left alone")


def test_a_probe_that_is_throttled_has_been_answered(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    away(one)
    clock.pass_(FIRST_PAUSE)
    ask(one, Throttled("429", retry_at=clock.now + timedelta(minutes=1)))
    assert one.budget().open_until is None
    with put_off(), one.turn():
        pytest.fail("it asked to be left alone")


def test_a_process_that_dies_while_it_tries_does_not_stop_the_others(store: MemoryStore, clock: Clock) -> None:
    one, other = governor(store, clock, "a"), governor(store, clock, "b")
    ask(other)
    away(one)
    clock.pass_(FIRST_PAUSE)
    with pytest.raises(KeyboardInterrupt), one.turn():
        raise KeyboardInterrupt
    clock.pass_(LONGEST_PAUSE)
    ask(other)
    assert one.budget().open_until is None


def test_the_reason_is_kept_while_it_is_away(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    away(one)
    assert one.budget().reason == "refused"
    clock.pass_(FIRST_PAUSE)
    ask(one)
    assert one.budget().reason is None


# After an outage ------------------------------------------------------------------------------------------


def test_after_an_outage_it_is_asked_slowly_at_first_and_at_most_twice_as_often_every_minute(
    store: MemoryStore, clock: Clock
) -> None:
    one = governor(store, clock)
    away(one)
    clock.pass_(A_REAL_OUTAGE)
    ask(one)
    rates = [asked_in(one, clock, timedelta(minutes=1)) / 60 for _ in range(FULL_AGAIN)]
    assert rates == pytest.approx([SLOW_START * 2**minute for minute in range(FULL_AGAIN)], rel=0.05)
    before = clock.now
    for _ in range(10_000):
        ask(one)
    assert clock.now == before


def test_a_hiccup_slows_nothing_down(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock)
    away(one)
    clock.pass_(FIRST_PAUSE)
    for _ in range(1000):
        ask(one)
    assert clock.now == MONDAY_NOON + FIRST_PAUSE


# How many at a time ---------------------------------------------------------------------------------------


def test_so_many_at_a_time(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock, concurrency=2)
    inside, most, lock, go = 0, 0, threading.Lock(), threading.Event()

    def request() -> None:
        nonlocal inside, most
        with one.turn():
            with lock:
                inside += 1
                most = max(most, inside)
                if inside == 2:
                    go.set()
            go.wait(10)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 2


def test_processes_seen_of_late_share_what_may_be_under_way(store: MemoryStore, clock: Clock) -> None:
    one = governor(store, clock, "a", concurrency=4)
    ask(one)
    assert one._share() == 4
    ask(governor(store, clock, "b", concurrency=4))
    clock.pass_(SEEN_OF_LATE / 2)
    assert one._share() == 2
    clock.pass_(SEEN_OF_LATE)
    assert one._share() == 4
