"""What a patient does not want is honoured, on each of their cases, until they say otherwise."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.cases.commands import LogOutreach
from bridge.cases.consent import unwanted
from bridge.cases.model import Attempt
from bridge.cases.terms import AttemptOutcome, Channel
from bridge.errors import CommandRefused
from tests.unit.cases.builders import NOW, Desk, a_snapshot, taken

TEXT, PHONE, REACHED = Channel.TEXT, Channel.PHONE, AttemptOutcome.REACHED


def by(channel: Channel, **more: object) -> LogOutreach:
    return LogOutreach(channel=channel, outcome=AttemptOutcome.SENT, **more)  # type: ignore[arg-type]


def an_attempt(minute: int, **said: tuple[Channel, ...]) -> Attempt:
    at = NOW + timedelta(minutes=minute)
    return Attempt(id=f"a{minute}", at=at, channel=PHONE, outcome=REACHED, by="ann", **said)  # type: ignore[arg-type]


def a_desk() -> Desk:
    desk = taken(a_snapshot())
    desk.do(LogOutreach(channel=PHONE, outcome=REACHED, refuses=(TEXT,)))
    desk.pass_time(hours=1)
    return desk


def test_an_attempt_by_a_way_that_the_patient_refused_is_refused_and_changes_nothing() -> None:
    desk = a_desk()
    before = desk.case()

    with pytest.raises(CommandRefused, match="has not wanted to be approached by text since 2026-06-01"):
        desk.do(by(TEXT))

    assert desk.case() == before
    desk.do(by(Channel.PORTAL))


def test_who_agrees_again_may_be_approached_again() -> None:
    desk = a_desk()

    desk.do(by(TEXT, agrees=(TEXT,)))
    desk.pass_time(hours=1)
    desk.do(by(TEXT))

    assert len(desk.case().outreach) == 3


def test_an_attempt_from_before_the_refusal_is_logged() -> None:
    desk = a_desk()

    desk.do(by(TEXT, at=NOW - timedelta(hours=1)))

    assert desk.case().outreach[-1].channel is TEXT


def test_nobody_refuses_and_agrees_at_once() -> None:
    with pytest.raises(CommandRefused, match="both refuse and agree to text"):
        taken(a_snapshot()).do(by(PHONE, refuses=(TEXT,), agrees=(TEXT,)))


def test_the_last_word_of_the_patient_counts() -> None:
    said = [an_attempt(3, refuses=(TEXT,)), an_attempt(1, refuses=(TEXT, PHONE)), an_attempt(2, agrees=(TEXT, PHONE))]

    assert unwanted(said, NOW + timedelta(minutes=1)).keys() == {TEXT, PHONE}
    assert unwanted(said, NOW + timedelta(minutes=2)) == {}
    assert unwanted(said, NOW + timedelta(minutes=9)) == {TEXT: NOW + timedelta(minutes=3)}
