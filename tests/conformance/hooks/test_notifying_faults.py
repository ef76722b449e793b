"""Notifications as servers get them wrong, by the names of the faults and of the EHRs."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from conformance.simulator import ManualClock, Simulator, client_of

from .subscriber import Office, backport, classic, counter, told


def playing(vendor: str, clock: ManualClock) -> Office:
    simulator = Simulator(clock, vendor=vendor)
    return Office(simulator, clock, client_of(simulator))


def test_notifications_come_five_seconds_late(office: Office) -> None:
    office.simulator.add_fault("hook-late")
    office.subscribe(classic())
    office.change()

    assert office.passed(seconds=4.9) == []
    assert len(office.passed(seconds=0.1)) == 1


def test_a_hook_is_dropped_after_a_minute_and_the_subscription_says_active(office: Office) -> None:
    office.simulator.add_fault("hook-gives-up")
    id_ = office.subscribe(classic())
    office.subscriber.answers = None
    office.change()
    for _ in range(20):
        office.passed(seconds=5)
    office.subscriber.answers = 204

    assert office.passed(hours=1) == []
    assert office.status(id_) == "active"
    office.change("later")
    assert len(office.passed()) == 1


@pytest.mark.parametrize("becomes", ["error", "off"])
def test_giving_up_can_end_the_subscription(office: Office, becomes: str) -> None:
    office.simulator.add_fault(f"hook-gives-up=60,{becomes}")
    id_ = office.subscribe(classic())
    office.subscriber.answers = 503
    office.change()
    for _ in range(20):
        office.passed(seconds=5)

    assert office.status(id_) == becomes


@pytest.mark.parametrize(("fault", "arrive"), [("hook-lost", 0), ("hook-lost=3", 4)])
def test_notifications_are_lost(office: Office, fault: str, arrive: int) -> None:
    office.simulator.add_fault(fault)
    id_ = office.subscribe(classic())
    for number in range(6):
        office.change(f"t{number}")

    assert len(office.passed(hours=1)) == arrive
    assert office.status(id_) == "active"


def test_one_change_is_told_nineteen_times(office: Office) -> None:
    office.simulator.add_fault("hook-copies")
    office.subscribe(backport())
    office.change()

    rings = office.passed()

    assert len(rings) == 19
    assert len({ring.body for ring in rings}) == 1


def test_notifications_come_out_of_order(office: Office) -> None:
    office.simulator.add_fault("hook-shuffle=30")
    office.subscribe(backport())
    for number in range(8):
        office.change(f"t{number}")

    numbers = [counter(ring) for ring in office.passed(seconds=30)]

    assert sorted(numbers) == list(range(1, 9))
    assert numbers != sorted(numbers)


def test_a_dead_subscriber_holds_up_the_others(office: Office) -> None:
    office.simulator.add_fault("hook-blocked")
    office.subscribe(classic())
    office.subscribe(classic(endpoint="http://127.0.0.1:10/dead"))
    office.simulator.hooks.sender = lambda ring: None if ring.url.endswith("dead") else office.subscriber(ring)
    office.change("a")
    first = office.passed()
    office.change("b")

    waiting = [office.passed(seconds=5) for _ in range(10)]
    after = [office.passed(seconds=5) for _ in range(20)]

    assert len(first) == 1
    assert waiting == [[]] * 10
    assert sum(len(rings) for rings in after) == 1


@pytest.mark.parametrize(
    ("status", "body", "again"),
    [
        (200, b'{"resourceType":"OperationOutcome"}', True),
        (200, b"{}", True),
        (200, b"", True),
        (200, b'{"resourceType":"Bundle","type":"history"}', False),
        (204, b"", False),
    ],
)
def test_an_answer_that_is_no_bundle_brings_the_notification_again(
    office: Office, status: int, body: bytes, again: bool
) -> None:
    office.simulator.add_fault("hook-picky")
    office.subscribe(backport())
    office.subscriber.answers, office.subscriber.body = status, body
    office.change()

    rings = [ring for _ in range(16) for ring in office.passed(seconds=2)]

    assert len(rings) == (16 if again else 1)


def test_events_are_numbered_anew_in_each_bundle(office: Office) -> None:
    office.simulator.add_fault("counter-per-bundle")
    office.subscribe(backport(most=2))
    for number in range(5):
        office.change(f"t{number}")

    assert [counter(ring) for ring in office.passed()] == [2, 2, 1]


def test_the_counter_starts_again(office: Office) -> None:
    office.simulator.add_fault("counter-restarts=3")
    office.subscribe(backport())
    for number in range(5):
        office.change(f"t{number}")

    assert [counter(ring) for ring in office.passed()] == [1, 2, 3, 1, 2]


def test_every_event_has_the_same_number(office: Office) -> None:
    office.simulator.add_fault("counter-stuck")
    office.subscribe(backport())
    for number in range(3):
        office.change(f"t{number}")

    assert {counter(ring) for ring in office.passed()} == {1}


@pytest.mark.parametrize("becomes", ["error", "off"])
def test_a_subscription_fails_after_a_notification(office: Office, becomes: str) -> None:
    office.simulator.add_fault(f"subscription-fails=2,{becomes}")
    id_ = office.subscribe(backport())
    for number in range(4):
        office.change(f"t{number}")

    assert len(office.passed()) == 2
    assert office.status(id_) == becomes
    assert office.fhir.get(f"Subscription/{id_}/$status").status_code == 200


def test_a_subscription_is_deleted_by_the_server(office: Office) -> None:
    office.simulator.add_fault("subscription-fails=1,gone")
    id_ = office.subscribe(classic())
    office.change()
    office.passed()

    assert office.fhir.get(f"Subscription/{id_}").status_code == 410


def test_a_subscription_is_active_and_never_fires(office: Office) -> None:
    office.simulator.add_fault("subscription-silent")
    id_ = office.subscribe(backport(heartbeat=60))
    office.change()

    assert office.passed(hours=1) == []
    assert office.status(id_) == "active"


# EHRs


def test_hapi_is_active_after_seconds_and_tells_after_seconds(clock: ManualClock) -> None:
    office = playing("hapi", clock)
    id_ = office.subscribe(classic(payload="application/fhir+json"))
    before = office.status(id_)
    office.passed(seconds=3)
    office.change()

    early, late = office.passed(seconds=3.9), office.passed(seconds=3.1)

    assert (before, office.status(id_)) == ("requested", "active")
    assert (early, len(late)) == ([], 1)


def test_hapi_topics_never_fire_in_r4_and_have_their_own_form_in_r4b(clock: ManualClock) -> None:
    quiet, telling = playing("hapi", clock), playing("hapi", clock)
    telling.simulator.options.fhir_version = "4.3.0"
    for office in (quiet, telling):
        office.subscribe(backport("full-resource"))
        office.passed(seconds=3)
        office.change()

    (ring,) = telling.passed(seconds=8)
    first, second = json.loads(ring.body)["entry"]

    assert quiet.passed() == []
    assert not first["fullUrl"].startswith("urn:")
    assert second["fullUrl"] == "Task/t"
    assert "response" not in second
    assert "timestamp" not in told(ring)["notificationEvent"][0]


def test_hapi_has_no_operations_on_a_subscription(clock: ManualClock) -> None:
    office = playing("hapi", clock)
    id_ = office.subscribe(classic())
    resources = office.fhir.get("metadata").json()["rest"][0]["resource"]

    assert office.fhir.get(f"Subscription/{id_}/$status").status_code == 400
    assert all("operation" not in each for each in resources)


def test_athenahealth_signs_and_numbers_each_bundle_and_tells_ids_in_audit_events(clock: ManualClock) -> None:
    office = playing("athenahealth", clock)
    wanted = backport()
    wanted["channel"]["header"] = ["X-Hub-Secret: shared"]
    office.subscribe(wanted)
    office.change("a")
    office.change("b")

    first, second = office.passed()
    bundle = json.loads(first.body)
    event = told(first)["notificationEvent"][0]
    signature = hmac.new(b"shared", first.body, hashlib.sha256).hexdigest()

    assert told(first)["resourceType"] == "SubscriptionStatus"
    assert (counter(first), counter(second)) == (1, 1)
    assert bundle["entry"][1]["resource"]["resourceType"] == "AuditEvent"
    assert event["id"] == bundle["entry"][1]["resource"]["id"]
    assert first.headers["X-Hub-Signature"] == f"sha256={signature}"
    assert "X-Hub-Secret" not in first.headers
    assert first.timeout_seconds == 2


def test_athenahealth_tries_for_an_hour(clock: ManualClock) -> None:
    office = playing("athenahealth", clock)
    id_ = office.subscribe(backport())
    office.subscriber.answers = None
    office.change()
    tried = sum(len(office.passed(minutes=1)) for _ in range(90))

    assert 55 <= tried <= 62
    assert office.status(id_) == "active"


def test_medplum_posts_the_resource_signed_and_turns_off_after_four_attempts(clock: ManualClock) -> None:
    office = playing("medplum", clock)
    secret = {
        "url": "https://www.medplum.com/fhir/StructureDefinition/subscription-secret",
        "valueString": "shared",
    }
    id_ = office.subscribe({**classic(payload="application/fhir+json"), "extension": [secret]})
    office.change()
    (ring,) = office.passed()
    office.subscriber.answers = 500
    office.change("b")
    tried = sum(len(office.passed(seconds=5)) for _ in range(20))

    assert (ring.method, ring.url) == ("POST", "http://127.0.0.1:9/hooks")
    assert ring.headers["X-Signature"] == hmac.new(b"shared", ring.body, hashlib.sha256).hexdigest()
    assert tried == 4
    assert office.status(id_) == "off"


@pytest.mark.parametrize("vendor", ["epic", "oracle", "meditech", "eclinicalworks", "nextgen", "canvas", "azure"])
def test_others_have_no_subscriptions(vendor: str, clock: ManualClock) -> None:
    office = playing(vendor, clock)

    assert office.fhir.post("Subscription", json=classic()).status_code == 404


def test_what_is_switched_off_before_it_was_made_active_stays_off(clock: ManualClock) -> None:
    office = playing("hapi", clock)
    id_ = office.subscribe(classic())

    office.fhir.put(f"Subscription/{id_}", json={**classic(), "id": id_, "status": "off"}).raise_for_status()
    office.passed(seconds=10)

    assert office.status(id_) == "off"
