"""What senders really send to a hook, by their test kits and documentation: read, or refused as FHIR refuses."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from bridge.sync.line import READ_ORDER
from bridge.web.gate import Gate
from bridge.web.hooks import MOST_BYTES
from tests.unit.web.builders import MAIN, Clinic
from tests.unit.web.test_hooks import HOOK, Bell, caller, notification, refused, signed

EVERYTHING = list(READ_ORDER)


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def ehr(clinic: Clinic, bell: Bell) -> Iterator[TestClient]:
    return caller(clinic, bell, Gate(path="s3cret"))


def r4(kind: str, *parts: dict[str, Any], status: str = "active", entries: tuple[dict[str, Any], ...] = ()) -> bytes:
    """Return a notification as the Subscriptions R5 Backport IG 1.1.0 has it in R4, complete with its requests."""
    given = [
        {"name": "subscription", "valueReference": {"reference": "https://other.example/fhir/Subscription/123"}},
        {"name": "topic", "valueCanonical": "http://other.example/topics/order"},
        {"name": "status", "valueCode": status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": "1"},
        *parts,
    ]
    first = {
        "fullUrl": "urn:uuid:63c28e8a-f402-43e4-beb2-75b1c0f6833f",
        "resource": {"resourceType": "Parameters", "id": "63c28e8a", "parameter": given},
        "request": {"method": "GET", "url": "https://other.example/fhir/Subscription/123/$status"},
        "response": {"status": "200"},
    }
    return json.dumps({"resourceType": "Bundle", "type": "history", "entry": [first, *entries]}).encode()


def told(focus: object, *, number: object = "1") -> dict[str, Any]:
    part = [
        {"name": "event-number", "valueString": number},
        {"name": "timestamp", "valueInstant": "2026-01-01T00:00:00Z"},
    ]
    return {"name": "notification-event", "part": [*part, {"name": "focus", "valueReference": focus}]}


def answered(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("kind", ["handshake", "heartbeat", "query-status"])
@pytest.mark.parametrize("status", ["requested", "active", "error"])
def test_a_status_without_events_asks_for_nothing(ehr: TestClient, bell: Bell, kind: str, status: str) -> None:
    answered(ehr.post(HOOK, content=r4(kind, status=status)))

    assert bell.rung == []
    assert bell.said[0].status == status


@pytest.mark.parametrize(
    ("focus", "wanted"),
    [
        ({"reference": "Task/1"}, ["Task/1"]),
        ({"reference": "Task/1/_history/4"}, ["Task/1"]),
        ({"reference": "http://ehr.test/fhir/Task/1"}, ["Task/1"]),
        ({"reference": "https://elsewhere.example/fhir/Task/1"}, EVERYTHING),
        ({"reference": "#task"}, EVERYTHING),
        ({"reference": "urn:uuid:63c28e8a-f402-43e4-beb2-75b1c0f6833f"}, EVERYTHING),
        ({"identifier": {"system": "urn:x", "value": "1"}, "type": "Task"}, EVERYTHING),
        ({"display": "an order"}, EVERYTHING),
        ("Task/1", EVERYTHING),
        ({"reference": "Encounter/1"}, []),
    ],
)
def test_a_focus_is_taken_however_it_is_written(
    clinic: Clinic, ehr: TestClient, bell: Bell, focus: object, wanted: list[str]
) -> None:
    base = clinic.context().lines[MAIN].base_url
    here = json.loads(json.dumps(focus).replace("http://ehr.test/fhir", base))

    answered(ehr.post(HOOK, content=r4("event-notification", told(here))))

    assert [ref for _, refs in bell.rung for ref in refs] == wanted


def test_a_bundle_is_read_where_its_address_names_a_type(ehr: TestClient, bell: Bell) -> None:
    """One address for each type may be given to topics too: the handshake rings for nothing, an event for one."""
    answered(ehr.post(f"{HOOK}/Task", content=r4("handshake")))
    answered(ehr.post(f"{HOOK}/Task", content=notification("Task/1")))
    answered(ehr.post(f"{HOOK}/Task", content=b'{"resourceType":"Task","id":"2"}'))

    assert bell.rung == [(MAIN, ["Task/1"]), (MAIN, ["Task/2"])]
    assert bell.said[0].subscription == "123"


@pytest.mark.parametrize("body", [b"", b"{}", b"hello", b"<Task xmlns='http://hl7.org/fhir'/>"])
def test_an_address_that_names_a_type_means_that_where_the_body_says_nothing(
    ehr: TestClient, bell: Bell, body: bytes
) -> None:
    answered(ehr.post(f"{HOOK}/Task", content=body))

    assert bell.rung == [(MAIN, ["Task"])]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_payload_doubles_the_type_that_the_address_ends_in(ehr: TestClient, bell: Bell, method: str) -> None:
    """HAPI appends the type and the id to whatever the endpoint is; somebody gave it one for Tasks."""
    answered(ehr.request(method, f"{HOOK}/Task/Task/1", content=b"<Task/>"))

    assert bell.rung == [(MAIN, ["Task/1"])]


def test_a_resource_may_be_put_to_the_address_itself(ehr: TestClient, bell: Bell) -> None:
    """As HAPI did before 3.3 (hapi-fhir #807)."""
    answered(ehr.put(HOOK, content=b'{"resourceType":"Task","id":"1"}'))

    assert bell.rung == [(MAIN, ["Task/1"])]


@pytest.mark.parametrize("path", ["", "/Task"])
def test_medplum_tells_of_a_deletion_in_a_header(ehr: TestClient, bell: Bell, path: str) -> None:
    answered(ehr.post(HOOK + path, content=b"{}", headers={"X-Medplum-Deleted-Resource": "Task/1"}))

    assert bell.rung == [(MAIN, ["Task/1"])]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/fhir+json",
        "application/fhir+json; charset=UTF-8; fhirVersion=4.0",
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\r\n  "])
def test_what_a_body_is_called_does_not_matter(ehr: TestClient, bell: Bell, content_type: str, mark: bytes) -> None:
    answered(ehr.post(HOOK, content=mark + notification("Task/1"), headers={"Content-Type": content_type}))

    assert bell.rung == [(MAIN, ["Task/1"])]


def test_a_compressed_body_is_opened_after_its_signature_was_checked(clinic: Clinic, bell: Bell) -> None:
    ehr = caller(clinic, bell, Gate(path="s3cret", signing_key=b"k"))
    body = gzip.compress(notification("Task/1"))
    headers = {"Content-Encoding": "gzip", "X-Signature": signed(body)}

    answered(ehr.post(HOOK, content=body, headers=headers))
    refused(ehr.post(HOOK, content=body, headers={**headers, "X-Signature": signed(gzip.decompress(body))}), 401)

    assert bell.rung == [(MAIN, ["Task/1"])]


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip", b"{}", 400),
        ("gzip", gzip.compress(b" " * (MOST_BYTES + 1), mtime=0), 413),
    ],
    ids=["brotli", "no-gzip", "bomb"],
)
def test_what_cannot_be_opened_is_refused(ehr: TestClient, bell: Bell, encoding: str, body: bytes, status: int) -> None:
    refused(ehr.post(HOOK, content=body, headers={"Content-Encoding": encoding}), status)

    assert bell.rung == []


@pytest.mark.parametrize(
    "body", [b"<Bundle xmlns='http://hl7.org/fhir'/>", b"\xef\xbb\xbf<?xml version='1.0'?><Task/>"]
)
def test_xml_is_refused_for_what_it_is(ehr: TestClient, bell: Bell, body: bytes) -> None:
    refused(ehr.post(HOOK, content=body, headers={"Content-Type": "application/fhir+xml"}), 415)

    assert bell.rung == []


@pytest.mark.parametrize(
    "body",
    [
        notification("Task/1").decode().encode("utf-16"),
        b"[]",
        b"null",
        b'"Task/1"',
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"resourceType":"Bundle","type":"history"}',
        b'{"resourceType":"Bundle","type":"history","entry":{}}',
        b'{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","id":"1"}}]}',
        b'{"resourceType":"OperationOutcome","issue":[]}',
        b'{"resourceType":["Bundle"]}',
        b'{"resourceType":"Task","id":{"value":"1"}}',
        b'{"resourceType":"Task","id":"../x"}',
        r4("rumour"),
    ],
    ids=range(15),
)
def test_what_is_no_notification_is_refused(ehr: TestClient, bell: Bell, body: bytes) -> None:
    refused(ehr.post(HOOK, content=body), 400)

    assert bell.rung == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["", "/Task/1"])
def test_other_methods_are_refused_as_fhir_refuses(ehr: TestClient, bell: Bell, method: str, path: str) -> None:
    answer = ehr.request(method, HOOK + path)

    refused(answer, 405)
    assert answer.headers["allow"] == "POST, PUT, DELETE"
    assert ehr.head(HOOK + path).status_code == 405
    assert bell.rung == []


@pytest.mark.parametrize("path", ["/hooks/main", "/hooks/", "/hooks/main/wrong", "/hooks/other/s3cret/Task/1"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_other_addresses_do_not_exist(ehr: TestClient, path: str, method: str) -> None:
    refused(ehr.request(method, path, headers={"WebHook-Request-Origin": "events.example"}), 404)


def test_cloud_events_may_be_sent_where_they_ask(ehr: TestClient) -> None:
    answer = ehr.options(HOOK, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})

    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "eventgrid.azure.net"


def test_event_grid_gets_its_code_back_and_rings_for_nothing(ehr: TestClient, bell: Bell) -> None:
    question = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "5-a"}}
    headers = {"aeg-event-type": "SubscriptionValidation"}

    answer = ehr.post(HOOK, json=[question], headers=headers)

    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "5-a"})
    refused(ehr.post(HOOK, json=[{**question, "data": {}}], headers=headers), 400)
    refused(ehr.post("/hooks/main/wrong", json=[question], headers=headers), 404)
    assert bell.rung == []


def test_an_array_of_a_vendors_events_rings_for_each(ehr: TestClient, bell: Bell) -> None:
    task = {"id": "1", "specversion": "1.0", "source": "/", "type": "x", "data": {"resourceType": "Task", "id": "1"}}
    other = {**task, "data": {"resourceType": "Appointment", "id": "2"}}

    answered(ehr.post(HOOK, json=[task, other], headers={"Content-Type": "application/cloudevents-batch+json"}))

    assert bell.rung == [(MAIN, ["Task/1", "Appointment/2"])]


def test_athenahealths_notification_is_taken(clinic: Clinic, bell: Bell) -> None:
    """A SubscriptionStatus in R4, one AuditEvent an event, numbers within the Bundle, signed (README, 2024)."""
    ehr = caller(clinic, bell, Gate(path="s3cret", signing_key=b"k"))
    event = {"id": "a-1", "eventNumber": "1", "focus": {"reference": "Appointment/a-1.A-2"}}
    status = {"resourceType": "SubscriptionStatus", "type": "event-notification", "notificationEvent": [event]}
    audit = {"resourceType": "AuditEvent", "id": "a-1"}
    entries = [{"resource": status}, {"resource": audit}]
    body = json.dumps({"resourceType": "Bundle", "type": "history", "entry": entries}).encode()
    proof = "sha256=" + hmac.new(b"k", body, hashlib.sha256).hexdigest()

    answered(ehr.post(HOOK, content=body, headers={"X-Hub-Signature": proof}))

    assert bell.rung == [(MAIN, ["Appointment/a-1.A-2"])]


def test_a_bundle_of_more_events_than_are_counted_asks_for_everything(ehr: TestClient, bell: Bell) -> None:
    answered(ehr.post(HOOK, content=notification(*(f"Task/{number}" for number in range(10_001)))))

    assert set(EVERYTHING) <= set(bell.rung[0][1])


def test_metrics_count_what_came_of_every_request(clinic: Clinic, bell: Bell) -> None:
    ehr = caller(clinic, bell, Gate(path="s3cret", header=("X-Key", "k")))
    key = {"X-Key": "k"}
    ehr.post(HOOK, content=notification("Task/1"), headers=key)
    ehr.put(f"{HOOK}/Task/1", headers=key)
    ehr.post(HOOK, content=r4("handshake"), headers=key)
    ehr.post(HOOK, content=r4("heartbeat"), headers=key)
    ehr.options(HOOK, headers={"WebHook-Request-Origin": "events.example"})
    ehr.post(HOOK, content=b"{}", headers=key)
    ehr.get(HOOK)
    ehr.post(HOOK, content=notification("Task/1"))
    ehr.post(HOOK, content=b" " * (MOST_BYTES + 1), headers=key)
    ehr.post("/hooks/main/wrong", headers=key)
    ehr.post("/hooks/nobody/wrong", headers=key)
    bell.broken = True
    ehr.post(HOOK, headers=key)

    text = ehr.get("/metrics").text

    for outcome, number in (
        ("event", 2),
        ("handshake", 1),
        ("heartbeat", 1),
        ("status", 0),
        ("question", 1),
        ("unreadable", 2),
        ("unauthorized", 1),
        ("too-large", 1),
        ("no-such-hook", 1),
        ("not-kept", 1),
    ):
        assert f'bridge_notifications_total{{connection="{MAIN}",outcome="{outcome}"}} {number}.0' in text
    assert "nobody" not in text
