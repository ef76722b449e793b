"""Taking the next case, and giving cases to somebody after a look at what that would do."""

from __future__ import annotations

import re
from dataclasses import replace

from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.owners import Absence, OwnerBook
from bridge.cases.terms import ClosureReason
from tests.unit.web.builders import MAIN, NOW, OWNERS, Clinic
from tests.unit.web.test_case_page import words_of
from tests.unit.web.test_who import OURS, say

MARIA = {"Acting-As": "maria"}


def test_the_next_case_of_a_queue_is_answered_whole(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    answer = client.post("/api/v1/claim-next", json={"role": "referral-coordinator"}, headers=MARIA)

    assert answer.status_code == 200
    assert answer.json() == client.get(f"/api/v1/cases/{case.id}").json()
    assert (answer.json()["owner"]["id"], answer.headers["etag"]) == ("maria", f'W/"{case.version + 1}"')
    assert client.post("/api/v1/claim-next", json={"role": "referral-coordinator"}, headers=MARIA).status_code == 404


def test_who_does_not_work_a_queue_is_refused(clinic: Clinic, client: TestClient) -> None:
    clinic.referral()

    answer = client.post("/api/v1/claim-next", json={"role": "referral-coordinator"})

    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "local user does not take cases from referral-coordinator.",
    )


def test_a_button_takes_the_next_case_and_opens_it(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    assert "Take the next" not in client.get("/?view=unowned").text
    say(client, "maria")
    assert "Take the next of Referral coordinators 1" in words_of(client.get("/?view=team").text)

    answers = [
        client.post("/claim-next", data={"role": "referral-coordinator"}, headers=OURS).headers["location"]
        for _ in range(2)
    ]

    assert answers == [f"/cases/{case.id}?done=claim", "/?view=team&left=false"]
    assert "No case waits in that queue." in client.get(answers[1]).text


def test_many_cases_change_hands_after_a_look_at_it(clinic: Clinic, client: TestClient) -> None:
    cases = [clinic.referral(number, f"Patient {number}") for number in (1, 2, 3)]
    clinic.do(cases[2], do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    say(client, "maria")

    look = client.post("/reassign", data={"id": [case.id for case in cases], "owner": "supervisor"}, headers=OURS).text
    assert "2 of 3 cases would change hands" in words_of(look)
    assert "This case is closed; reopen it first." in look
    assert clinic.case(cases[0]).owner.id == "referral-coordinator"

    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', look.split("<table")[1])
    form = {"sure": "yes", "owner": "supervisor", "id": [value for name, value in hidden if name == "id"]}
    done = client.post("/reassign", data=form, headers=OURS).text

    assert "2 of 2 cases reassigned" in words_of(done)
    assert [clinic.case(case).owner.id for case in cases[:2]] == ["supervisor", "supervisor"]
    with clinic.store.reading() as tx:
        assert tx.history(cases[0].id)[-1].cause.what == "maria"


def test_a_case_that_changed_after_the_look_is_left_alone_and_named(clinic: Clinic, client: TestClient) -> None:
    cases = [clinic.referral(number, f"Patient {number}") for number in (1, 2)]
    chosen = [{"id": case.id, "version": case.version} for case in cases]
    clinic.do(cases[1], do.Note(text="the patient called"))

    answer = client.post("/api/v1/reassign", json={"owner": "maria", "cases": [*chosen, {"id": "no-such"}]})

    found = {one["id"]: one["state"] for one in answer.json()["outcomes"]}
    assert found == {cases[0].id: "reassigned", cases[1].id: "changed", "no-such": "unknown"}
    assert clinic.case(cases[1]).owner.id == "referral-coordinator"


def test_a_dry_run_changes_nothing_and_knows_who_stands_in(clinic: Clinic, client: TestClient) -> None:
    gone = Absence(NOW.date(), NOW.date())
    entries = [replace(one, away=(gone,)) if one.name == "maria" else one for one in OWNERS]
    line = clinic.lines[MAIN]
    clinic.lines[MAIN] = replace(line, rules=replace(line.rules, owners=OwnerBook(entries)))
    case = clinic.referral()
    wanted = {"owner": "maria", "cases": [{"id": case.id, "version": case.version}]}

    (would,) = client.post("/api/v1/reassign", json={**wanted, "dry_run": True}).json()["outcomes"]
    assert clinic.case(case) == case
    (done,) = client.post("/api/v1/reassign", json=wanted).json()["outcomes"]

    assert (would["state"], would["owner"]["id"], would["acts"]["id"]) == ("reassigned", "maria", "supervisor")
    assert done == {**would, "version": case.version + 1}
    assert "is away today: Supervisors stand in" in words_of(client.get(f"/cases/{case.id}").text)


def test_nobody_and_nothing_chosen_is_said(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    for form in ({"owner": "maria"}, {"id": case.id}, {"id": f"{case.id}:x", "owner": "maria"}):
        assert client.post("/reassign", data=form, headers=OURS).status_code == 422

    shown = client.post("/reassign", data={"id": case.id, "owner": "stranger"}, headers=OURS).text
    assert "There is no owner called" in shown
    assert client.post("/api/v1/reassign", json={"owner": "maria", "cases": []}).status_code == 422


def test_a_case_that_already_is_theirs_stays(clinic: Clinic, client: TestClient) -> None:
    case = clinic.do(clinic.referral(), do.Assign(owner="maria"))

    (found,) = client.post(
        "/api/v1/reassign", json={"owner": "maria", "cases": [{"id": case.id}], "dry_run": True}
    ).json()["outcomes"]

    assert found["state"] == "already"
