"""What the simulated EHR sends and declares, as Bridge's own readers read it: neither knows the other's code."""

from __future__ import annotations

import pytest

from bridge.fhir.capability import parse_capability
from bridge.fhir.notification import NotificationKind, read_notification, read_status
from conformance.simulator import VENDORS, ManualClock, Ring, Simulator, client_of

from .hooks.subscriber import Office, backport, native
from .plain import Json

BASE = "http://ehr.example/fhir"
FORMS = [
    ("generic", "4.0.1"),
    ("generic", "4.3.0"),
    ("generic", "5.0.0"),
    ("hapi", "4.3.0"),
    ("hapi", "5.0.0"),
    ("athenahealth", "4.0.1"),
]


def subscribed(vendor: str, version: str, clock: ManualClock, content: str) -> tuple[Office, str]:
    simulator = Simulator(clock, vendor=vendor)
    simulator.options.fhir_version = version
    office = Office(simulator, clock, client_of(simulator))
    wanted: Json = native(content=content) if version == "5.0.0" else backport(content)
    id_ = office.subscribe(wanted)
    office.passed(seconds=10)
    return office, id_


def event(office: Office) -> Ring:
    office.change()
    (ring,) = office.passed(seconds=10)
    return ring


@pytest.mark.parametrize(("vendor", "version"), FORMS)
@pytest.mark.parametrize("content", ["id-only", "full-resource"])
def test_bridge_reads_the_resource_to_read_again(clock: ManualClock, vendor: str, version: str, content: str) -> None:
    office, _ = subscribed(vendor, version, clock, content)

    read = read_notification(event(office).body, base_url=BASE)

    assert read.kind is NotificationKind.EVENT
    assert "Task/t" in read.foci
    assert read.complete
    assert read.counter == 1


@pytest.mark.parametrize(("vendor", "version"), FORMS)
def test_bridge_takes_an_empty_notification_for_a_reason_to_poll(clock: ManualClock, vendor: str, version: str) -> None:
    office, _ = subscribed(vendor, version, clock, "empty")

    assert not read_notification(event(office).body, base_url=BASE).complete


@pytest.mark.parametrize(("vendor", "version"), FORMS)
def test_bridge_reads_status_and_events(clock: ManualClock, vendor: str, version: str) -> None:
    office, id_ = subscribed(vendor, version, clock, "id-only")
    office.simulator.options.hooks.operations = True
    event(office)

    status = read_status(office.fhir.get(f"Subscription/{id_}/$status").content, base_url=BASE)
    events = read_notification(office.fhir.get(f"Subscription/{id_}/$events").content, base_url=BASE)

    assert (status.kind, status.status, status.counter) == (NotificationKind.STATUS, "active", 1)
    assert events.kind is NotificationKind.EVENTS
    assert "Task/t" in events.foci


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_bridge_reads_what_each_ehr_declares(clock: ManualClock, vendor: str) -> None:
    simulator = Simulator(clock, vendor=vendor)
    with client_of(simulator) as fhir:
        declared = parse_capability(fhir.get("metadata").content)

    surface = VENDORS[vendor].surface
    assert declared.family == "R4"
    if surface is not None:
        assert declared.types.keys() == surface.types.keys()
        for type_, shown in surface.types.items():
            assert declared.of(type_).interactions == shown.interactions
