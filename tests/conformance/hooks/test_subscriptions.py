"""Subscriptions by the book: what is accepted, what is sent, what is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..plain import Json
from .subscriber import BACKPORT, TOPIC, Office, backport, classic, counter, native, told


def test_classic_hook_without_a_payload_is_an_empty_post(office: Office) -> None:
    id_ = office.subscribe(classic(header=["X-Secret: s"]))
    office.change()

    (ring,) = office.passed()

    assert office.status(id_) == "active"
    assert (ring.method, ring.url, ring.body) == ("POST", "http://127.0.0.1:9/hooks", b"")
    assert ring.headers["X-Secret"] == "s"


def test_classic_hook_with_a_payload_puts_the_resource_below_the_endpoint(office: Office) -> None:
    office.subscribe(classic(payload="application/fhir+json"))
    office.change(status="accepted")

    (ring,) = office.passed()

    assert (ring.method, ring.url) == ("PUT", "http://127.0.0.1:9/hooks/Task/t")
    assert json.loads(ring.body)["status"] == "accepted"
    assert ring.headers["If-Match"] == '"1"'


def test_classic_criteria_are_judged_on_the_new_content_and_deletions_are_not_told(office: Office) -> None:
    office.subscribe(classic("Task?status=requested"))

    office.change(status="requested")
    matching = office.passed()
    office.change(status="completed")
    leaving = office.passed()
    office.fhir.delete("Task/t")

    assert len(matching) == 1
    assert leaving == office.passed() == []


@pytest.mark.parametrize(
    ("version", "type_", "status"),
    [
        ("4.0.1", "history", "Parameters"),
        ("4.3.0", "history", "SubscriptionStatus"),
        ("5.0.0", "subscription-notification", "SubscriptionStatus"),
    ],
)
def test_topic_notification_has_the_form_of_its_version(office: Office, version: str, type_: str, status: str) -> None:
    office.simulator.options.fhir_version = version
    id_ = office.subscribe(native() if version == "5.0.0" else backport())
    office.change()

    (ring,) = office.passed()
    bundle = json.loads(ring.body)

    assert office.status(id_) == "active"
    assert (bundle["type"], told(ring)["resourceType"]) == (type_, status)
    assert bundle["entry"][0]["request"]["url"] == f"Subscription/{id_}/$status"
    assert bundle["entry"][1]["fullUrl"] == "http://ehr.example/fhir/Task/t"
    assert "resource" not in bundle["entry"][1]
    assert ring.headers["Authorization"] == "Bearer secret"
    assert counter(ring) == 1
    assert all("request" in entry and "response" in entry for entry in bundle["entry"])


@pytest.mark.parametrize(("content", "entries", "focus"), [("empty", 1, False), ("full-resource", 2, True)])
def test_content_decides_what_travels(office: Office, content: str, entries: int, focus: bool) -> None:
    office.subscribe(backport(content))
    office.change()

    (ring,) = office.passed()
    bundle = json.loads(ring.body)

    assert len(bundle["entry"]) == entries
    assert ("Task/t" in json.dumps(told(ring))) is focus
    assert ("resource" in bundle["entry"][-1]) is True


def test_topic_tells_of_a_deletion(office: Office) -> None:
    office.subscribe(backport("full-resource", filters=("Task?status=requested",)))
    office.change()
    office.passed()
    office.fhir.delete("Task/t")

    (ring,) = office.passed()

    assert json.loads(ring.body)["entry"][1]["request"] == {"method": "DELETE", "url": "Task/t"}


@pytest.mark.parametrize("text", ["Task?owner=Organization/o", "Task.owner=Organization/o", "owner=Organization/o"])
def test_filters_are_read_in_the_forms_of_the_field(office: Office, text: str) -> None:
    office.subscribe(backport(filters=(text,)))
    office.change("other")
    office.change("mine", owner={"reference": "Organization/o"})

    (ring,) = office.passed()

    assert "Task/mine" in ring.body.decode()


def test_events_wait_for_each_other_up_to_the_maximum(office: Office) -> None:
    office.subscribe(backport(most=3))
    for number in range(4):
        office.change(f"t{number}")

    assert [ring.events for ring in office.passed()] == [(1, 2, 3), (4,)]


def test_handshake_comes_first_and_a_refusal_is_an_error(office: Office) -> None:
    office.fhir.post("Subscription", json=backport())
    (handshake,) = office.passed()
    office.subscriber.answers = 500

    refused = office.subscribe(backport())

    assert (handshake.kind, counter(handshake)) == ("handshake", 0)
    assert office.status(refused) == "error"


def test_heartbeats_come_when_nothing_else_does(office: Office) -> None:
    office.subscribe(backport(heartbeat=60))

    quiet = [ring.kind for ring in office.passed(seconds=59)]
    beat = [ring.kind for ring in office.passed(seconds=1)]
    office.change()
    event = [ring.kind for ring in office.passed(seconds=30)]
    still = office.passed(seconds=59)

    assert (quiet, beat, event, still) == ([], ["heartbeat"], ["event-notification"], [])
    assert [ring.kind for ring in office.passed(seconds=1)] == ["heartbeat"]


def test_what_cannot_be_delivered_is_tried_again_and_then_is_an_error(office: Office) -> None:
    id_ = office.subscribe(classic())
    office.subscriber.answers = None
    office.change()

    attempts = sum(len(office.passed(seconds=5)) for _ in range(20))

    assert 10 <= attempts <= 14
    assert office.status(id_) == "error"
    office.change("later")
    assert office.passed() == []


def test_client_activates_a_subscription_in_error_again(office: Office) -> None:
    id_ = office.subscribe(classic())
    office.subscriber.answers = None
    office.change()
    for _ in range(20):
        office.passed(seconds=5)
    office.subscriber.answers = 204

    office.fhir.put(f"Subscription/{id_}", json={**classic(), "id": id_}).raise_for_status()
    office.passed()
    office.change("later")

    assert office.status(id_) == "active"
    assert len(office.passed()) == 1


def test_counting_goes_on_when_an_active_subscription_is_renewed(office: Office) -> None:
    id_ = office.subscribe(backport())
    office.change("a")
    office.passed()
    renewed = {**office.fhir.get(f"Subscription/{id_}").json(), "end": "2027-01-01T00:00:00Z"}

    office.fhir.put(f"Subscription/{id_}", json=renewed).raise_for_status()
    office.change("b")

    (ring,) = office.passed()
    assert counter(ring) == 2


def test_a_subscription_is_over_at_its_end(office: Office) -> None:
    id_ = office.subscribe({**classic(), "end": "2026-11-02T12:10:00Z"})
    office.clock.advance(minutes=10)
    office.change()

    assert office.passed() == []
    assert office.status(id_) == "off"


def test_a_deleted_or_switched_off_subscription_is_silent(office: Office) -> None:
    gone, off = office.subscribe(classic()), office.subscribe(classic())
    office.fhir.delete(f"Subscription/{gone}")
    office.fhir.put(f"Subscription/{off}", json={**classic(), "id": off, "status": "off"})
    office.change()

    assert office.passed() == []


def test_the_subscriber_may_read_while_it_is_told(office: Office) -> None:
    seen = []

    def reading(ring: Any) -> None:
        seen.append(office.fhir.get("Task/t").json()["status"])

    office.subscribe(classic())
    office.simulator.hooks.sender = reading
    office.change()
    office.passed()

    assert seen == ["requested"]


# Operations


def test_status_is_a_searchset_of_the_status(office: Office) -> None:
    id_ = office.subscribe(backport())
    office.change()
    office.passed()

    one = office.fhir.get(f"Subscription/{id_}/$status").json()
    every = office.fhir.post("Subscription/$status").json()

    (entry,) = one["entry"]
    values = {each["name"]: each for each in entry["resource"]["parameter"]}
    assert one["type"] == "searchset"
    assert values["type"]["valueCode"] == "query-status"
    assert values["events-since-subscription-start"]["valueString"] == "1"
    assert len(every["entry"]) == 1
    assert office.fhir.get("Subscription/none/$status").status_code == 404


def test_events_gives_what_was_missed(office: Office) -> None:
    id_ = office.subscribe(backport())
    for number in range(4):
        office.change(f"t{number}")
    asked = {"eventsSinceNumber": "2", "eventsUntilNumber": "3"}

    bundle = office.fhir.get(f"Subscription/{id_}/$events", params=asked).json()

    assert bundle["type"] == "history"
    assert [entry["fullUrl"].rpartition("/")[2] for entry in bundle["entry"][1:]] == ["t1", "t2"]


# What is refused


@pytest.mark.parametrize(
    "subscription",
    [
        classic("Tusk?"),
        classic("Task?unheard-of=x"),
        classic(type="websocket"),
        classic(endpoint="ftp://127.0.0.1/"),
        {**backport(), "criteria": "http://ehr.example/SubscriptionTopic/Tusk"},
        backport(filters=("Task?unheard-of=x",)),
        backport("everything"),
        native(content=None),
        native(channelType={"code": "email"}),
        {"resourceType": "Subscription", "status": "requested"},
    ],
)
def test_what_the_server_cannot_do_is_refused(office: Office, subscription: Json) -> None:
    answer = office.fhir.post("Subscription", json=subscription)

    assert answer.status_code == 422
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert office.simulator.all("Subscription") == []


def test_topics_are_declared(office: Office) -> None:
    resources = office.fhir.get("metadata").json()["rest"][0]["resource"]
    (declared,) = [each for each in resources if each["type"] == "Subscription"]

    assert TOPIC in [each["valueCanonical"] for each in declared["extension"]]
    assert {each["name"] for each in declared["operation"]} == {"status", "events"}
    assert BACKPORT
