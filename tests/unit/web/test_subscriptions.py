"""The connections page says whether notifications arrive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from bridge.store.rows import Subscribed
from tests.unit.web.builders import MAIN, NOW, Clinic


def keep(clinic: Clinic, **changes: Any) -> None:
    row = {"state": "active", "active_at": NOW - timedelta(days=1), "ref": "Subscription/1", **changes}
    with clinic.store.transaction() as tx:
        tx.save_subscribed(
            [Subscribed(connection=MAIN, key="k", flavor="classic", about="Task", types=("Task",), **row)]
        )


@pytest.mark.parametrize(
    ("row", "condition", "words"),
    [
        ({}, "working", "Active."),
        ({"state": "requested"}, "starting", "has yet to make it active"),
        ({"state": "error", "problem": "the EHR calls it error"}, "failing", "the EHR calls it error"),
        ({"heartbeat_seconds": 60}, "silent", "Two heartbeats did not come"),
        ({"missed": 3, "missed_in_row": 3}, "not-arriving", "notifications do not arrive"),
    ],
)
def test_how_a_subscription_stands_is_shown(
    clinic: Clinic, client: TestClient, row: dict[str, Any], condition: str, words: str
) -> None:
    keep(clinic, **row)

    (found,) = client.get("/api/v1/connections").json()["connections"][0]["subscriptions"]
    page = client.get("/connections").text

    assert (found["resource"], found["condition"], found["missed"]) == (
        "Subscription/1",
        condition,
        row.get("missed", 0),
    )
    assert words in page
    assert ('<td class="late">' in page) is (condition not in ("working", "starting"))


def test_without_subscriptions_nothing_is_said_of_them(client: TestClient) -> None:
    assert "Notifications" not in client.get("/connections").text


def samples(client: TestClient, name: str) -> dict[str, float]:
    """Return the figures of a metric by its last label."""
    return {
        sample.labels.get("state") or sample.labels.get("outcome") or "": sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == name
    }


def test_metrics_count_subscriptions_by_what_they_are_worth(clinic: Clinic, client: TestClient) -> None:
    """That an EHR calls one active would say nothing; an alert is made on this."""
    assert set(samples(client, "bridge_subscriptions").values()) == {0}

    keep(clinic, missed=4, missed_in_row=3)

    found = samples(client, "bridge_subscriptions")
    assert {state: number for state, number in found.items() if number} == {"not-arriving": 1}
    assert samples(client, "bridge_notifications_missed_total") == {"": 4}


def test_metrics_say_how_long_a_hint_waits(clinic: Clinic, client: TestClient) -> None:
    with clinic.store.transaction() as tx:
        tx.note_hints(MAIN, ["Task/2"], NOW - timedelta(seconds=10), 1)
        tx.note_hints(MAIN, ["Task/1"], NOW - timedelta(seconds=70), 1)

    assert samples(client, "bridge_hints_oldest_age_seconds") == {"": 70}
