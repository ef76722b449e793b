"""Forms become commands: empty fields are absent, times are the site's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.cases import commands as do
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason
from bridge.web.pages.forms import command_of, seen_version
from bridge.web.problems import ApiError
from tests.unit.web.builders import ZONE


def test_empty_fields_are_absent() -> None:
    form = {
        "channel": "phone",
        "outcome": "reached",
        "understood": "  ",
        "barrier": "",
        "at": "",
        "version": "3",
    }

    command = command_of("log-outreach", form, ZONE)

    assert command == do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.REACHED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-01T09:30", datetime(2026, 12, 1, 14, 30, tzinfo=UTC)),
        ("2026-07-01T09:30", datetime(2026, 7, 1, 13, 30, tzinfo=UTC)),
        ("2026-11-01T01:30", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
    ],
    ids=["winter", "summer", "twice"],
)
def test_times_are_the_sites(text: str, expected: datetime) -> None:
    command = command_of("snooze", {"until": text, "reason": "x"}, ZONE)

    assert isinstance(command, do.Snooze)
    assert command.until == expected


def test_evidence_is_a_list_however_it_is_separated() -> None:
    command = command_of("close", {"reason": "completed", "evidence": "Appointment/1, Task/2\nTask/3"}, ZONE)

    assert command == do.Close(reason=ClosureReason.COMPLETED, evidence=("Appointment/1", "Task/2", "Task/3"))


def test_checkbox_is_true() -> None:
    assert command_of("acknowledge-escalation", {"resolved": "true"}, ZONE) == do.AcknowledgeEscalation(resolved=True)


@pytest.mark.parametrize(
    ("name", "form", "words"),
    [
        ("note", {}, "Text must be filled in."),
        ("snooze", {"reason": "x", "until": "soon"}, "Until: not a date and time."),
        ("assign", {"owner": "x", "tenant": "y"}, "tenant"),
        ("note", {"text": "x", "command": "close"}, "does not fit"),
    ],
)
def test_what_is_wrong_is_named(name: str, form: dict[str, str], words: str) -> None:
    with pytest.raises(ApiError) as caught:
        command_of(name, form, ZONE)

    assert words in (caught.value.problem.detail or "")


@pytest.mark.parametrize("version", ["", "x", "-1", "1" * 20, "²"])
def test_form_without_version_is_refused(version: str) -> None:
    with pytest.raises(ApiError) as caught:
        seen_version({"version": version})

    assert caught.value.problem.status == 428
