"""Each worklist holds its cases and no others, counts them, and says nothing of a patient in its address."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.cases.model import BlockerCategory, Case, ClosureReason
from bridge.cases.owners import OwnerBook
from bridge.web.pages.worklist import RECENTLY, VIEWS
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


def test_overdue_is_part_of_what_is_due_by_tonight(clinic: Clinic, client: TestClient) -> None:
    late, soon = clinic.referral(1), clinic.referral(2)
    clinic.referral(3)
    for case, hours in ((late, -0.5), (soon, 3)):
        due_at = NOW + timedelta(hours=hours)
        clinic.rename(case, due_at=due_at)

    assert rows(client.get("/?view=overdue").text) == [late.id]
    assert rows(client.get("/?view=today").text) == [late.id, soon.id]
