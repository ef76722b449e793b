"""How far round its loop a case is: on its page and in the API, done with the day, ahead, late or passed over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.cases.loops import Mark
from bridge.cases.model import Case
from bridge.cases.terms import Action, AttemptOutcome, Channel, ClosureReason
from bridge.web.words import MARK_TEXT, proof_text
from tests.unit.web.builders import NOW, Clinic, a_snapshot
from tests.unit.web.test_case_page import part
from tests.unit.web.test_who import OURS

DONE = do.Close(reason=ClosureReason.COMPLETED, outcome="seen", evidence=("DocumentReference/5",))


def states(client: TestClient, case: Case) -> dict[str, str]:
    """Return where each milestone stands, in order, as the API says."""
    return {one["mark"]: one["state"] for one in client.get(f"/api/v1/cases/{case.id}").json()["milestones"]}


def booked(clinic: Clinic, case: Case, status: str = "booked", version: str = "1") -> None:
    visit_at = clinic.now + timedelta(days=2)
    clinic.arrive(
        a_snapshot("Appointment/1", status, version=version, parent=case.root, start_at=visit_at, updated_at=clinic.now)
    )


def test_a_new_referral_has_all_but_the_first_ahead(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    assert states(client, case) == {
        "received": "done",
        "accepted": "open",
        "scheduled": "open",
        "seen": "open",
        "report": "open",
        "told": "open",
    }
    (received, *_) = client.get(f"/api/v1/cases/{case.id}").json()["milestones"]
    assert received["evidence"] == case.root
    assert received["reached_at"] == "2026-11-23T14:00:00Z"


def test_the_page_shows_them_with_their_days(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.do(case, do.Assign(owner="maria"))
    clinic.do(case, do.SetNextAction(code=Action.SCHEDULE, due_at=NOW + timedelta(hours=1)))
    clinic.now += timedelta(days=1)

    shown = part(client.get(f"/cases/{case.id}").text, "How far round")

    assert "How far round 2 of 6" in shown
    assert "Received Mon 23 Nov 09:00 ServiceRequest/1" in shown
    assert "Taken up Mon 23 Nov 10:00 by Maria Synthetic" in shown
    assert "Visit scheduled Late" in shown
    assert "Patient seen Open" in shown


def test_only_the_next_one_is_late_when_the_case_is(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.do(case, do.SetNextAction(code=Action.SCHEDULE, due_at=NOW + timedelta(hours=1)))
    clinic.now += timedelta(hours=2)

    assert states(client, case)["scheduled"] == "late"
    assert [mark for mark, state in states(client, case).items() if state == "late"] == ["scheduled"]


def test_what_was_not_needed_is_passed_over(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    booked(clinic, case)

    found = states(client, case)

    assert (found["received"], found["accepted"], found["scheduled"]) == ("done", "skipped", "done")


def test_the_requester_is_told_once_the_ehr_has_confirmed_it(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    for _ in range(4):
        clinic.deliver(case, IntentState.CONFIRMED)
    clinic.now += timedelta(hours=1)
    clinic.do(case, DONE)
    assert (states(client, case)["report"], states(client, case)["told"]) == ("done", "open")
    assert states(client, case)["seen"] == "skipped"

    clinic.now += timedelta(minutes=1)
    for _ in range(4):
        clinic.deliver(case, IntentState.CONFIRMED)

    assert states(client, case)["told"] == "done"
    assert "6 of 6" not in part(client.get(f"/cases/{case.id}").text, "How far round")


def test_after_reopening_nobody_was_told_how_it_ends(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.do(case, DONE)
    clinic.now += timedelta(minutes=1)
    for _ in range(4):
        clinic.deliver(case, IntentState.CONFIRMED)
    assert states(client, case)["told"] == "done"

    clinic.do(case, do.Reopen(why="the report was another patient's"))

    assert (states(client, case)["report"], states(client, case)["told"]) == ("open", "open")


def test_commands_answer_with_them_and_lists_do_not(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    attempt = {"command": "log-outreach", "channel": Channel.PHONE, "outcome": AttemptOutcome.REACHED}
    version = {"If-Match": f'"{case.version}"', **OURS}

    answer = client.post(f"/api/v1/cases/{case.id}/commands", json=attempt, headers=version)

    assert [one["state"] for one in answer.json()["milestones"]][:2] == ["done", "done"]
    assert "milestones" not in client.get("/api/v1/cases").json()["cases"][0]


def test_a_case_whose_connection_is_gone_has_none(clinic: Clinic) -> None:
    case = clinic.referral()
    clinic.lines.clear()

    assert states(clinic.client(), case) == {}
    assert "How far round" not in clinic.client().get(f"/cases/{case.id}").text


def test_every_milestone_has_words() -> None:
    assert set(MARK_TEXT) == set(Mark)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [("person:Maria", "by Maria"), ("Task/1", "Task/1"), ("requester", ""), (None, ""), ("patient-read", "")],
)
def test_what_proves_it_is_said_in_words(evidence: str | None, words: str) -> None:
    assert proof_text(evidence) == words
