"""What is done after each error, and when: the whole table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from bridge import errors
from bridge.errors import (
    AuthExpired,
    OutcomeUnknown,
    Refused,
    RemoteError,
    ServerFault,
    Throttled,
    Unreachable,
    VersionConflict,
)
from bridge.fhir.retry import PAUSE, SCHEDULE, TABLE, Then, decide

NOW = datetime(2026, 6, 1, 14, tzinfo=UTC)


def of_the_tree() -> set[type[RemoteError]]:
    """Return every class a request can end with."""
    found: set[type[RemoteError]] = set()
    waiting = list(RemoteError.__subclasses__())
    while waiting:
        found.add(one := waiting.pop())
        waiting += one.__subclasses__()
    return {one for one in found if one.__module__ == errors.__name__}


def test_every_error_has_its_row() -> None:
    assert set(TABLE) == of_the_tree()


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize("attempts", [0, 3, 100])
def test_every_error_gets_its_answer(kind: type[RemoteError], attempts: int) -> None:
    decision = decide(kind("x"), attempts, NOW, jitter=0.5)

    past = attempts >= len(SCHEDULE) and TABLE[kind] in (Then.RETRY, Then.LOOK)
    assert decision.then is (Then.PARK if past else TABLE[kind])
    assert (decision.at is None) == (decision.then is Then.PARK)
    assert decision.channel_down == (decision.then is Then.WAIT)


@pytest.mark.parametrize("kind", [ServerFault, OutcomeUnknown, VersionConflict])
def test_each_attempt_waits_longer_until_a_person_is_asked(kind: type[RemoteError]) -> None:
    decisions = [decide(kind("x"), attempts, NOW, jitter=0) for attempts in range(len(SCHEDULE) + 1)]

    assert [one.at for one in decisions[:-1]] == [NOW + wait for wait in SCHEDULE]
    assert decisions[-1].then is Then.PARK
    assert all(shorter < longer for shorter, longer in pairwise(SCHEDULE))


def test_an_unanswered_write_is_looked_for_before_it_is_sent_again() -> None:
    assert decide(OutcomeUnknown("x"), 0, NOW, jitter=0).then is Then.LOOK


@pytest.mark.parametrize("kind", [Unreachable, AuthExpired, Throttled])
def test_waiting_is_not_failing(kind: type[RemoteError]) -> None:
    decision = decide(kind("x"), 1000, NOW, jitter=0)

    assert (decision.then, decision.at) == (Then.WAIT, NOW + PAUSE)


@pytest.mark.parametrize("wait", [timedelta(seconds=90), timedelta(hours=1), timedelta(0)])
def test_a_server_that_says_when_is_left_alone_until_then(wait: timedelta) -> None:
    decision = decide(Throttled("x", retry_at=NOW + wait), 0, NOW, jitter=1)

    assert decision.at == NOW + wait


def test_a_time_that_has_passed_is_now() -> None:
    decision = decide(Throttled("x", retry_at=NOW - timedelta(hours=1)), 0, NOW, jitter=0)

    assert decision.at == NOW


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_retries_are_spread_by_a_quarter_at_most(jitter: float) -> None:
    decision = decide(ServerFault("x"), 1, NOW, jitter=jitter)

    assert decision.at is not None
    assert SCHEDULE[1] <= decision.at - NOW <= SCHEDULE[1] * 1.25


def test_a_refusal_is_for_a_person_at_once() -> None:
    assert decide(Refused("x", status=422), 0, NOW, jitter=0).then is Then.PARK
