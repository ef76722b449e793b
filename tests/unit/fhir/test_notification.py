"""Every form in which servers tell that something changed, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SourceError
from bridge.fhir.hook import read_body, read_path
from bridge.fhir.notification import Event, Notification, NotificationKind, read_notification, read_status
from bridge.fhir.times import parse_instant

BASE = "https://ehr.example/fhir"
TOPIC = "https://ehr.example/topics/task"


def parameters(kind: str = "event-notification", *events: list[dict[str, Any]], count: object = "7") -> dict[str, Any]:
    """Return the status of the R4 form."""
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": f"{BASE}/Subscription/9"}},
            {"name": "topic", "valueCanonical": TOPIC},
            {"name": "status", "valueCode": "active"},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": count},
            *({"name": "notification-event", "part": parts} for parts in events),
        ],
    }


def event_parts(focus: str = f"{BASE}/Task/123", number: object = "7") -> list[dict[str, Any]]:
    return [
        {"name": "event-number", "valueString": number},
        {"name": "timestamp", "valueInstant": "2026-01-01T00:00:00Z"},
        {"name": "focus", "valueReference": {"reference": focus}},
    ]


def subscription_status(kind: str = "event-notification", **more: Any) -> dict[str, Any]:
    """Return the status of the R4B and R5 form."""
    return {
        "resourceType": "SubscriptionStatus",
        "status": "active",
        "type": kind,
        "eventsSinceSubscriptionStart": "3",
        "subscription": {"reference": "Subscription/9"},
        "topic": TOPIC,
        **more,
    }


def bundle(*resources: dict[str, Any], kind: str = "history", entries: tuple[dict[str, Any], ...] = ()) -> bytes:
    entry = [{"fullUrl": "urn:uuid:1", "resource": resource} for resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": [*entry, *entries]}).encode()


def read(*resources: dict[str, Any], **more: Any) -> Notification:
    return read_notification(bundle(*resources, **more), base_url=BASE)


def test_an_r4_notification_names_what_changed() -> None:
    said = read(parameters("event-notification", event_parts()))

    assert said == Notification(
        kind=NotificationKind.EVENT,
        subscription="9",
        topic=TOPIC,
        status="active",
        counter=7,
        events=(Event(7, None, parse_instant("2026-01-01T00:00:00Z"), "Task/123"),),
        foci=("Task/123",),
    )


@pytest.mark.parametrize("number", ["3", 3])
@pytest.mark.parametrize("kind", ["history", "subscription-notification"])
def test_a_subscription_status_says_the_same(number: object, kind: str) -> None:
    """R5, R4B, athenahealth's R4; HAPI writes numbers as strings."""
    event = {"id": "a1", "eventNumber": number, "focus": {"reference": "Task/5"}}

    said = read(subscription_status(notificationEvent=[event]), kind=kind)

    assert said.events == (Event(3, "a1", None, "Task/5"),)
    assert (said.foci, said.counter, said.subscription, said.complete) == (("Task/5",), 3, "9", True)


@pytest.mark.parametrize("kind", ["handshake", "heartbeat"])
@pytest.mark.parametrize("status", [parameters, subscription_status])
def test_handshake_and_heartbeat_name_nothing(kind: str, status: Any) -> None:
    said = read(status(kind))

    assert (said.kind, said.foci, said.complete) == (NotificationKind(kind), (), True)


def test_an_empty_notification_is_not_complete() -> None:
    """Content ``empty``: something changed, nobody says what."""
    said = read(parameters("event-notification", [{"name": "event-number", "valueString": "8"}]))

    assert (said.foci, said.complete) == ((), False)


def test_an_event_without_focus_among_others_is_not_complete() -> None:
    said = read(parameters("event-notification", event_parts(), [{"name": "event-number", "valueString": "8"}]))

    assert (said.foci, said.complete) == (("Task/123",), False)


def test_a_focus_named_by_identifier_alone_is_not_complete() -> None:
    event = {"eventNumber": "1", "focus": {"identifier": {"value": "A-1"}}}

    said = read(subscription_status(notificationEvent=[event]))

    assert (said.foci, said.complete, said.elsewhere) == ((), False, 0)


def test_timestamps_as_dates_and_doubled_types_are_taken() -> None:
    """HAPI builds of 2023 and 2024."""
    parts = [
        {"name": "event-number", "valueString": "1"},
        {"name": "timestamp", "valueDate": "2026-01-01"},
        {"name": "focus", "valueReference": {"reference": "Task/Task/7"}},
    ]

    said = read(parameters("event-notification", parts))

    assert (said.foci, said.events[0].at) == (("Task/7",), None)


def test_resources_and_deletions_are_named_by_their_entries() -> None:
    """Content ``full-resource``; a deletion has a request alone."""
    entries = (
        {"fullUrl": "c0ffee", "resource": {"resourceType": "Task", "id": "1", "status": "ready"}},
        {"request": {"method": "DELETE", "url": "Task/2"}},
        {"fullUrl": f"{BASE}/Task/3"},
        {"fullUrl": "urn:uuid:4"},
    )

    said = read(parameters("event-notification"), entries=entries)

    assert (said.foci, said.complete) == (("Task/1", "Task/2", "Task/3"), True)


def test_a_resource_named_twice_is_read_once() -> None:
    entry = {"request": {"method": "PUT", "url": "Task/123"}}

    assert read(parameters("event-notification", event_parts()), entries=(entry,)).foci == ("Task/123",)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://ehr.example.evil/fhir/Task/1",
        "https://evil.example/fhir/Task/1",
        "http://ehr.example/fhir/Task/1",
        "https://ehr.example/other/Task/1",
        "https://ehr.example@evil.example/fhir/Task/1",
        "https://ehr.example/fhir/../admin/Task/1",
    ],
)
def test_what_is_not_at_our_base_is_counted_and_never_named(elsewhere: str) -> None:
    said = read(parameters("event-notification", event_parts(elsewhere)))

    assert (said.foci, said.elsewhere, said.complete) == ((), 1, False)


def test_the_status_may_stand_anywhere() -> None:
    task = {"resourceType": "Task", "id": "1"}

    assert read(task, parameters("event-notification", event_parts())).foci == ("Task/123", "Task/1")


def test_a_subscription_named_by_identifier_is_known_by_it() -> None:
    status = subscription_status(subscription={"identifier": {"system": "urn:x", "value": "77"}})

    assert read(status).subscription == "77"


def test_errors_come_as_codes_alone() -> None:
    error = {"coding": [{"code": "no-response"}, {"code": "Ada Lovelace was not there"}], "text": "Ada"}

    assert read(subscription_status(error=[error])).errors == ("no-response",)


def test_bundles_of_changed_resources_name_them() -> None:
    """HAPI with ``payload-search-criteria``."""
    assert read({"resourceType": "Task", "id": "1"}, kind="transaction").foci == ("Task/1",)


@pytest.mark.parametrize("around", ["Bundle", "AuditEvent", "Provenance", "OperationOutcome"])
def test_what_only_wraps_a_change_does_not_name_it(around: str) -> None:
    """A Bundle within a Bundle, or a record of who changed something: what that was is not known."""
    said = read(subscription_status(), {"resourceType": around, "id": "1"})

    assert not said.complete
    assert not read({"resourceType": around, "id": "1"}, kind="collection").complete


@pytest.mark.parametrize("around", ["AuditEvent", "Provenance", "OperationOutcome"])
def test_what_only_tells_of_a_change_does_not_name_it_when_it_comes_alone(around: str) -> None:
    """Answered and read after nowhere, it would be dropped without a word."""
    assert not read_body(json.dumps({"resourceType": around, "id": "1"}).encode(), base_url=BASE).complete


@pytest.mark.parametrize(
    ("event", "foci", "complete"),
    [
        ({"eventNumber": 1, "focus": {"reference": "Task/7"}}, ("Task/7",), True),
        ({"eventNumber": 1}, (), False),
    ],
)
def test_aidbox_has_a_status_of_its_own(event: dict[str, Any], foci: tuple[str, ...], complete: bool) -> None:
    """It sends again until it is answered well (its documentation, 2026), so a refusal would hold all others up."""
    status = {"status": "active", "topic": "http://ehr.example/topics/task", "notificationEvent": [event]}
    said = read({"resourceType": "AidboxSubscriptionStatus", "id": "s", "type": "event-notification", **status})

    assert (said.kind, said.foci, said.complete) == (NotificationKind.EVENT, foci, complete)
    heartbeat = read({"resourceType": "AidboxSubscriptionStatus", "status": "active", "type": "heartbeat"})
    assert heartbeat.kind is NotificationKind.HEARTBEAT


def test_parameters_of_something_else_are_no_status() -> None:
    """A message has Parameters too (FHIR R4 messaging.html); its resources are not what changed."""
    operation = {"resourceType": "Parameters", "id": "p", "parameter": [{"name": "type", "valueCode": "query"}]}

    with pytest.raises(SourceError):
        read({"resourceType": "MessageHeader", "id": "m"}, operation, kind="message")
    assert read(operation, {"resourceType": "Task", "id": "1"}).foci == ("Parameters/p", "Task/1")


def test_a_status_may_come_alone() -> None:
    body = json.dumps(parameters("event-notification", event_parts())).encode()

    assert read_body(body, base_url=BASE) == read(parameters("event-notification", event_parts()))


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -1, "9" * 30, 1.5, True, None])
def test_a_number_that_no_counter_reaches_is_none(number: object) -> None:
    """A database keeps 64 bits; what it refuses would come back for ever."""
    event = {"eventNumber": number, "focus": {"reference": "Task/5"}}
    said = read(subscription_status(eventsSinceSubscriptionStart=number, notificationEvent=[event]))

    assert (said.counter, said.events[0].number, said.foci) == (None, None, ("Task/5",))


@pytest.mark.parametrize("key", ["x" * 200, "a\x00b", "Ada Lovelace", 7])
def test_a_key_that_cannot_be_kept_is_none(key: object) -> None:
    event = {"id": key, "eventNumber": "1", "focus": {"reference": "Task/5"}}

    assert read(subscription_status(notificationEvent=[event])).events[0].key is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"Bundle"',
        b"[" * 100_000,
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","type":"history","entry":[null, 1, {"resource": []}]}',
        bundle({"resourceType": "MessageHeader", "id": "1"}, kind="message"),
        bundle(parameters("gossip")),
        bundle({"resourceType": "Parameters"}),
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_notification_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(SourceError) as refused:
        read_notification(body, base_url=BASE)

    assert refused.value.code == "unreadable-notification"


def test_status_is_read_alone_and_in_a_searchset() -> None:
    alone = json.dumps(parameters("query-status")).encode()

    assert read_status(alone, base_url=BASE).kind is NotificationKind.STATUS
    assert read_status(bundle(parameters("query-status"), kind="searchset"), base_url=BASE).counter == 7


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("", None),
        ("/", None),
        ("/Task/1", "Task/1"),
        ("Task/1/", "Task/1"),
        ("Task/a-B.9/_history/3", "Task/a-B.9"),
        ("Task", "Task"),
        ("Task/Task/1", "Task/1"),
        ("/Task/Task/1/_history/2", "Task/1"),
        ("Task/Task", "Task/Task"),
    ],
)
def test_a_path_names_a_resource_a_type_or_nothing(path: str, named: str | None) -> None:
    assert read_path(path) == named


@pytest.mark.parametrize("path", ["task/1", "Task/1/2", "Task/../Patient/1", "Task/" + "x" * 65, "Task/1?x", "Task//1"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(SourceError):
        read_path(path)


def test_a_post_may_be_empty_or_the_resource_itself() -> None:
    assert not read_body(b" \n", base_url=BASE).complete
    assert read_body(b'{"resourceType":"Task","id":"1"}', base_url=BASE).foci == ("Task/1",)
    assert read_body(bundle(subscription_status("handshake")), base_url=BASE).kind is NotificationKind.HANDSHAKE


_NAMES = (
    "resourceType entry resource parameter name part focus reference request url notificationEvent valueReference "
    "subscription type error coding identifier"
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["Parameters", "Task/1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES.split()), inner, max_size=4),
    max_leaves=20,
)


@given(_json, st.sampled_from(["Parameters", "SubscriptionStatus"]))
def test_whatever_comes_is_read_or_refused(value: object, status: str) -> None:
    resource = {**(value if isinstance(value, dict) else {"parameter": value}), "resourceType": status}
    try:
        said = read_notification(bundle(resource), base_url=BASE)
    except SourceError:
        return
    assert all("/" in ref for ref in said.foci)
