"""Who acts: said once on any page, or with each request of a program; nobody else's word counts."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from bridge.cases.terms import OwnerKind
from tests.unit.web.builders import Clinic

OURS = {"Sec-Fetch-Site": "same-origin"}


def say(client: TestClient, name: str, back: str = "/") -> str:
    """Say who one is, and return where that leads."""
    answer = client.post("/who", data={"who": name, "back": back}, headers=OURS)
    assert answer.status_code == 303
    return answer.headers["location"]


def test_what_people_do_after_saying_who_they_are_is_under_their_name(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    say(client, "maria")

    client.post(f"/cases/{case.id}/commands/note", data={"text": "x", "version": str(case.version)}, headers=OURS)

    assert [note.by for note in clinic.case(case).notes] == ["maria"]
    assert "as “Maria Synthetic”" in client.get("/").text


def test_it_can_be_taken_back(clinic: Clinic, client: TestClient) -> None:
    say(client, "maria")
    say(client, "")

    assert "as “local user”" in client.get("/").text


def test_the_cookie_holds_the_name_alone_for_no_script_and_no_other_site(client: TestClient) -> None:
    answer = client.post("/who", data={"who": "maria"}, headers=OURS)

    cookie = answer.headers["set-cookie"].casefold()
    assert cookie == "bridge-who=maria; httponly; path=/; samesite=strict"


@pytest.mark.parametrize("name", ["nobody", "supervisor", "maria; x=1"])
def test_who_is_not_a_person_of_the_configuration_is_refused(client: TestClient, name: str) -> None:
    answer = client.post("/who", data={"who": name}, headers=OURS)

    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


def test_a_cookie_that_names_nobody_counts_for_nothing(clinic: Clinic, client: TestClient) -> None:
    client.cookies.set("bridge-who", "stranger")

    assert "as “local user”" in client.get("/").text


@pytest.mark.parametrize(
    ("back", "leads_to"),
    [
        ("/cases/1", "/cases/1"),
        ("/?view=overdue", "/?view=overdue"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("", "/"),
    ],
)
def test_it_leads_back_to_pages_of_ours_only(client: TestClient, back: str, leads_to: str) -> None:
    assert say(client, "maria", back) == leads_to


def test_programs_say_it_with_each_request(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    headers = {"If-Match": f'"{case.version}"', "Acting-As": "maria"}

    answer = client.post(f"/api/v1/cases/{case.id}/commands", json={"command": "claim"}, headers=headers)

    assert (answer.status_code, answer.json()["owner"]["id"]) == (200, "maria")
    assert clinic.case(case).owner.kind is OwnerKind.PERSON


def test_a_program_that_names_nobody_is_refused(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    headers = {"If-Match": f'"{case.version}"', "Acting-As": "stranger"}

    answer = client.post(f"/api/v1/cases/{case.id}/commands", json={"command": "note", "text": "x"}, headers=headers)

    assert answer.status_code == 422
    assert clinic.case(case) == case
