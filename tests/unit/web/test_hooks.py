"""Where EHRs ring: who may, what is kept, and how each form is answered."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from bridge.fhir.notification import Notification
from bridge.sync.line import READ_ORDER
from bridge.sync.notify import NotKept
from bridge.web.app import create_app
from bridge.web.gate import Gate
from bridge.web.hooks import MOST_AT_ONCE, MOST_BYTES
from tests.unit.web.builders import MAIN, Clinic

HOOK = f"/hooks/{MAIN}/s3cret"


@dataclass
class Bell:
    """Remembers what was rung and said; ``broken`` makes it fail as a locked database does."""

    rung: list[tuple[str, list[str]]] = field(default_factory=list)
    said: list[Notification] = field(default_factory=list)
    broken: bool = False

    def ring(self, connection: str, refs: Sequence[str], said: Notification) -> Future[None]:
        kept: Future[None] = Future()
        if self.broken:
            kept.set_exception(NotKept("the database is locked"))
            return kept
        self.said.append(said)
        if refs:
            self.rung.append((connection, list(refs)))
        kept.set_result(None)
        return kept


@pytest.fixture
def bell() -> Bell:
    return Bell()


def caller(clinic: Clinic, bell: Bell, gate: Gate) -> TestClient:
    context = clinic.context(gates={MAIN: gate}, ring=bell.ring)
    return TestClient(create_app(context), raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def ehr(clinic: Clinic, bell: Bell) -> Iterator[TestClient]:
    """An EHR that knows the address."""
    return caller(clinic, bell, Gate(path="s3cret"))


def notification(*foci: str, kind: str = "event-notification") -> bytes:
    status = {
        "resourceType": "SubscriptionStatus",
        "type": kind,
        "status": "active",
        "subscription": {"reference": "Subscription/1"},
        "notificationEvent": [{"eventNumber": "1", "focus": {"reference": ref}} for ref in foci],
    }
    return json.dumps({"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}]}).encode()


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Check that the answer is a refusal as FHIR knows it, and return its issue."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/fhir+json"
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome["issue"][0]  # type: ignore[no-any-return]


def test_a_topic_notification_is_kept_and_answered_with_no_content(ehr: TestClient, bell: Bell) -> None:
    answer = ehr.post(HOOK, content=notification("Task/1", "ServiceRequest/2"))

    assert (answer.status_code, answer.content) == (204, b"")
    assert bell.rung == [(MAIN, ["Task/1", "ServiceRequest/2"])]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_a_classic_hook_names_its_resource_in_the_path(ehr: TestClient, bell: Bell, method: str) -> None:
    """HAPI puts and deletes; what is in the body is not looked at."""
    body = b'{"resourceType":"Task","id":"other"}' if method == "PUT" else b""

    answer = ehr.request(method, f"{HOOK}/Task/1", content=body)

    assert answer.status_code == 204
    assert bell.rung == [(MAIN, ["Task/1"])]


def test_an_empty_post_asks_for_everything(ehr: TestClient, bell: Bell) -> None:
    assert ehr.post(HOOK).status_code == 204
    assert bell.rung == [(MAIN, list(READ_ORDER))]


def test_an_empty_post_may_come_as_a_form(ehr: TestClient, bell: Bell) -> None:
    """As HAPI 8.0.0 sends it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}

    assert ehr.post(f"{HOOK}/Task", headers=headers, content=b"").status_code == 204
    assert bell.rung == [(MAIN, ["Task"])]


def test_a_post_to_a_type_asks_for_that_type(ehr: TestClient, bell: Bell) -> None:
    assert ehr.post(f"{HOOK}/Appointment").status_code == 204
    assert bell.rung == [(MAIN, ["Appointment"])]


@pytest.mark.parametrize("kind", ["handshake", "heartbeat"])
def test_handshake_and_heartbeat_are_answered_and_ask_for_nothing(ehr: TestClient, bell: Bell, kind: str) -> None:
    assert ehr.post(HOOK, content=notification(kind=kind)).status_code == 204
    assert bell.rung == []


def test_types_that_are_not_read_ask_for_nothing(ehr: TestClient, bell: Bell) -> None:
    assert ehr.post(HOOK, content=notification("Observation/1")).status_code == 204
    assert bell.rung == []


def test_a_resource_elsewhere_is_never_asked_for(ehr: TestClient, bell: Bell) -> None:
    ehr.post(HOOK, content=notification("https://evil.example/fhir/Task/1"))

    assert bell.rung == [(MAIN, list(READ_ORDER))]


@pytest.mark.parametrize(
    "path", ["/hooks/main/wrong", "/hooks/main/-", "/hooks/other/s3cret", "/hooks/main/wrong/Task/1"]
)
def test_whoever_does_not_know_the_address_learns_nothing(ehr: TestClient, bell: Bell, path: str) -> None:
    issue = refused(ehr.post(path, content=notification("Task/1")), 404)

    assert issue["diagnostics"] == "there is no such hook"
    assert bell.rung == []


def test_a_connection_without_a_gate_takes_nothing(clinic: Clinic) -> None:
    refused(clinic.client().post("/hooks/main/-", content=b""), 404)


@pytest.mark.parametrize(
    ("headers", "status"), [({"X-Bridge-Key": "k"}, 204), ({"X-Bridge-Key": "no"}, 401), ({}, 401)]
)
def test_a_secret_header_is_asked_for(clinic: Clinic, bell: Bell, headers: dict[str, str], status: int) -> None:
    ehr = caller(clinic, bell, Gate(header=("X-Bridge-Key", "k")))

    assert ehr.post("/hooks/main/-", headers=headers).status_code == status
    assert bool(bell.rung) is (status == 204)


def signed(body: bytes, key: bytes = b"k", method: str = "sha256") -> str:
    return hmac.new(key, body, getattr(hashlib, method)).hexdigest()


@pytest.mark.parametrize(
    ("name", "prefix", "method"),
    [
        ("X-Hub-Signature", "sha256=", "sha256"),
        ("X-Hub-Signature", "sha512=", "sha512"),
        ("X-Hub-Signature-256", "sha256=", "sha256"),
        ("X-Signature", "", "sha256"),
    ],
)
def test_a_signature_over_the_raw_body_is_taken(
    clinic: Clinic, bell: Bell, name: str, prefix: str, method: str
) -> None:
    ehr = caller(clinic, bell, Gate(path="s3cret", signing_key=b"k"))
    body = notification("Task/1") + b"\n "

    assert ehr.post(HOOK, content=body, headers={name: prefix + signed(body, method=method)}).status_code == 204
    assert bell.rung == [(MAIN, ["Task/1"])]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Signature": signed(b"another body")},
        {"X-Signature": signed(notification("Task/1"), b"another key")},
        {"X-Hub-Signature": "sha1=" + signed(notification("Task/1"), method="sha1")},
        {"X-Hub-Signature": "md5=" + signed(notification("Task/1"), method="md5")},
        {"X-Signature": ""},
        {"X-Signature": "sha256="},
    ],
)
def test_a_missing_weak_or_wrong_signature_is_refused(clinic: Clinic, bell: Bell, headers: dict[str, str]) -> None:
    ehr = caller(clinic, bell, Gate(path="s3cret", signing_key=b"k"))

    refused(ehr.post(HOOK, content=notification("Task/1"), headers=headers), 401)

    assert bell.rung == []


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"resourceType":"Bundle","type":"message"}', b"<Bundle/>"])
def test_what_cannot_be_read_is_refused_with_an_outcome(ehr: TestClient, bell: Bell, body: bytes) -> None:
    assert refused(ehr.post(HOOK, content=body), 400)["code"] == "invalid"
    assert bell.rung == []


@pytest.mark.parametrize(("method", "path"), [("PUT", ""), ("DELETE", ""), ("PUT", "/Task/../x"), ("POST", "/x/y/z")])
def test_paths_that_name_no_resource_are_refused(ehr: TestClient, bell: Bell, method: str, path: str) -> None:
    assert ehr.request(method, HOOK + path).status_code in (400, 404)
    assert bell.rung == []


def test_what_is_too_large_is_refused(ehr: TestClient, bell: Bell) -> None:
    refused(ehr.post(HOOK, content=b" " * (MOST_BYTES + 1)), 413)

    assert bell.rung == []


def test_what_cannot_be_made_durable_is_to_be_sent_again(ehr: TestClient, bell: Bell) -> None:
    bell.broken = True

    answer = ehr.post(HOOK, content=notification("Task/1"))

    assert refused(answer, 503)["code"] == "transient"
    assert answer.headers["retry-after"] == "5"


def test_nothing_is_answered_before_it_is_durable(clinic: Clinic) -> None:
    kept: Future[None] = Future()
    rung = threading.Event()

    def ring(*_: object) -> Future[None]:
        rung.set()
        return kept

    context = clinic.context(gates={MAIN: Gate(path="s3cret")}, ring=ring, patience_seconds=60)
    with TestClient(create_app(context)) as ehr, ThreadPoolExecutor(1) as sender:
        answer = sender.submit(ehr.post, HOOK, content=notification("Task/1"))
        rung.wait(60)
        early = answer.done()
        kept.set_result(None)

        assert not early
        assert answer.result(60).status_code == 204


def test_what_is_not_durable_in_time_is_to_be_sent_again(clinic: Clinic) -> None:
    context = clinic.context(gates={MAIN: Gate(path="s3cret")}, ring=lambda *_: Future(), patience_seconds=0.01)

    refused(TestClient(create_app(context)).post(HOOK, content=notification("Task/1")), 503)


def test_a_large_notification_is_read_like_a_small_one(clinic: Clinic, bell: Bell) -> None:
    """Its signature and its content are looked at in a thread."""
    ehr = caller(clinic, bell, Gate(path="s3cret", signing_key=b"k"))
    body = notification("Task/1") + b" " * MOST_AT_ONCE

    assert ehr.post(HOOK, content=body, headers={"X-Signature": signed(body)}).status_code == 204
    refused(ehr.post(HOOK, content=body, headers={"X-Signature": signed(b"another")}), 401)
    assert bell.rung == [(MAIN, ["Task/1"])]


def test_an_ehr_may_call_us_by_any_name(clinic: Clinic, bell: Bell) -> None:
    ehr = caller(clinic, bell, Gate(path="s3cret"))

    assert ehr.post(HOOK, headers={"Host": "bridge.hospital.example"}).status_code == 204


def test_a_gate_shows_no_secret(bell: Bell) -> None:
    shown = repr(Gate(path="s3cret", header=("X-Key", "s3cret"), signing_key=b"s3cret"))

    assert "s3cret" not in shown
