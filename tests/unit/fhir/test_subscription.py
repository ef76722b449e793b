"""Subscriptions as R4, R4B and R5 write them, and what servers make of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.subscription import Subscription as R4BSubscription
from fhir.resources.subscription import Subscription as R5Subscription
from msgspec.structs import replace

from bridge.errors import SourceError
from bridge.fhir.subscription import Flavor, Remote, State, Wanted, key_of, read_subscription, render

ENDS = datetime(2026, 12, 1, 9, tzinfo=UTC)
KEY = key_of("https://bridge.example", "main", "Task")
CLASSIC = Wanted(
    key=KEY, flavor=Flavor.CLASSIC, types=("Task",), about="Task", endpoint="https://bridge.example/hooks/main/s/Task"
)
TOPIC = Wanted(
    key=KEY,
    flavor=Flavor.BACKPORT,
    types=("Task",),
    about="http://example.org/topics/task",
    endpoint="https://bridge.example/hooks/main/s",
    header=("X-Key", "value"),
    filters=("Task?owner:missing=false&status=requested",),
    heartbeat_seconds=60,
)
NATIVE = replace(TOPIC, flavor=Flavor.NATIVE)


def written(wanted: Wanted, own_id: str | None = KEY) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(wanted, own_id=own_id, ends_at=ENDS))
    return found


def test_a_classic_one_carries_no_payload_and_leaves_no_status_out() -> None:
    found = written(CLASSIC)

    assert found["criteria"] == "Task?"
    assert found["channel"] == {"type": "rest-hook", "endpoint": CLASSIC.endpoint}
    assert found["status"] == "requested"
    assert found["end"] == "2026-12-01T09:00:00.000Z"


def test_a_topic_in_r4_is_in_the_shape_of_the_backport_guide() -> None:
    """What the public test kit checks of clients: topic as criteria, rest-hook, payload-content, filters."""
    found = written(TOPIC)
    base = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"

    assert found["meta"]["profile"] == [f"{base}backport-subscription"]
    assert found["criteria"] == TOPIC.about
    assert found["_criteria"]["extension"] == [
        {"url": f"{base}backport-filter-criteria", "valueString": TOPIC.filters[0]}
    ]
    channel = found["channel"]
    assert channel["header"] == ["X-Key: value"]
    assert channel["extension"] == [{"url": f"{base}backport-heartbeat-period", "valueUnsignedInt": 60}]
    assert channel["_payload"]["extension"] == [{"url": f"{base}backport-payload-content", "valueCode": "id-only"}]


def test_a_topic_in_r5_is_native() -> None:
    found = written(NATIVE)

    assert (found["topic"], found["content"], found["heartbeatPeriod"]) == (TOPIC.about, "id-only", 60)
    assert found["parameter"] == [{"name": "X-Key", "value": "value"}]
    task = "http://hl7.org/fhir/StructureDefinition/Task"
    assert found["filterBy"] == [
        {"resourceType": task, "filterParameter": "owner", "modifier": "missing", "value": "false"},
        {"resourceType": task, "filterParameter": "status", "value": "requested"},
    ]


def test_the_key_to_sign_with_goes_where_each_server_looks_for_it() -> None:
    classic, topic, native = (written(replace(one, signing_key="the-key")) for one in (CLASSIC, TOPIC, NATIVE))

    assert [one["valueString"] for one in classic["extension"]] == ["the-key"]
    assert topic["channel"]["header"] == ["X-Key: value", "X-Hub-Secret: the-key"]
    assert native["parameter"][1] == {"name": "X-Hub-Secret", "value": "the-key"}


@pytest.mark.parametrize(
    "wanted",
    [
        CLASSIC,
        TOPIC,
        replace(CLASSIC, signing_key="k"),
        replace(TOPIC, header=None, filters=(), heartbeat_seconds=None),
    ],
)
def test_what_r4_gets_is_a_subscription(wanted: Wanted) -> None:
    R4BSubscription.model_validate(written(wanted))


@pytest.mark.parametrize("wanted", [NATIVE, replace(NATIVE, header=None, filters=(), heartbeat_seconds=None)])
def test_what_r5_gets_is_a_subscription(wanted: Wanted) -> None:
    R5Subscription.model_validate(written(wanted))


@pytest.mark.parametrize("wanted", [CLASSIC, TOPIC, NATIVE])
def test_what_was_written_is_read_as_it_was_meant(wanted: Wanted) -> None:
    raw = json.dumps({**written(wanted, "12"), "meta": {"versionId": "3"}, "status": "active"}).encode()

    assert read_subscription(raw) == Remote(
        ref="Subscription/12",
        version="3",
        flavor=wanted.flavor,
        about="Task?" if wanted is CLASSIC else wanted.about,
        endpoint=wanted.endpoint,
        state=State.ACTIVE,
        ends_at=ENDS,
        heartbeat_seconds=wanted.heartbeat_seconds,
        mark=KEY,
    )


@pytest.mark.parametrize(
    ("criteria", "kind"), [("Task?", "Task"), ("Task", "Task"), ("Task?status=x", "Task"), ("http://x/Task", None)]
)
def test_the_type_of_a_classic_one_is_that_of_its_search(criteria: str, kind: str | None) -> None:
    raw = {"resourceType": "Subscription", "id": "1", "criteria": criteria, "channel": {"type": "rest-hook"}}

    assert read_subscription(json.dumps(raw).encode()).type == kind


def test_a_status_that_fhir_does_not_know_is_an_error() -> None:
    raw = {"resourceType": "Subscription", "id": "1", "status": "paused", "channel": {"type": "rest-hook"}}

    assert read_subscription(json.dumps(raw).encode()).state is State.ERROR


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"resourceType": "Task", "id": "1"}',
        b'{"resourceType": "Subscription", "channel": {"type": "rest-hook"}}',
        b'{"resourceType": "Subscription", "id": "1", "channel": {"type": "websocket"}}',
        b'{"resourceType": "Subscription", "id": "1", "channel": []}',
        b'{"resourceType": "Subscription", "id": "1", "topic": "http://x"}',
    ],
)
def test_what_is_no_rest_hook_is_refused(raw: bytes) -> None:
    with pytest.raises(SourceError):
        read_subscription(raw)


def test_keys_differ_by_place_connection_and_what_they_tell_of() -> None:
    keys = {
        key_of(base, name, about) for base in ("a", "b") for name in ("c", "d") for about in ("Task", "Appointment")
    }

    assert len(keys) == 8
    assert all(len(key) <= 64 for key in keys)


def test_secrets_change_what_is_to_be_written_and_not_the_key() -> None:
    renewed = replace(CLASSIC, endpoint=CLASSIC.endpoint.replace("/s/", "/t/"))

    assert renewed.digest() != CLASSIC.digest()
    assert replace(CLASSIC).digest() == CLASSIC.digest()
