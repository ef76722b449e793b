"""People: read once, shown by name; what cannot be read is tried again later and holds nothing up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bridge.cases.model import Case
from bridge.sync.people import TRY_AGAIN, PeopleReport
from tests.unit.sync.world import START, World, a_task, order, patient, visit

ROOT = "ServiceRequest/o1"
HOUSE = {"resourceType": "Practitioner", "id": "house", "name": [{"text": "Gregory House"}]}


def a_world(*resources: dict[str, Any]) -> World:
    """Return an EHR with an order and more, all of it read by Bridge."""
    world = World()
    for resource in (order(), *resources):
        world.ehr.put(resource)
    world.bridge.read()
    return world


def patient_of(case: Case) -> tuple[str | None, str | None]:
    """Return the name and language that a case shows for its patient."""
    assert case.patient is not None
    return case.patient.display, case.patient.language


def test_a_patient_reaches_the_case_by_name_identifier_and_language() -> None:
    language = [{"language": {"coding": [{"code": "pt"}]}, "preferred": True}]
    world = a_world(patient() | {"communication": language, "telecom": [{"system": "email", "rank": 1}]})
    assert patient_of(world.case(ROOT)) == (None, None)

    report = world.bridge.name_people()

    case = world.case(ROOT)
    assert (report.read, report.unreadable) == (1, 1), "the patient, and a requester who is not there"
    assert patient_of(case) == ("Pat Example", "pt")
    assert case.patient is not None
    assert [identifier.value for identifier in case.patient.identifiers] == ["p1"]
    assert case.patient.contact_preference == "email"


def test_a_requester_and_an_owner_named_by_reference_only_get_their_names() -> None:
    world = World()
    heart = {"resourceType": "Organization", "id": "heart", "name": "Heart centre"}
    for resource in (HOUSE, heart, patient(), order(requester={"reference": "Practitioner/house"})):
        world.ehr.put(resource)
    world.ehr.put(a_task(owner={"reference": "Organization/heart"}))

    world.bridge.read()
    world.bridge.name_people()

    case = world.case(ROOT)
    assert case.requester is not None
    assert (case.requester.display, case.owner.display) == ("Gregory House", "Heart centre")


def test_everybody_is_read_once() -> None:
    world = a_world(patient(), HOUSE)
    assert world.bridge.name_people().read == 2

    world.ehr.put(visit())
    world.bridge.read()

    assert world.bridge.name_people() == PeopleReport()


def test_who_cannot_be_read_is_tried_again_hours_later() -> None:
    world = a_world()
    assert world.bridge.name_people().unreadable == 2
    assert world.bridge.name_people() == PeopleReport()

    world.ehr.put(patient())
    world.clock.advance(hours=TRY_AGAIN / timedelta(hours=1))

    assert world.bridge.name_people().read == 1
    assert patient_of(world.case(ROOT))[0] == "Pat Example"


def test_a_case_that_opens_after_its_patient_was_read_knows_the_name_at_once() -> None:
    world = a_world(patient())
    world.bridge.name_people()

    world.ehr.put(order("o2"))
    world.bridge.read()

    assert patient_of(world.case("ServiceRequest/o2"))[0] == "Pat Example"


def test_a_merged_patient_shows_with_what_the_record_says() -> None:
    world = a_world(patient() | {"deceasedDateTime": "2026-05-30"})

    world.bridge.name_people()

    case = world.case(ROOT)
    assert case.patient is not None
    assert case.patient.deceased


def test_naming_people_moves_nothing_else() -> None:
    world = a_world(patient(), HOUSE)
    before = world.case(ROOT)

    world.bridge.name_people()

    after = world.case(ROOT)
    assert (after.status, after.due_at, after.owner, after.opened_at) == (
        before.status,
        before.due_at,
        before.owner,
        before.opened_at,
    )
    assert after.version == before.version + 1


@pytest.mark.parametrize("many", [101, 230])
def test_many_people_are_read_in_batches(many: int) -> None:
    world = World()
    for number in range(many):
        world.ehr.put(patient(f"p{number}"))
        world.ehr.put(order(f"o{number}", subject={"reference": f"Patient/p{number}"}, requester={"display": "Dr"}))
    world.clock.advance(minutes=10)
    assert world.clock() > START

    world.bridge.read()

    assert world.bridge.name_people().read == many


def test_a_case_that_was_over_when_first_seen_is_not_told_of_when_its_patient_gets_a_name() -> None:
    """It is not put before the clinic as news; one that Bridge saw open is kept right."""
    world = World()
    for resource in (patient(), order(status="completed"), a_task(), order("o2")):
        world.ehr.put(resource)

    world.sync()

    assert patient_of(world.case(ROOT)) == ("Pat Example", None)
    assert {row.intent.case_id for row in world.outbox()} == {world.case("ServiceRequest/o2").id}
    assert len(world.ours("Task", "urn:bridge:case")) == 1


def test_a_case_that_was_over_when_first_seen_is_told_of_once_it_is_work_again() -> None:
    world = World()
    for resource in (patient(), order(status="completed"), a_task()):
        world.ehr.put(resource)
    world.sync()

    world.ehr.put(order())
    world.sync()

    assert world.task(ROOT)["status"] == "ready"


def test_a_patient_whom_the_ehr_closes_to_us_keeps_no_others_from_their_names() -> None:
    world = World()
    for number in (1, 2, 3):
        world.ehr.put(patient(f"p{number}"))
        world.ehr.put(order(f"o{number}", subject={"reference": f"Patient/p{number}"}))
    world.bridge.read()
    world.forbidden.add("Patient/p2")

    world.bridge.name_people()

    names = [patient_of(world.case(f"ServiceRequest/o{number}"))[0] for number in (1, 2, 3)]
    assert names == ["Pat Example", None, "Pat Example"]
