"""Pausing and resuming, what came late, and what a replay would do: API, pages and metrics."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from bridge.cases.intents import IntentState
from bridge.store.rows import Counts, InboxRow, InboxState
from bridge.tasks.intents import copy_intent

from .builders import MAIN, NOW, Clinic

OURS = {"Sec-Fetch-Site": "same-origin"}


def connection(client: TestClient) -> dict[str, object]:
    found: dict[str, object] = client.get("/api/v1/connections").json()["connections"][0]
    return found


def test_a_paused_connection_says_so_and_by_whom(clinic: Clinic, client: TestClient) -> None:
    clinic.read_to(NOW)
    answer = client.post(f"/api/v1/connections/{MAIN}/pause", json={})

    expected = {"type": None, "by": "local user", "at": "2026-11-23T15:00:00Z"}
    assert answer.json() == {"connection": MAIN, "changed": True, "pauses": [expected]}
    shown = connection(client)
    assert (shown["health"], shown["pauses"]) == ("paused", [expected])
    assert "Paused." in client.get("/").text
    assert "Resume main" in client.get("/connections").text

    assert client.post(f"/api/v1/connections/{MAIN}/pause", json={}).json()["changed"] is False
    assert client.post(f"/api/v1/connections/{MAIN}/resume", json={}).json() == {
        "connection": MAIN,
        "changed": True,
        "pauses": [],
    }
    assert connection(client)["health"] == "current"


def test_one_type_is_paused_and_resumed_on_the_page(clinic: Clinic, client: TestClient) -> None:
    clinic.read_to(NOW)
    form = {"connection": MAIN, "type": "Task"}

    assert client.post("/connections/pause", data=form, headers=OURS).status_code == 303
    page = client.get("/connections").text
    assert "Task is paused" in re.sub(r"<[^>]+>", "", page)
    assert connection(client)["health"] == "current"

    client.post("/connections/resume", data=form, headers=OURS)
    assert connection(client)["pauses"] == []


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [("nowhere", {}, 404), (MAIN, {"type": "Patient"}, 422), (MAIN, {"types": ["Task"]}, 422)],
)
def test_what_cannot_be_paused_is_refused(client: TestClient, name: str, body: object, status: int) -> None:
    for verb in ("pause", "resume"):
        assert client.post(f"/api/v1/connections/{name}/{verb}", json=body).status_code == status


def test_a_pause_is_not_taken_from_another_site(client: TestClient) -> None:
    hostile = {"Sec-Fetch-Site": "cross-site"}

    assert client.post("/connections/pause", data={"connection": MAIN}, headers=hostile).status_code == 403


def late(clinic: Clinic, number: int) -> None:
    row = InboxRow(
        connection=MAIN,
        ref=f"Task/{number}",
        type="Task",
        version="1",
        updated_at=NOW - timedelta(hours=1),
        received_at=NOW,
        path="sweep",
        state=InboxState.APPLIED,
        code="late",
        reason="found by the sweep: the poll had read up to 2026-11-23 14:30:00 UTC without it",
        raw=b"{}",
    )
    with clinic.store.transaction() as tx:
        tx.add_versions([row])
        tx.count_late(MAIN, {("Task", "sweep"): 1})
        tx.count(MAIN, "sweep", Counts(received=1, applied=1))


def test_what_came_late_is_grouped_listed_and_counted(clinic: Clinic, client: TestClient) -> None:
    late(clinic, 1)
    late(clinic, 2)

    shown = connection(client)

    assert shown["late"] == [{"type": "Task", "path": "sweep", "count": 2}]
    streams = shown["streams"]
    assert isinstance(streams, list)
    assert {one["type"]: one["late_rows"] for one in streams if one["late_rows"]} == {"Task": 2}
    assert shown["repairs"] == 2
    assert "2 Task: found by the sweep" in client.get("/connections").text
    listed = client.get("/late", params={"connection": MAIN, "type": "Task"}).text
    assert listed.count("the poll had read up to") == 2
    rows = client.get("/api/v1/inbox", params={"state": "applied", "code": "late"}).json()["rows"]
    assert [row["resource"] for row in rows] == ["Task/1", "Task/2"]
    metrics = client.get("/metrics").text
    assert f'bridge_late_rows_total{{connection="{MAIN}",type="Task"}} 2.0' in metrics
    assert f'bridge_sweep_repairs_total{{connection="{MAIN}"}} 2.0' in metrics


def parked(clinic: Clinic, number: int, status: str) -> int:
    raw = (
        f'{{"resourceType": "ServiceRequest", "id": "{number}", "meta": {{"versionId": "1",'
        f' "lastUpdated": "2026-11-23T14:00:00Z"}}, "status": "{status}", "intent": "order",'
        ' "subject": {"reference": "Patient/p1"}}'
    )
    row = InboxRow(
        connection=MAIN,
        ref=f"ServiceRequest/{number}",
        type="ServiceRequest",
        version="1",
        updated_at=NOW - timedelta(hours=1),
        received_at=NOW,
        path="poll",
        state=InboxState.PARKED,
        code="unknown-status",
        reason="not understood",
        raw=raw.encode(),
    )
    with clinic.store.transaction() as tx:
        tx.add_versions([row])
        (added,) = tx.inbox(ref=row.ref)
    assert added.id is not None
    return added.id


def test_a_dry_run_says_what_each_would_become_and_stores_nothing(clinic: Clinic, client: TestClient) -> None:
    mended, still = parked(clinic, 1, "active"), parked(clinic, 2, "nonsense")

    told = client.post("/api/v1/inbox/replay", json={"type": "ServiceRequest", "dry_run": True}).json()

    assert told["becomes"] == {"applied": 1, "parked": 1}
    assert [(one["id"], one["state"]) for one in told["outcomes"]] == [(mended, "applied"), (still, "parked")]
    assert told["outcomes"][1]["code"] == "unknown-status"
    assert clinic.replayed == []
    assert client.get("/api/v1/cases").json()["total"] == 0
    assert {row["state"] for row in client.get("/api/v1/inbox").json()["rows"]} == {"parked"}


def test_the_page_shows_what_would_happen_to_the_ticked_rows_and_then_does_it(
    clinic: Clinic, client: TestClient
) -> None:
    ids = [parked(clinic, number, "active") for number in (1, 2, 3)]
    chosen = {"id": [str(ids[0]), str(ids[2])]}

    page = client.post("/connections/replay-inbox", data={**chosen, "preview": "1"}, headers=OURS).text

    assert "2 would be applied" in page
    assert "ServiceRequest/1" in page
    assert "ServiceRequest/2" not in page
    assert clinic.replayed == []
    client.post("/connections/replay-inbox", data=chosen, headers=OURS)
    assert clinic.replayed == [("inbox", (ids[0], ids[2]))]


def test_the_page_shows_what_would_happen_to_a_whole_group(clinic: Clinic, client: TestClient) -> None:
    mended, _ = parked(clinic, 1, "active"), parked(clinic, 2, "nonsense")
    group = {"connection": MAIN, "type": "ServiceRequest", "code": "unknown-status"}

    page = client.post("/connections/replay-inbox", data={**group, "preview": "1"}, headers=OURS)

    assert page.status_code == 200
    assert "1 would be applied" in page.text
    assert 'name="code" value="unknown-status"' in page.text
    client.post("/connections/replay-inbox", data=group, headers=OURS)
    assert mended in clinic.replayed[0][1]


def test_the_page_says_that_nothing_would_happen_where_no_row_is_parked_any_more(client: TestClient) -> None:
    for what in ("inbox", "outbox"):
        page = client.post(
            f"/connections/replay-{what}", data={"connection": MAIN, "code": "fault", "preview": "1"}, headers=OURS
        )

        assert page.status_code == 200
        assert "Nothing would happen" in page.text
        assert "Do it" not in page.text


def test_what_stood_twice_is_counted_and_shown(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    with clinic.store.transaction() as tx:
        tx.add_intents([copy_intent(case, "Task/9", "beside-Task/8")], NOW)
    clinic.deliver(case, IntentState.CONFIRMED, "a second copy of Task/8")
    clinic.deliver(case, IntentState.CONFIRMED, "a second copy of Task/8")

    assert connection(client)["second_copies"] == 1
    assert "stood twice on the EHR" in client.get("/connections").text
    assert f'bridge_second_copies_retired_total{{connection="{MAIN}"}} 1.0' in client.get("/metrics").text
    assert "a second copy of Task/8" in client.get(f"/api/v1/cases/{case.id}/timeline").text
