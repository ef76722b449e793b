"""What is heard of a Subscription: numbers that lack, heartbeats that lack, changes that nobody rang for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from bridge.fhir.notification import Event, Notification, NotificationKind
from bridge.store.rows import Subscribed
from bridge.sync.hearing import DISTRUSTED, PATIENCE, TOO_MANY, Condition, condition, found_first, heard, hears, judged

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
TOPIC = "http://example.org/topics/task"


def a_row(**changes: Any) -> Subscribed:
    row = Subscribed(
        connection="main",
        key="k",
        flavor="backport",
        about=TOPIC,
        types=("Task",),
        ref="Subscription/1",
        state="active",
    )
    return replace(row, **{"active_at": NOW - timedelta(days=1), **changes})


def events(*numbers: int, **more: Any) -> Notification:
    told = tuple(Event(number=number, key=f"e{number}", focus=f"Task/{number}") for number in numbers)
    foci = tuple(f"Task/{number}" for number in numbers)
    return Notification(**{"kind": NotificationKind.EVENT, "subscription": "1", "events": told, "foci": foci, **more})


def after(*said: Notification, row: Subscribed | None = None) -> Subscribed:
    row = row or a_row()
    for one in said:
        row = heard(row, one, NOW)
    return row


# Numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "numbers",
    [
        [[1], [2], [3]],
        [[5], [6], [7, 8]],
        [[3], [3], [3], [4]],
        [[1], [2], [1], [2], [3]],
        [[1], [1], [1]],
        [[2, 1], [3]],
    ],
    ids=["in order", "joined late", "HAPI", "sent twice", "one by one", "within a Bundle"],
)
def test_nothing_is_short(numbers: list[list[int]]) -> None:
    row = after(*(events(*each) for each in numbers))

    assert (row.gap, row.restarts) == (None, 0)


def test_a_gap_is_seen_once() -> None:
    row = after(events(1), events(4), events(5), events(4))

    assert (row.gap, row.counter) == ((2, 3), 5)


def test_a_second_gap_widens_the_first() -> None:
    assert after(events(1), events(3), events(6)).gap == (2, 5)


def test_events_that_only_came_late_close_the_gap() -> None:
    row = after(events(1), events(4), events(2, 3))

    assert (row.gap, row.counter, row.restarts) == (None, 4, 0)


def test_numbers_that_begin_anew_are_caught_up_with_once() -> None:
    anew = events(1, events=(Event(number=1, key="another"),))

    row = after(events(7), anew)

    assert (row.gap, row.counter, row.restarts) == ((1, 1), 1, 1)


def test_numbers_of_each_bundle_raise_no_storm() -> None:
    """athenahealth numbers within the Bundle: the first new beginning is caught up with, later ones mean nothing."""
    row, gaps = a_row(), 0
    for number in range(50):
        told = tuple(Event(number=n + 1, key=f"{number}-{n}", focus="Task/1") for n in range(number % 4 + 1))
        row = heard(row, events(events=told), NOW)
        gaps += row.gap is not None
        row = replace(row, gap=None)

    assert gaps == 1


@pytest.mark.parametrize("said", [events(9), events(kind=NotificationKind.HEARTBEAT, counter=9)])
def test_numbers_that_are_not_believed_show_no_gap(said: Notification) -> None:
    assert heard(a_row(counter=1, restarts=DISTRUSTED - 1), said, NOW).gap is not None
    assert heard(a_row(counter=1, restarts=DISTRUSTED), said, NOW).gap is None


def test_a_heartbeat_tells_of_events_that_were_not_heard() -> None:
    row = after(events(1), events(kind=NotificationKind.HEARTBEAT, counter=3))

    assert (row.gap, row.counter) == ((2, 3), 3)


def test_a_server_without_numbers_is_short_of_nothing() -> None:
    assert after(events(), events()) == a_row(heard_at=NOW, rang_at=NOW)


# Whose it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said", "whose"),
    [
        (a_row(), events(1), True),
        (a_row(), events(1, subscription="k"), True),
        (a_row(), events(1, subscription="2"), False),
        (a_row(), events(1, subscription=None), False),
        (a_row(flavor="classic"), events(subscription=None, foci=("Task",)), True),
        (a_row(flavor="classic"), events(subscription=None, foci=("Task/1",)), True),
        (a_row(flavor="classic"), events(subscription=None, foci=()), True),
        (a_row(flavor="classic"), events(subscription=None, foci=("Appointment",)), False),
        (a_row(ref=None), events(1, subscription=""), False),
    ],
)
def test_a_notification_belongs_to_what_it_names(row: Subscribed, said: Notification, whose: bool) -> None:
    assert hears(row, said) is whose


def test_an_error_that_a_notification_tells_of_is_kept() -> None:
    assert condition(after(events(status="error")), NOW) is Condition.FAILING


# Silence --------------------------------------------------------------------------------------------------


def test_two_heartbeats_that_lack_are_shown() -> None:
    row = after(events(kind=NotificationKind.HEARTBEAT), row=a_row(heartbeat_seconds=60))

    assert condition(row, NOW + timedelta(seconds=120)) is Condition.WORKING
    assert condition(row, NOW + timedelta(seconds=121)) is Condition.SILENT


def test_where_no_heartbeat_was_agreed_none_lacks() -> None:
    assert condition(a_row(), NOW + timedelta(days=300)) is Condition.WORKING


# What nobody rang for -------------------------------------------------------------------------------------


def found(row: Subscribed, at: datetime = NOW, changed: datetime | None = None, **more: Any) -> Subscribed:
    given = {"waiting": (), "listening_since": NOW - timedelta(hours=1), **more}
    return found_first(row, "Task/1", changed or at, at, **given)


def missed(row: Subscribed, times: int) -> Subscribed:
    for number in range(times):
        at = NOW + number * PATIENCE
        row = judged(found(row, at), at + PATIENCE)
    return row


def test_a_change_is_missed_only_when_its_time_is_over() -> None:
    row = found(a_row())

    assert judged(row, NOW + PATIENCE - timedelta(seconds=1)).missed == 0
    assert judged(row, NOW + PATIENCE).missed == 1


@pytest.mark.parametrize("foci", [("Task/1",), ("Task",)])
def test_a_ring_in_time_is_enough(foci: tuple[str, ...]) -> None:
    row = heard(found(a_row()), events(foci=foci), NOW)

    assert judged(row, NOW + PATIENCE).missed == 0


def test_a_ring_for_another_resource_is_not() -> None:
    row = heard(found(a_row()), events(foci=("Task/2",)), NOW)

    assert judged(row, NOW + PATIENCE).missed == 1


def test_three_in_a_row_mean_that_nothing_arrives() -> None:
    assert condition(missed(a_row(), TOO_MANY - 1), NOW) is Condition.WORKING
    assert condition(missed(a_row(), TOO_MANY), NOW) is Condition.NOT_ARRIVING


def test_an_event_in_between_begins_the_row_anew() -> None:
    row = missed(heard(missed(a_row(), TOO_MANY - 1), events(9), NOW), 1)

    assert condition(row, NOW) is Condition.WORKING
    assert row.missed == TOO_MANY


@pytest.mark.parametrize(
    ("row", "more"),
    [
        (a_row(types=("Appointment",)), {}),
        (a_row(state="requested"), {}),
        (a_row(active_at=None), {}),
        (a_row(active_at=NOW), {}),
        (a_row(), {"listening_since": NOW}),
        (a_row(), {"waiting": {"Task/1"}}),
        (a_row(), {"waiting": {"Task"}}),
        (a_row(flavor="classic", rang_at=NOW), {}),
    ],
    ids=["another type", "not active", "never", "just now", "nobody listened", "rang", "rang", "rang already"],
)
def test_what_may_well_have_been_told_is_not_held_against_it(row: Subscribed, more: dict[str, Any]) -> None:
    assert found(row, **more).unheard_ref is None
