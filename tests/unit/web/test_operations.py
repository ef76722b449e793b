"""Connections, inbox, outbox and replay in ``/api/v1``; health and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.store.memory import MemoryStore
from bridge.store.port import Tx
from bridge.store.queries import CaseFilter
from bridge.store.rows import Budget, Counts
from tests.unit.web.builders import MAIN, NOW, Clinic

TASK = b'{"resourceType":"Task","id":"bad1","status":"doing","for":{"reference":"Patient/1","display":"Ada"},"n":7}'


def test_connection_says_in_a_word_whether_its_data_is_current(clinic: Clinic, client: TestClient) -> None:
    def health() -> tuple[str, float | None]:
        shown = client.get("/api/v1/connections").json()["connections"][0]
        return shown["health"], shown["lag_seconds"]

    assert health() == ("starting", None)
    clinic.read_to(NOW - timedelta(seconds=20))
    assert health() == ("current", 20.0)
    clinic.now = NOW + timedelta(minutes=16)
    assert health() == ("behind", 980.0)
    clinic.read_to(NOW, problem="the server answered 503")
    assert health() == ("failing", 960.0)


def test_connection_says_until_when_the_ehr_is_not_asked(clinic: Clinic, client: TestClient) -> None:
    def shown() -> dict[str, object] | None:
        found: dict[str, object] | None = client.get("/api/v1/connections").json()["connections"][0]["not_asked"]
        return found

    assert shown() is None
    with clinic.store.transaction() as tx:
        tx.save_budget(Budget(connection=MAIN, asked_until=NOW + timedelta(minutes=1)))
    assert shown() == {
        "until": "2026-11-23T15:01:00Z",
        "away_since": None,
        "reason": "it asked to be left alone",
    }
    with clinic.store.transaction() as tx:
        away = {"away_since": NOW, "open_until": NOW + timedelta(seconds=5), "trips": 1}
        tx.save_budget(Budget(connection=MAIN, reason="search of Task: answered 503", **away))
    told = shown()
    assert told is not None
    assert told["reason"] == "search of Task: answered 503"
    assert "search of Task: answered 503" in client.get("/connections").text
    assert f'bridge_ehr_away{{connection="{MAIN}"}} 1.0' in client.get("/metrics").text


def test_counters_of_every_stream_add_up(clinic: Clinic, client: TestClient) -> None:
    clinic.count("Task", Counts(received=9, applied=4, duplicate=3, ignored=2))
    clinic.park("Task/1", "unknown-status", "Task.status is not known")

    streams = client.get("/api/v1/connections").json()["connections"][0]["streams"]

    for stream in streams:
        parts = sum(stream[part] for part in ("applied", "duplicate", "ignored", "parked"))
        assert stream["received"] == parts
    assert next(s for s in streams if s["type"] == "Task")["received"] == 10


def test_a_thousand_like_errors_are_one_group(clinic: Clinic, client: TestClient) -> None:
    for number in range(30):
        clinic.park(f"Task/{number}", "unknown-status", "Task.status is not known")

    groups = client.get("/api/v1/connections").json()["connections"][0]["parked"]

    assert groups == [{"type": "Task", "code": "unknown-status", "count": 30, "example": "Task.status is not known"}]


def test_outbox_stand_counts_every_state(clinic: Clinic, client: TestClient) -> None:
    clinic.deliver(clinic.referral(1), IntentState.CONFIRMED)
    clinic.deliver(clinic.referral(2), IntentState.PARKED, "refused")

    outbox = client.get("/api/v1/connections").json()["connections"][0]["outbox"]

    assert {state.value for state in IntentState} <= set(outbox)
    assert (outbox["confirmed"], outbox["parked"], outbox["queued"]) == (1, 1, 0)


def test_inbox_row_is_masked_unless_it_is_to_be_revealed(clinic: Clinic, client: TestClient) -> None:
    row = clinic.park("Task/bad1", "unknown-status", "Task.status is not known", TASK)

    masked = client.get(f"/api/v1/inbox/{row}").json()
    revealed = client.get(f"/api/v1/inbox/{row}", params={"reveal": "true"}).json()

    assert masked["masked"]
    assert "Ada" not in masked["raw"]
    assert '"doing"' in masked["raw"]
    assert not revealed["masked"]
    assert revealed["raw"].encode() == TASK


def test_inbox_is_paged_and_without_content(clinic: Clinic, client: TestClient) -> None:
    for number in range(5):
        clinic.park(f"Task/{number}", "unknown-status", "Task.status is not known", TASK)

    first = client.get("/api/v1/inbox", params={"limit": 3}).json()
    rest = client.get("/api/v1/inbox", params={"limit": 3, "after": first["next"]}).json()

    assert [row["resource"] for row in first["rows"] + rest["rows"]] == [f"Task/{n}" for n in range(5)]
    assert rest["next"] is None
    assert "Ada" not in str(first)


def test_outbox_lists_by_state_and_case(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.referral(2)
    clinic.deliver(case, IntentState.PARKED, "refused")

    parked = client.get("/api/v1/outbox", params={"state": "parked"}).json()["rows"]
    of_case = client.get("/api/v1/outbox", params={"case": case.id}).json()["rows"]

    assert [row["case"] for row in parked] == [case.id]
    assert {row["state"] for row in of_case} == {"superseded", "parked"}


def test_dry_run_says_what_a_replay_would_take_and_takes_nothing(clinic: Clinic, client: TestClient) -> None:
    ids = [clinic.park(f"Task/{number}", "unknown-status", "not known") for number in range(3)]
    clinic.park("Appointment/1", "unreadable", "no JSON")
    wanted = {"connection": MAIN, "code": "unknown-status"}

    dry = client.post("/api/v1/inbox/replay", json={**wanted, "dry_run": True}).json()
    assert (dry["matched"], dry["replayed"], dry["ids"], clinic.replayed) == (3, 0, ids, [])
    wet = client.post("/api/v1/inbox/replay", json=wanted).json()
    assert (wet["replayed"], clinic.replayed) == (3, [("inbox", tuple(ids))])


def test_replay_takes_only_what_is_parked(clinic: Clinic, client: TestClient) -> None:
    parked, confirmed = clinic.referral(1), clinic.referral(2)
    clinic.deliver(parked, IntentState.PARKED, "refused")
    clinic.deliver(confirmed, IntentState.CONFIRMED)
    every = [row["id"] for row in client.get("/api/v1/outbox").json()["rows"]]

    done = client.post("/api/v1/outbox/replay", json={"ids": [*every, 999]}).json()

    assert (done["matched"], done["replayed"]) == (1, 1)
    assert client.get("/api/v1/outbox", params={"state": "queued"}).json()["rows"][0]["case"] == parked.id


@pytest.mark.parametrize("body", [{"state": "confirmed"}, {"who": "me"}, {"ids": ["1"]}, {"kind": "x"}], ids=str)
def test_replay_of_something_else_is_refused(client: TestClient, body: object) -> None:
    assert client.post("/api/v1/outbox/replay", json=body).status_code == 422


def test_health_tells_neither_version_nor_patients(clinic: Clinic, client: TestClient) -> None:
    clinic.referral()

    for path, body in (("/health/live", '{"status":"live"}'), ("/health/ready", '{"status":"ready"}')):
        answer = client.get(path, headers={"Host": "10.0.0.7:8000"})
        assert (answer.status_code, answer.text) == (200, body)


def test_not_ready_while_the_database_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    client = Clinic(store=_Broken()).client()

    ready, live = client.get("/health/ready"), client.get("/health/live")

    assert (ready.status_code, live.status_code) == (503, 200)
    assert "secret" not in ready.text + caplog.text


def test_fault_is_answered_with_an_id_and_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    client = Clinic(store=_Broken()).client()

    answer = client.get("/api/v1/cases")

    assert answer.status_code == 500
    assert answer.json()["id"] in caplog.text
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text + answer.text


def test_metrics_agree_with_the_store_and_hold_nobodys_name(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    clinic.do(case, do.Escalate(why="secret reason"))
    clinic.deliver(clinic.referral(2, "Bola Example"), IntentState.PARKED, "refused")
    clinic.read_to(NOW - timedelta(seconds=30))
    clinic.count("Task", Counts(received=3, applied=3))
    clinic.now = NOW + timedelta(minutes=1)

    text = client.get("/metrics").text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert samples["bridge_lag_seconds", "Task", MAIN] == 90
    assert samples["bridge_last_success_timestamp_seconds", "Task", MAIN] == NOW.timestamp() - 30
    assert samples["bridge_inbox_total", "Task", "applied", MAIN] == 3
    assert samples["bridge_outbox", MAIN, "parked"] == 1
    assert samples["bridge_outbox_oldest_age_seconds", MAIN, "queued"] == 60
    assert samples["bridge_cases", "escalated", MAIN, "referral"] == 1
    assert not any(word in text for word in ("Ada", "Bola", "secret", "Patient"))


def test_series_do_not_grow_with_cases(clinic: Clinic, client: TestClient) -> None:
    clinic.referral(1)
    before = client.get("/metrics").text.count("\n")
    for number in range(2, 20):
        clinic.referral(number)

    assert client.get("/metrics").text.count("\n") == before


def test_lane_that_is_not_configured_any_longer_is_counted_as_other(clinic: Clinic, client: TestClient) -> None:
    clinic.rename(clinic.referral(), lane="retired-lane")

    text = client.get("/metrics").text

    assert 'lane="other"' in text
    assert "retired-lane" not in text


def test_reading_changes_nothing(clinic: Clinic, client: TestClient) -> None:
    """S14: whatever is asked with GET, what is stored stays as it is."""
    case = clinic.referral()
    row = clinic.park("Task/bad1", "unknown-status", "not known", TASK)
    clinic.deliver(case, IntentState.PARKED, "refused")
    before = _everything(clinic)

    paths = [route.path for route in client.app.routes if "GET" in getattr(route, "methods", ())]  # type: ignore[attr-defined]
    for path in [*paths, "/api/v1/cases", "/", "/connections", f"/cases/{case.id}", "/metrics"]:
        client.get(path.format(case_id=case.id, row_id=row, name="note"), params={"reveal": "true"})

    assert _everything(clinic) == before


class _Broken(MemoryStore):
    """A database that fails with words that nobody may see."""

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        raise OSError("secret: Ada Synthetic")
        yield


def _everything(clinic: Clinic) -> bytes:
    with clinic.store.reading() as tx:
        cases = tx.list_cases(CaseFilter(), limit=100).cases
        histories = [tx.history(case.id) for case in cases]
        return msgspec.json.encode([cases, histories, tx.outbox(), tx.inbox(), tx.cursors(MAIN)])
