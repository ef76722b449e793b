"""The weekly review: what is oldest, escalated, late, blocked, blocked again, and nearly done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.model import Case
from bridge.cases.terms import Action, BlockerCategory, ClosureReason
from bridge.web.reviewing import SHOWN
from tests.unit.web.builders import NOW, Clinic
from tests.unit.web.test_case_page import part, words_of

TRANSPORT, LANGUAGE = BlockerCategory.TRANSPORT, BlockerCategory.LANGUAGE


def blocked(clinic: Clinic, case: Case, *categories: BlockerCategory | None) -> None:
    """Raise these blockers one after the other; ``None`` clears the one there is."""
    for category in categories:
        clinic.now += timedelta(minutes=1)
        clinic.do(case, do.RaiseBlocker(category=category, text="x") if category else do.ClearBlocker())


@pytest.fixture
def cases(clinic: Clinic) -> dict[str, Case]:
    names = ("Ada Old", "Bea Climbed", "Cleo Late", "Dana Again", "Eve Once", "Fay Done", "Gil Closed")
    found = {
        name.split()[1].lower(): clinic.referral(number, name, authored_at=NOW - timedelta(days=20 - number))
        for number, name in enumerate(names, 1)
    }
    clinic.do(found["climbed"], do.Escalate(why="no slot in spring"))
    clinic.do(found["late"], do.SetNextAction(code=Action.SCHEDULE, due_at=NOW + timedelta(hours=1)))
    blocked(clinic, found["again"], TRANSPORT, None, TRANSPORT, LANGUAGE, TRANSPORT)
    blocked(clinic, found["once"], TRANSPORT, TRANSPORT, LANGUAGE)
    clinic.do(found["done"], do.SetNextAction(code=Action.CLOSE_WITH_REASON, due_at=NOW + timedelta(days=90)))
    clinic.do(found["closed"], do.Close(reason=ClosureReason.DECLINED, outcome="wants no visit"))
    for name in ("old", "climbed", "again", "once"):
        clinic.do(found[name], do.SetNextAction(code=Action.CALL_PATIENT, due_at=NOW + timedelta(days=90)))
    clinic.now = NOW + timedelta(days=3)
    return found


def test_each_part_holds_its_cases(client: TestClient, cases: dict[str, Case]) -> None:
    text = client.get("/review").text

    assert "Bea Climbed" in part(text, "Escalated")
    assert "no slot in spring Not yet" in part(text, "Escalated")
    assert "Late by" in part(text, "Missed due dates")
    assert "2 d due Mon 23 Nov 11:00 Cleo Late Cardiology referral Schedule the visit" in part(text, "Missed due dates")
    assert "Transport 1" in part(text, "Blocked 2")
    assert "Language 1" in part(text, "Blocked 2")
    assert "3 Dana Again" in part(text, "Blockers that came back")
    assert "Eve Once" not in part(text, "Blockers that came back")
    assert "Fay Done" in part(text, "Moving to closure")
    assert "Closed within seven days: 1 : declined 1" in part(text, "Moving to closure")
    assert "Gil Closed" not in words_of(text)


def test_the_oldest_comes_first(client: TestClient, cases: dict[str, Case]) -> None:
    oldest = part(client.get("/review").text, "Oldest open cases")

    assert oldest.index("Ada Old") < oldest.index("Bea Climbed") < oldest.index("Fay Done")


def test_it_is_of_one_lane_or_connection_where_that_is_asked(client: TestClient, cases: dict[str, Case]) -> None:
    assert "6 open cases" in words_of(client.get("/review?lane=referral&connection=main").text)
    assert "0 open cases" in words_of(client.get("/review?lane=medication-refill").text)
    assert "0 open cases" in words_of(client.get("/review?connection=other").text)


def test_long_lists_are_cut_and_say_so(clinic: Clinic, client: TestClient) -> None:
    for number in range(SHOWN + 2):
        case = clinic.referral(number)
        blocked(clinic, case, TRANSPORT, None, TRANSPORT)
        clinic.do(case, do.SetNextAction(code=Action.CLOSE_WITH_REASON))

    text = client.get("/review").text

    assert f"The first {SHOWN} of {SHOWN + 2}." in part(text, "Oldest open cases")
    assert f"Blockers that came back {SHOWN + 2}" in part(text, "Blockers that came back")
    assert f"The first {SHOWN} of {SHOWN + 2}." in part(text, "Blockers that came back")
    assert f"{SHOWN + 2} have nothing left to do but to be closed" in part(text, "Moving to closure")


def test_an_empty_clinic_has_nothing_to_review(client: TestClient) -> None:
    text = words_of(client.get("/review").text)

    assert "0 open cases" in text
    assert text.count("None.") >= 4
