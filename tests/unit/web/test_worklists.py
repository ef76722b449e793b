"""Each worklist holds its cases and no others, counts them, and says nothing of a patient in its address."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.cases.model import Case
from bridge.cases.owners import OwnerBook
from bridge.cases.terms import BlockerCategory, ClosureReason
from bridge.web.pages import worklist
from bridge.web.pages.render import environment
from bridge.web.pages.worklist import RECENTLY, VIEWS, tomorrow
from bridge.web.words import counted_text
from tests.unit.web.builders import MAIN, NOW, OWNERS, Clinic
from tests.unit.web.test_case_page import words_of
from tests.unit.web.test_who import say


def rows(text: str) -> list[str]:
    """Return the ids of the cases on a page, in order."""
    return re.findall(r'id="row-([^"]+)"', text)


def counts(text: str) -> dict[str, int]:
    """Return how many cases each view says it holds."""
    tabs = re.findall(r'<a href="([^"]*)"[^>]*>[^<]*<span class="count">(\d+)</span>', text)
    found = {re.search(r"view=(\w+)", address): int(count) for address, count in tabs}
    return {"open" if match is None else match[1]: count for match, count in found.items()}


@pytest.fixture
def cases(clinic: Clinic) -> dict[str, Case]:
    """Return a case of each kind; Maria works the referral coordinators' queue alone."""
    entries = [replace(one, roles=("referral-coordinator",)) if one.name == "maria" else one for one in OWNERS]
    line = clinic.lines[MAIN]
    clinic.lines[MAIN] = replace(line, rules=replace(line.rules, owners=OwnerBook(entries)))
    clinic.now = NOW - RECENTLY - timedelta(seconds=1)
    old = clinic.referral(9, authored_at=clinic.now, updated_at=clinic.now)
    clinic.do(old, do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    clinic.now = NOW
    names = ("mine", "queue", "elsewhere", "blocked", "escalated", "closed")
    found = {"old": old} | {name: clinic.referral(number) for number, name in enumerate(names, 1)}
    clinic.do(found["mine"], do.Assign(owner="maria"))
    clinic.do(found["elsewhere"], do.Assign(owner="scheduler"))
    clinic.do(found["blocked"], do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"))
    clinic.do(found["escalated"], do.Escalate(why="no slot", to="clinician"))
    clinic.do(found["closed"], do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    for case in found.values():
        for _ in range(3):
            clinic.deliver(case, IntentState.PARKED if case is found["old"] else IntentState.CONFIRMED)
    return found


@pytest.mark.parametrize(
    ("view", "held"),
    [
        ("open", {"mine", "queue", "elsewhere", "blocked", "escalated"}),
        ("mine", {"mine"}),
        ("team", {"queue", "blocked", "escalated"}),
        ("unowned", {"queue", "elsewhere", "blocked", "escalated"}),
        ("escalated", {"escalated"}),
        ("blocked", {"blocked"}),
        ("waiting", {"old"}),
        ("recent", {"closed"}),
        ("closed", {"closed", "old"}),
    ],
)
def test_each_view_holds_and_counts_its_cases(
    clinic: Clinic, client: TestClient, cases: dict[str, Case], view: str, held: set[str]
) -> None:
    say(client, "maria")

    text = client.get("/", params={"view": view}).text

    names = {case.id: name for name, case in cases.items()}
    assert {names[case_id] for case_id in rows(text)} == held
    assert counts(text)[view] == len(held)


def test_every_view_is_offered_with_its_count(client: TestClient, cases: dict[str, Case]) -> None:
    assert set(counts(client.get("/").text)) == set(VIEWS)


def test_what_was_closed_last_comes_first(client: TestClient, cases: dict[str, Case]) -> None:
    text = client.get("/", params={"view": "closed"}).text

    assert rows(text) == [cases["closed"].id, cases["old"].id]
    assert "closed last first" in text


@pytest.mark.parametrize("view", ["mine", "team"])
def test_who_has_not_said_who_they_are_is_told_how(client: TestClient, cases: dict[str, Case], view: str) -> None:
    text = client.get("/", params={"view": view}).text

    assert rows(text) == []
    assert "Say at the top of the page who you are" in words_of(text)


def due(clinic: Clinic, **hours: float) -> dict[str, str]:
    """Take in a case for each name, due so many hours from now; return their names by id."""
    names = {}
    for number, (name, ahead) in enumerate(hours.items(), 1):
        case = clinic.referral(number)
        clinic.rename(case, due_at=clinic.now + timedelta(hours=ahead))
        names[case.id] = name
    return names


def test_what_is_overdue_is_in_one_list_and_what_is_due_later_today_in_the_other(
    clinic: Clinic, client: TestClient
) -> None:
    """Each case is where a coordinator looks for it, once: overdue is worse than due today."""
    names = due(clinic, yesterday=-20, morning=-0.5, now=0, evening=3, tomorrow=24)

    text = client.get("/?view=today").text

    assert [names[case_id] for case_id in rows(text)] == ["now", "evening"]
    assert (counts(text)["today"], counts(text)["overdue"], counts(text)["open"]) == (2, 2, 5)
    assert [names[case_id] for case_id in rows(client.get("/?view=overdue").text)] == ["yesterday", "morning"]
    assert re.search(r'aria-current="page">Due today <', text)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("zone", "now", "begins"),
    [
        ("America/New_York", utc(2026, 11, 24, 4, 59, 59), utc(2026, 11, 24, 5)),
        ("America/New_York", utc(2026, 11, 24, 5), utc(2026, 11, 25, 5)),
        ("America/New_York", utc(2026, 3, 8, 5), utc(2026, 3, 9, 4)),
        ("America/New_York", utc(2026, 11, 1, 4), utc(2026, 11, 2, 5)),
        ("Asia/Kolkata", utc(2026, 11, 23, 18, 29), utc(2026, 11, 23, 18, 30)),
        ("Pacific/Kiritimati", utc(2026, 11, 23, 10), utc(2026, 11, 24, 10)),
        ("Africa/Cairo", utc(2026, 4, 23, 20), utc(2026, 4, 23, 22)),
        ("America/Havana", utc(2026, 10, 31, 20), utc(2026, 11, 1, 4)),
    ],
    ids=[
        "a second before midnight",
        "at midnight",
        "a day of 23 hours",
        "a day of 25 hours",
        "half past",
        "ahead of UTC",
        "a midnight that is skipped",
        "a midnight that comes again an hour later",
    ],
)
def test_today_ends_when_the_next_day_begins_at_the_site(zone: str, now: datetime, begins: datetime) -> None:
    assert tomorrow(now, ZoneInfo(zone)) == begins


@pytest.mark.parametrize(
    ("now", "hours"),
    [(utc(2026, 11, 24, 4, 30), 0.5), (utc(2026, 11, 24, 5), 24), (utc(2026, 11, 1, 4), 25), (utc(2026, 3, 8, 5), 23)],
    ids=["half an hour before midnight", "at midnight", "25 hours", "23 hours"],
)
def test_what_is_due_at_midnight_is_due_tomorrow(
    clinic: Clinic, client: TestClient, now: datetime, hours: float
) -> None:
    clinic.now = now
    names = due(clinic, now=0, last=hours - 1e-3, midnight=hours)

    text = client.get("/?view=today").text

    assert [names[case_id] for case_id in rows(text)] == ["now", "last"]
    assert counts(text)["today"] == 2


def test_long_lists_are_counted_so_far_and_no_further(
    clinic: Clinic, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        clinic.referral(number)
    monkeypatch.setattr(worklist, "COUNTED_TO", 2)
    monkeypatch.setitem(environment().filters, "counted", lambda count: counted_text(count, 2))

    text = words_of(client.get("/").text)

    assert "Open 2+ " in text
    assert "2+ cases, soonest due first" in text
    assert (counted_text(2, 2), counted_text(1000, 1000), counted_text(1001, 1000)) == ("2", "1,000", "1,000+")
