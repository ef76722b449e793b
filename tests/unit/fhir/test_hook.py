"""What clouds send in envelopes of their own, and what comes around a body."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from typing import Any

import pytest

from bridge.errors import SourceError
from bridge.fhir.events import validation_code
from bridge.fhir.hook import TooLarge, UnknownEncoding, named_by_headers, plain_body, read_body
from bridge.fhir.notification import Notification, NotificationKind

AZURE = "https://clinic.fhir.azurehealthcareapis.com"
STORE = "projects/p/locations/l/datasets/d/fhirStores/s"
GOOGLE = f"https://healthcare.googleapis.com/v1/{STORE}/fhir"


def read(document: object, base_url: str = AZURE) -> Notification:
    return read_body(json.dumps(document).encode(), base_url=base_url)


def event_grid(own_id: str = "7", account: str = "clinic", kind: str = "Task") -> dict[str, Any]:
    host = f"{account}.fhir.azurehealthcareapis.com"
    data = {"resourceType": kind, "resourceFhirAccount": host, "resourceFhirId": own_id, "resourceVersionId": 2}
    return {
        "id": "e1",
        "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.HealthcareApis/workspaces/w",
        "subject": f"{host}/{kind}/{own_id}",
        "data": data,
        "eventType": "Microsoft.HealthcareApis.FhirResourceUpdated",
        "eventTime": "2026-01-01T00:00:00Z",
    }


def cloud_event(data: object, **more: object) -> dict[str, Any]:
    return {"id": "c1", "source": "/ehr", "specversion": "1.0", "type": "changed", "data": data, **more}


def pushed(data: bytes) -> dict[str, Any]:
    message = {"attributes": {"action": "UpdateResource"}, "data": b64encode(data).decode(), "messageId": "1"}
    return {"message": message, "subscription": "projects/p/subscriptions/bridge"}


@pytest.mark.parametrize(
    "document",
    [
        [event_grid()],
        event_grid(),
        cloud_event(event_grid()["data"]),
        [cloud_event(event_grid()["data"])],
        event_grid()["data"],
    ],
)
def test_azure_names_a_resource_in_any_of_its_schemas(document: object) -> None:
    """Event Grid's own, CloudEvents structured, batched and binary (where the data stands alone)."""
    said = read(document)

    assert (said.kind, said.foci, said.complete) == (NotificationKind.EVENT, ("Task/7",), True)


def test_events_of_an_array_are_read_together() -> None:
    said = read([event_grid("1"), event_grid("2"), event_grid("1")])

    assert (said.foci, said.complete) == (("Task/1", "Task/2"), True)


@pytest.mark.parametrize("other", [event_grid(account="elsewhere"), cloud_event({"a": 1}), "x", None])
def test_an_event_about_nothing_here_leaves_an_array_incomplete(other: object) -> None:
    said = read([event_grid("1"), other])

    assert (said.foci, said.complete) == (("Task/1",), False)


def test_an_account_elsewhere_is_counted_and_never_named() -> None:
    said = read(event_grid(account="elsewhere"))

    assert (said.foci, said.elsewhere, said.complete) == ((), 1, False)


@pytest.mark.parametrize("base64", [False, True])
def test_a_cloud_event_may_carry_a_resource_or_a_notification(base64: bool) -> None:
    status = {"resourceType": "SubscriptionStatus", "type": "heartbeat", "status": "active"}
    for data, kind, foci in (
        ({"resourceType": "Task", "id": "1"}, NotificationKind.EVENT, ("Task/1",)),
        (
            {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}]},
            NotificationKind.HEARTBEAT,
            (),
        ),
    ):
        wrapped = {"data_base64": b64encode(json.dumps(data).encode()).decode()} if base64 else {}

        said = read(cloud_event(None if base64 else data, **wrapped))

        assert (said.kind, said.foci) == (kind, foci)


@pytest.mark.parametrize("body", [f"{STORE}/fhir/Task/7", f"{STORE}/fhir/Task/7/_history/2"])
def test_google_names_a_resource_in_an_envelope_or_without(body: str) -> None:
    wrapped = read(pushed(body.encode()), GOOGLE)
    alone = read_body(body.encode(), base_url=GOOGLE)

    assert wrapped == alone
    assert (alone.foci, alone.complete) == (("Task/7",), True)


def test_google_may_send_the_resource_itself() -> None:
    assert read(pushed(b'{"resourceType":"Task","id":"7"}'), GOOGLE).foci == ("Task/7",)


@pytest.mark.parametrize("base_url", [AZURE, GOOGLE.replace("/s/fhir", "/other/fhir")])
def test_another_store_is_counted_and_never_named(base_url: str) -> None:
    said = read(pushed(f"{STORE}/fhir/Task/7".encode()), base_url)

    assert (said.foci, said.elsewhere, said.complete) == ((), 1, False)


@pytest.mark.parametrize(
    "document",
    [
        [],
        [1, None],
        [cloud_event({"a": 1}), cloud_event("x")],
        cloud_event({"resourceType": "Task"}),
        cloud_event(None),
        cloud_event(None, data_base64="%%%"),
        pushed(b"gone"),
        {"message": {"data": 1}, "subscription": "s"},
        {"eventType": "Microsoft.Storage.BlobCreated", "data": {"url": "https://x.example"}},
        {"resourceType": "Task", "resourceFhirId": "1"},
        {"Type": "Notification", "Message": "{}"},
    ],
)
def test_what_names_no_resource_is_refused(document: object) -> None:
    with pytest.raises(SourceError):
        read(document)


def test_event_grid_gets_its_code_back() -> None:
    question = {
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "512d38b6-c7b8"},
    }

    assert validation_code([question]) == "512d38b6-c7b8"
    assert validation_code([{**question, "data": {"validationCode": "<script>"}}]) is None
    assert validation_code([event_grid()]) is None
    assert validation_code({}) is None


def test_a_compressed_body_is_opened_as_far_as_it_may_be() -> None:
    body = b"x" * 1000

    assert plain_body(gzip.compress(body), "gzip", 1000) == body
    assert plain_body(body, "identity", 1000) == body
    with pytest.raises(TooLarge):
        plain_body(gzip.compress(body), "x-gzip", 999)
    with pytest.raises(UnknownEncoding):
        plain_body(body, "br", 1000)


@pytest.mark.parametrize("body", [b"", b"{}", gzip.compress(b"x" * 1000, mtime=0)[:-9]])
def test_a_damaged_body_is_refused(body: bytes) -> None:
    with pytest.raises(SourceError):
        plain_body(body, "gzip", 1000)


def test_a_deletion_may_stand_in_a_header_alone() -> None:
    assert named_by_headers({"x-medplum-deleted-resource": "Task/1"}) == "Task/1"
    assert named_by_headers({}) is None
    with pytest.raises(SourceError):
        named_by_headers({"x-medplum-deleted-resource": "Task"})
