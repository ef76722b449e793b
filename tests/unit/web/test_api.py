"""The cases of ``/api/v1``: list, read, history, commands."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.snapshot import Party, Priority
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason
from bridge.store.rows import Cursor
from bridge.web.milestones import CaseDetail
from bridge.web.views import SHOWN_STATE
from tests.unit.web.builders import MAIN, NOW, Clinic, a_line, a_snapshot

FIELDS = [
    "id",
    "connection",
    "tenant",
    "lane",
    "status",
    "stage",
    "priority",
    "patient",
    "title",
    "root",
    "sources",
    "owner",
    "backup",
    "next_action",
    "due_at",
    "overdue",
    "blocker",
    "outreach",
    "escalation",
    "escalations",
    "closure",
    "write_back",
    "opened_at",
    "first_response_at",
    "updated_at",
    "closed_at",
    "data_as_of",
    "version",
]
"""What a case in JSON is made of, exactly: others rely on it."""


def test_case_has_exactly_the_promised_fields(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    shown = client.get(f"/api/v1/cases/{case.id}").json()

    assert list(shown) == [*FIELDS, "milestones"]
    assert shown["patient"]["display"] == "Ada Synthetic"
    assert shown["owner"] == {
        "kind": "role",
        "id": "referral-coordinator",
        "display": "Referral coordinators",
    }


def test_list_holds_the_same_cases_as_reading_one_by_one(clinic: Clinic, client: TestClient) -> None:
    cases = [clinic.referral(number, f"Patient {number}") for number in (1, 2, 3)]

    listed = client.get("/api/v1/cases").json()

    assert listed["total"] == 3
    one_by_one = {case.id: client.get(f"/api/v1/cases/{case.id}").json() for case in cases}
    for one in one_by_one.values():
        assert one.pop("milestones")
    assert {case["id"]: case for case in listed["cases"]} == one_by_one


def test_pages_hold_every_case_once(clinic: Clinic, client: TestClient) -> None:
    expected = {clinic.referral(number).id for number in range(1, 8)}
    seen, cursor = [], ""

    while cursor is not None:
        page = client.get("/api/v1/cases", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += [case["id"] for case in page["cases"]]
        cursor = page["next"]

    assert sorted(seen) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "escalated"}, {2}),
        ({"escalated": "true"}, {2}),
        ({"blocker": "authorization"}, {3}),
        ({"blocker": "any"}, {3}),
        ({"owner": "maria"}, {1}),
        ({"unowned": "true", "open": "true"}, {2, 3}),
        ({"open": "false"}, {4}),
        ({"patient": "Patient/p2"}, {2}),
        ({"q": "bola"}, {2}),
        ({"overdue": "true"}, {1, 2, 3}),
        ({"lane": "referral"}, {1, 2, 3, 4}),
        ({"lane": "medication-refill"}, set()),
        ({"connection": "other"}, set()),
        ({"waiting_on_ehr": "true"}, {1, 2, 3, 4}),
        ({"closed_since": "2026-11-23T15:00:00Z"}, {4}),
        ({"closed_since": "2026-11-23T10:00:01-05:00"}, set()),
    ],
    ids=str,
)
def test_each_filter_narrows(clinic: Clinic, query: dict[str, str], expected: set[int]) -> None:
    names = {1: "Ada Synthetic", 2: "Bola Example", 3: "Chen Sample", 4: "Dmitri Placeholder"}
    cases = {number: clinic.referral(number, name) for number, name in names.items()}
    clinic.do(cases[1], do.Assign(owner="maria"))
    clinic.do(cases[2], do.Escalate(why="no slot"))
    clinic.do(cases[3], do.RaiseBlocker(category=BlockerCategory.AUTHORIZATION, text="payer asks"))
    clinic.do(cases[4], do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    clinic.now = NOW + timedelta(days=60)
    client = clinic.client()

    by_address = client.get("/api/v1/cases", params=query).json()
    typed = {name: {"true": True, "false": False}.get(value, value) for name, value in query.items()}
    by_body = client.post("/api/v1/cases/search", json=typed).json()

    assert {case["id"] for case in by_address["cases"]} == {cases[number].id for number in expected}
    assert by_body == by_address


@pytest.mark.parametrize(
    "query",
    [{"status": "pending"}, {"blocker": "weather"}, {"limit": "0"}, {"limit": "201"}, {"cursor": "made-up"}],
    ids=str,
)
def test_wrong_parameter_is_named(client: TestClient, query: dict[str, str]) -> None:
    answer = client.get("/api/v1/cases", params=query)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert next(iter(query)) in answer.json()["detail"]


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", "%", "_", "\\", "\x00", "(" * 200, "a&b|c,$d"])
def test_hostile_filters_find_nothing_and_break_nothing(clinic: Clinic, client: TestClient, hostile: str) -> None:
    clinic.referral()

    for name in ("q", "owner", "lane", "patient", "connection"):
        answer = client.get("/api/v1/cases", params={name: hostile})
        assert (answer.status_code, answer.json()["total"]) == (200, 0)


def test_overdue_begins_when_the_due_time_has_passed(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    assert case.due_at is not None

    clinic.now = case.due_at
    assert client.get(f"/api/v1/cases/{case.id}").json()["overdue"] is False
    clinic.now = case.due_at + timedelta(seconds=1)
    assert client.get(f"/api/v1/cases/{case.id}").json()["overdue"] is True


def test_data_is_as_of_the_oldest_stream_and_unknown_until_all_were_read(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    assert client.get(f"/api/v1/cases/{case.id}").json()["data_as_of"] is None

    clinic.read_to(NOW)
    with clinic.store.transaction() as tx:
        older = msgspec.structs.replace(tx.cursors(MAIN)[0], watermark=NOW - timedelta(minutes=9))
        tx.save_cursor(older)

    assert client.get(f"/api/v1/cases/{case.id}").json()["data_as_of"] == "2026-11-23T14:51:00Z"


def test_data_of_a_connection_that_was_taken_out_is_as_of_its_streams(clinic: Clinic) -> None:
    """What else is kept beside them was never read up to any time."""
    case = clinic.referral()
    clinic.read_to(NOW)
    with clinic.store.transaction() as tx:
        tx.save_cursor(Cursor(connection=MAIN, stream="rules", place="by these", checked_at=NOW))
    clinic.lines.clear()

    assert clinic.client().get(f"/api/v1/cases/{case.id}").json()["data_as_of"] == "2026-11-23T15:00:00Z"


def test_write_back_tells_the_newest_state_of_each_thing(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.deliver(case, IntentState.CONFIRMED)
    clinic.do(case, do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    clinic.do(case, do.Assign(owner="maria"))
    clinic.deliver(case, IntentState.PARKED, "The server refused the owner.")

    shown = client.get(f"/api/v1/cases/{case.id}").json()["write_back"]

    assert sorted((write["kind"], write["state"]) for write in shown) == [
        ("coordination-task", "queued"),
        ("outreach-record", "parked"),
    ]
    parked = next(write for write in shown if write["state"] == "parked")
    assert parked["reason"] == "The server refused the owner."


def test_every_intent_state_is_shown_or_superseded() -> None:
    assert set(SHOWN_STATE) == set(IntentState) - {IntentState.SUPERSEDED}


def test_timeline_holds_changes_outreach_and_writes_in_order(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.now += timedelta(minutes=1)
    clinic.deliver(case, IntentState.CONFIRMED)
    clinic.now += timedelta(minutes=1)
    clinic.do(case, do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.REACHED))

    entries = client.get(f"/api/v1/cases/{case.id}/timeline").json()["entries"]

    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    opened = entries[0]
    assert (opened["what"], opened["cause"]["what"]) == ("case-opened", "ServiceRequest/1/_history/1")
    called = next(entry for entry in entries if entry["entry"] == "outreach")
    assert called["fact"]["attempt"]["outcome"] == "reached"
    writes = [(entry["write"]["kind"], entry["write"]["state"]) for entry in entries if entry["entry"] == "write"]
    assert (IntentKind.COORDINATION_TASK, "confirmed") in writes


def test_command_changes_the_case_and_answers_with_it(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    answer = _command(client, case.id, {"command": "assign", "owner": "maria"}, version=case.version)

    assert answer.status_code == 200
    assert answer.json()["owner"]["id"] == "maria"
    assert answer.headers["etag"] == f'W/"{case.version + 1}"'
    assert client.get(f"/api/v1/cases/{case.id}").json() == answer.json()


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', "{}"])
def test_version_is_read_in_every_form_that_is_in_use(clinic: Clinic, client: TestClient, form: str) -> None:
    case = clinic.referral()

    answer = client.post(
        f"/api/v1/cases/{case.id}/commands",
        json={"command": "note", "text": "called"},
        headers={"If-Match": form.format(case.version)},
    )

    assert answer.status_code == 200


def test_command_without_version_is_refused(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    answer = client.post(f"/api/v1/cases/{case.id}/commands", json={"command": "note", "text": "x"})

    assert answer.status_code == 428
    assert "If-Match" in answer.json()["detail"]


def test_command_on_a_stale_version_does_nothing_and_names_the_version(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    now_at = clinic.do(case, do.Assign(owner="maria")).version

    answer = _command(client, case.id, {"command": "note", "text": "x"}, version=case.version)

    assert (answer.status_code, answer.json()["version"]) == (412, now_at)
    assert clinic.case(case).notes == ()


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ({"command": "assign", "owner": "nobody"}, 409),
        ({"command": "clear-blocker"}, 409),
        ({"command": "acknowledge-escalation"}, 409),
        ({"command": "close", "reason": "unable-to-reach"}, 409),
        ({"command": "reopen", "why": "x"}, 409),
        ({"command": "close", "reason": "bored"}, 422),
        ({"command": "close", "reason": "completed", "closed_by": "me", "outcome": "x"}, 422),
        ({"command": "assign", "owner": "maria", "tenant": "other"}, 422),
        ({"command": "assign"}, 422),
        ({"command": "explode"}, 422),
        ({"owner": "maria"}, 422),
        ([], 422),
        ({"command": "snooze", "reason": "x", "until": "2026-12-01T10:00:00"}, 422),
    ],
    ids=str,
)
def test_command_that_does_not_fit_is_refused_and_changes_nothing(
    clinic: Clinic, client: TestClient, command: object, status: int
) -> None:
    case = clinic.referral()

    answer = _command(client, case.id, command, version=case.version)

    assert answer.status_code == status
    assert answer.json()["detail"]
    assert clinic.case(case) == case


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 5000], ids=["empty", "cut", "bytes", "deep"])
def test_body_that_is_no_json_is_refused(clinic: Clinic, client: TestClient, body: bytes) -> None:
    case = clinic.referral()
    headers = {"If-Match": '"1"', "Content-Type": "application/json"}

    answer = client.post(f"/api/v1/cases/{case.id}/commands", content=body, headers=headers)

    assert answer.status_code in (400, 422)


def test_body_of_another_kind_or_size_is_refused(clinic: Clinic, client: TestClient) -> None:
    path = f"/api/v1/cases/{clinic.referral().id}/commands"
    json = {"If-Match": '"1"', "Content-Type": "application/json"}

    as_xml = client.post(path, content=b"<a/>", headers={**json, "Content-Type": "application/xml"})
    large = client.post(path, content=b'"' + b"x" * 70_000 + b'"', headers=json)

    assert (as_xml.status_code, large.status_code) == (415, 413)


def test_unknown_case_is_not_found(client: TestClient) -> None:
    unknown = "c" + "0" * 31

    assert client.get(f"/api/v1/cases/{unknown}").status_code == 404
    assert client.get(f"/api/v1/cases/{unknown}/timeline").status_code == 404
    assert _command(client, unknown, {"command": "note", "text": "x"}, version=1).status_code == 404


def test_merged_case_points_to_the_one_it_went_into(clinic: Clinic, client: TestClient) -> None:
    merged, into = clinic.merged()

    answer = client.get(f"/api/v1/cases/{merged.id}")
    command = _command(client, merged.id, {"command": "note", "text": "x"}, version=merged.version)

    assert (answer.status_code, answer.headers["location"]) == (308, f"/api/v1/cases/{into.id}")
    assert (command.status_code, command.json()["merged_into"]) == (409, into.id)
    assert client.get(f"/api/v1/cases/{merged.id}/timeline").status_code == 200
    assert client.get("/api/v1/cases").json()["total"] == 1


def test_cases_of_two_ehrs_with_equal_ids_stay_apart(clinic: Clinic) -> None:
    clinic.lines["other"] = a_line("other")
    patient = Party(type="Patient", ref="Patient/p1")
    here = clinic.arrive(a_snapshot("ServiceRequest/1", patient=patient))[0]
    there = clinic.arrive(a_snapshot("ServiceRequest/1", patient=patient, priority=Priority.STAT), connection="other")[
        0
    ]

    listed = clinic.client().get("/api/v1/cases", params={"connection": "other"}).json()

    assert here.id != there.id
    assert [case["id"] for case in listed["cases"]] == [there.id]


def test_answer_decodes_as_the_struct_it_was_made_of(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    raw = client.get(f"/api/v1/cases/{case.id}").content

    assert msgspec.json.encode(msgspec.json.decode(raw, type=CaseDetail)) == raw


def _command(client: TestClient, case_id: str, command: object, *, version: int):  # type: ignore[no-untyped-def]
    return client.post(f"/api/v1/cases/{case_id}/commands", json=command, headers={"If-Match": f'"{version}"'})


@pytest.mark.parametrize(
    "address", ["/api/v1/cases?statuss=new", "/api/v1/inbox?stat=parked", "/api/v1/connections?x=1"]
)
def test_a_parameter_that_means_nothing_is_refused(client: TestClient, address: str) -> None:
    answer = client.get(address)

    assert answer.status_code == 422
    assert repr(address.partition("?")[2].partition("=")[0]) in answer.json()["detail"]
