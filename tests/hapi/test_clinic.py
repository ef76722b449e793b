"""
A clinic works on a real server with a client of its own; after each step Bridge does a round, and the clinic
finds in its own system where the work stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bridge.cases.commands import Close, LogOutreach
from bridge.cases.model import Case
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, Channel, ClosureReason, Status, Trigger
from bridge.demo import DAY, do_the_days_work
from bridge.tasks.identity import STATUS_SYSTEM
from bridge.web.app import create_app
from conformance.generator import Player, stories
from conformance.generator.stories import TEMPLATES
from tests.unit.cases.builders import SHIPPED

from .clinic import FULFILL, Clinic
from .launcher import RunningHapi
from .line import Ehr, Workplace, beside

SEED = 1
A_DAY_A_SECOND = 86_400.0
DESK = f'we_are = ["Organization/front-desk", "Organization/s{SEED}-clinic"]'
STAFF = """
[owners]
dana = { kind = "person", display = "Dana Whitfield" }
luis = { kind = "person", display = "Luis Ortega" }
maya = { kind = "person", display = "Maya Lindholm, RN", licensed = true }
"""


@dataclass(frozen=True)
class Site:
    """The clinic, Bridge beside it, and the server they share."""

    clinic: Clinic
    bridge: Workplace
    ehr: Ehr

    def after_a_round(self, root: str) -> Case:
        """Let Bridge do a round in which nothing is given up, and return the case of *root*."""
        report = self.bridge.sync()
        assert report["delivered"]["parked"] == 0, report["delivery_reasons"]
        return self.bridge.case(root)


@pytest.fixture(scope="module")
def site(hapi_running: RunningHapi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with hapi_running(referential_integrity=False) as server, beside(server) as ehr:
        ehr.put({"resourceType": "Organization", "id": "front-desk", "name": "Front desk"})
        workplace = Workplace(tmp_path_factory.mktemp("clinic"), server.base_url, connection=DESK, more=STAFF)
        yield Site(Clinic(server.base_url), workplace, ehr)


@pytest.fixture(scope="module")
def clinic(site: Site) -> Clinic:
    return site.clinic


def test_a_referral_from_the_order_to_the_report(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Alder")
    order = clinic.order(patient)
    asked = clinic.ask(patient, order)

    case = site.after_a_round(order)
    assert (case.status, case.lane) == (Status.NEW, "referral")
    assert case.patient is not None
    assert case.patient.display == "Ines Alder"
    assert case.owner.display == "Lakeside Cardiology"
    shown = clinic.progress(patient, order)
    assert (shown.status, shown.case_status) == ("ready", "new")
    assert clinic.messages(order) == []

    visit = clinic.book(patient, order)
    case = site.after_a_round(order)
    assert case.status is Status.SCHEDULED
    assert case.next_action is not None
    assert case.next_action.code is Action.CONFIRM_APPOINTMENT
    shown = clinic.progress(patient, order)
    assert (shown.status, shown.case_status) == ("in-progress", "scheduled")
    assert shown.words.startswith("Scheduled: ")
    (told,) = clinic.messages(order)
    assert "scheduled" in told

    clinic.change(visit, status="fulfilled")
    case = site.after_a_round(order)
    assert case.status is Status.WAITING_ON_DOCUMENTS
    assert clinic.progress(patient, order).case_status == "waiting-on-documents"
    assert len(clinic.messages(order)) == 2

    clinic.change(asked, status="completed")
    case = site.after_a_round(order)
    assert not case.is_open
    assert case.closure is not None
    assert case.closure.reason is ClosureReason.COMPLETED
    assert asked in case.closure.evidence
    shown = clinic.progress(patient, order)
    assert (shown.status, shown.case_status) == ("completed", "closed")
    assert shown.outcomes[0].startswith("completed")
    assert "completed" in clinic.messages(order)[-1]


def test_a_patient_who_does_not_come_is_called_and_booked_again(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Birch")
    order = clinic.order(patient)
    visit = clinic.book(patient, order, days=-1)
    assert site.after_a_round(order).status is Status.SCHEDULED

    clinic.change(visit, status="noshow")
    case = site.after_a_round(order)
    assert case.status is Status.NEEDS_OUTREACH
    assert case.next_action is not None
    assert case.next_action.code is Action.CALL_PATIENT
    assert clinic.progress(patient, order).case_status == "needs-outreach"

    site.bridge.act(order, LogOutreach(channel=Channel.VOICEMAIL, outcome=AttemptOutcome.LEFT_MESSAGE))
    case = site.after_a_round(order)
    assert case.status is Status.WAITING_ON_PATIENT
    assert clinic.progress(patient, order).case_status == "waiting-on-patient"
    (outreach,) = (one for one in clinic.search("Communication", based_on=order) if "medium" in one)
    assert outreach["recipient"][0]["reference"] == patient

    clinic.book(patient, order, days=5)
    assert site.after_a_round(order).status is Status.SCHEDULED
    assert clinic.progress(patient, order).case_status == "scheduled"


def test_a_visit_that_is_called_off_has_to_be_booked_anew(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Cedar")
    visit = clinic.book(patient)
    case = site.after_a_round(visit)
    assert (case.status, case.lane) == (Status.SCHEDULED, "appointment-readiness")

    clinic.change(visit, status="cancelled", cancelationReason={"text": "Provider is away"})
    case = site.after_a_round(visit)
    assert (case.status, case.lane) == (Status.NEEDS_OUTREACH, "missed-appointment")
    assert clinic.progress(patient, visit).case_status == "needs-outreach"


def test_what_holds_it_up_can_be_read_on_the_task(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Dogwood")
    order = clinic.order(patient)
    asked = clinic.ask(patient, order)
    site.after_a_round(order)

    clinic.change(asked, status="on-hold", statusReason={"text": "Waiting for records of the last visit"})
    case = site.after_a_round(order)
    assert case.status is Status.WAITING_ON_DOCUMENTS
    assert case.blocker is not None
    assert case.blocker.category is BlockerCategory.MISSING_DOCUMENTATION
    assert case.blocker.source == asked
    shown = clinic.progress(patient, order)
    assert shown.status == "on-hold"
    assert shown.reason is not None
    assert "records" in shown.reason
    assert "missing documentation" in clinic.messages(order)[-1]

    clinic.change(asked, status="in-progress", statusReason=None)
    case = site.after_a_round(order)
    assert case.blocker is None
    shown = clinic.progress(patient, order)
    assert (shown.status, shown.reason) == ("in-progress", None)


def test_a_task_that_is_linked_to_another_order_moves_there(site: Site, clinic: Clinic) -> None:
    """The first order goes on as a piece of work of its own; the Task now belongs to the second."""
    patient = clinic.patient("Elm")
    first, second = clinic.order(patient), clinic.order(patient, "Echocardiogram")
    asked = clinic.ask(patient, first)
    assert {line.ref for line in site.after_a_round(first).sources} == {first, asked}

    clinic.change(asked, focus={"reference": second})
    case = site.after_a_round(second)
    assert {line.ref for line in case.sources} == {second, asked}
    assert {line.ref for line in site.bridge.case(first).sources} == {first}
    assert clinic.progress(patient, first).status == "ready"
    assert clinic.progress(patient, second).status == "ready"


def test_a_task_that_turns_out_to_be_about_an_order_joins_its_case(site: Site, clinic: Clinic) -> None:
    """What people did stays; the Task of the case that is no more says so."""
    patient = clinic.patient("Fir")
    asked = clinic.ask(patient)
    site.after_a_round(asked)
    site.bridge.act(
        asked, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="attempt-before-joining"
    )
    site.after_a_round(asked)

    order = clinic.order(patient)
    clinic.change(asked, focus={"reference": order})
    case = site.after_a_round(order)
    joined = site.bridge.case(asked)
    assert {line.ref for line in case.sources} == {order, asked}
    assert [attempt.id for attempt in case.outreach] == ["attempt-before-joining"]
    assert joined.merged_into == case.id
    assert clinic.progress(patient, asked).status == "entered-in-error"
    assert clinic.progress(patient, order).status == "in-progress"
    attempts = [one for one in clinic.search("Communication", patient=patient) if "medium" in one]
    assert len(attempts) == 1, "the attempt was written once, although its case moved"


def test_an_order_entered_in_error_was_never_work(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Gum")
    order = clinic.order(patient)
    site.after_a_round(order)

    clinic.change(order, status="entered-in-error")
    case = site.after_a_round(order)
    assert case.closure is not None
    assert case.closure.reason is ClosureReason.ENTERED_IN_ERROR
    assert clinic.progress(patient, order).status == "entered-in-error"


def test_an_order_that_is_withdrawn_cancels_the_work(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Hazel")
    order = clinic.order(patient)
    site.after_a_round(order)

    clinic.change(order, status="revoked")
    case = site.after_a_round(order)
    assert case.closure is not None
    assert case.closure.reason is ClosureReason.CANCELLED_BY_REQUESTER
    shown = clinic.progress(patient, order)
    assert (shown.status, shown.case_status) == ("cancelled", "closed")


def test_what_was_deleted_and_comes_back_is_work_again(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Juniper")
    order = clinic.order(patient)
    site.after_a_round(order)
    standing = clinic.read(order)

    clinic.delete(order)
    case = site.after_a_round(order)
    assert case.closure is not None
    assert case.closure.outcome == "Deleted in the EHR"
    assert clinic.progress(patient, order).case_status == "closed"

    site.ehr.put({name: value for name, value in standing.items() if name != "meta"})
    case = site.after_a_round(order)
    assert (case.is_open, case.round) == (True, 2)
    assert sorted(life.status for life in clinic.shown(patient, order)) == ["cancelled", "ready"]


def test_a_prescription_that_waits_for_its_signature(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Kapok")
    drug = clinic.create(
        "MedicationRequest",
        status="draft",
        intent="order",
        subject={"reference": patient},
        requester={"reference": clinic.doctor},
        medicationCodeableConcept={"text": "Lisinopril 10 mg tablet"},
    )
    case = site.after_a_round(drug)
    assert (case.status, case.lane) == (Status.WAITING_ON_PROVIDER, "medication-refill")
    assert clinic.progress(patient, drug).status == "in-progress"

    clinic.change(drug, status="active")
    assert not site.after_a_round(drug).is_open
    assert clinic.progress(patient, drug).status == "completed"


def test_a_task_that_asks_us_is_moved_and_keeps_what_we_do_not_know(site: Site, clinic: Clinic) -> None:
    """Received when we know of it, in-progress when somebody acts, completed with what came of it."""
    patient = clinic.patient("Larch")
    order = clinic.order(patient)
    theirs: dict[str, Any] = {
        "extension": [
            {"url": "https://clinic.example/route", "valueCode": "fast"},
            {
                "url": "https://clinic.example/score",
                "extension": [{"url": "value", "valueDecimal": 1.50}, {"url": "unit", "valueString": "points"}],
            },
        ],
        "note": [{"text": "Prefers calls after 17:00"}],
        "input": [{"type": {"text": "Question"}, "valueString": "Which day suits?"}],
        "_description": {"extension": [{"url": "https://clinic.example/masked", "valueBoolean": True}]},
    }
    asked = clinic.ask(patient, order, owner={"reference": "Organization/front-desk"}, **theirs)
    kept = _unmoved(clinic.read(asked))

    case = site.after_a_round(order)
    assert case.status is Status.NEW
    assert clinic.read(asked)["status"] == "received"
    assert _unmoved(clinic.read(asked)) == kept

    reached = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.REACHED)
    site.bridge.act(order, reached, new_id="attempt-of-larch")
    site.after_a_round(order)
    assert clinic.read(asked)["status"] == "in-progress"
    assert _unmoved(clinic.read(asked)) == kept

    visited = clinic.create(
        "Encounter", status="finished", subject={"reference": patient}, **{"class": {"code": "AMB"}}
    )
    done = Close(reason=ClosureReason.COMPLETED, outcome="Seen on the 3rd", evidence=(visited, "Encounter/not-there"))
    site.bridge.act(order, done)
    site.after_a_round(order)
    finished = clinic.read(asked)
    assert finished["status"] == "completed"
    assert [one.get("valueString") or one["valueReference"]["reference"] for one in finished["output"]] == [
        "completed: Seen on the 3rd",
        visited,
        "Encounter/not-there",
    ]
    assert [("valueReference" in one) for one in finished["output"]] == [False, True, False]
    assert _unmoved(finished) == kept
    assert clinic.read(order)["meta"]["versionId"] == "1", "an order that we did not write is never changed"


def test_a_step_that_documents_are_missing_for_does_not_take_the_work_over(site: Site, clinic: Clinic) -> None:
    """A payer's request for documents blocks the order; once it is done, the order goes on."""
    patient = clinic.patient("Maple")
    order = clinic.order(patient)
    wanted = clinic.ask(patient, order, code={"text": "Attachments for a prior authorization"})
    case = site.after_a_round(order)
    assert case.blocker is not None
    assert clinic.progress(patient, order).status == "on-hold"

    clinic.change(wanted, status="completed", code=FULFILL | {"text": "Attachments for a prior authorization"})
    case = site.after_a_round(order)
    assert case.blocker is None


def test_the_clinic_finds_our_tasks_as_it_finds_its_own(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Nutmeg")
    order = clinic.order(patient, priority="urgent")
    case = site.after_a_round(order)

    by_status = clinic.search("Task", patient=patient, status="ready", priority="urgent")
    by_business_status = clinic.search("Task", patient=patient, business_status="urn:bridge:case-status|new")
    by_code = clinic.search("Task", patient=patient, code="http://hl7.org/fhir/CodeSystem/task-code|fulfill")

    (found,) = by_status
    assert [one["id"] for one in by_business_status] == [one["id"] for one in by_code] == [found["id"]]
    assert found["identifier"][0]["value"] == case.id


def test_a_patient_who_died_is_not_called_until_that_turns_out_to_be_an_error(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Olive")
    order = clinic.order(patient)
    before = site.after_a_round(order)
    site.bridge.act(order, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="attempt-olive")
    clinic.change(patient, deceasedBoolean=True)

    case = site.after_a_round(order)
    assert case.is_open
    assert case.next_action is not None
    assert case.next_action.code is Action.CLOSE_WITH_REASON
    shown = clinic.progress(patient, order)
    assert (shown.status, shown.reason) == ("on-hold", "Clinical review needed: The patient has died")
    assert [one for one in clinic.search("Communication", patient=patient) if "medium" in one] == []

    clinic.change(patient, deceasedBoolean=None)
    case = site.after_a_round(order)
    assert case.blocker is None
    assert clinic.progress(patient, order).status == "in-progress"
    assert before.round == case.round


def test_work_follows_a_patient_whose_record_is_merged_and_comes_back(site: Site, clinic: Clinic) -> None:
    """First only the link is there, then the order is moved, then the merge is undone."""
    patient, other = clinic.patient("Poplar"), clinic.patient("Poplar-Reed")
    order = clinic.order(patient)
    site.after_a_round(order)
    task = clinic.progress(patient, order).ref

    clinic.change(patient, active=False, link=[{"type": "replaced-by", "other": {"reference": other}}])
    clinic.change(other, link=[{"type": "replaces", "other": {"reference": patient}}])
    case = site.after_a_round(order)
    assert (case.patient_ref, case.round) == (other, 1)
    assert clinic.progress(other, order).ref == task
    assert clinic.shown(patient, order) == []

    clinic.change(order, subject={"reference": other})
    case = site.after_a_round(order)
    assert (case.patient_ref, case.round) == (other, 1)
    assert clinic.progress(other, order).ref == task

    clinic.change(order, subject={"reference": patient})
    clinic.change(patient, active=True, link=None)
    clinic.change(other, link=None)
    case = site.after_a_round(order)
    assert case.patient_ref == patient
    (shown,) = clinic.shown(patient, order)
    assert shown.status == "ready"
    assert clinic.search("Task", patient=other, identifier="urn:bridge:case|", status="ready") == []


def test_an_order_that_moves_before_any_link_was_seen_takes_nothing_back(site: Site, clinic: Clinic) -> None:
    patient, other = clinic.patient("Quince"), clinic.patient("Quince-Reed")
    order = clinic.order(patient)
    site.after_a_round(order)
    task = clinic.progress(patient, order).ref

    clinic.change(patient, active=False, link=[{"type": "replaced-by", "other": {"reference": other}}])
    clinic.change(order, subject={"reference": other})
    case = site.after_a_round(order)

    assert (case.patient_ref, case.round) == (other, 1)
    assert (clinic.progress(other, order).ref, clinic.progress(other, order).status) == (task, "ready")


def test_a_day_with_work_of_every_lane(site: Site) -> None:
    """What other systems and departments ask for comes in, the clinic's people work it, and the EHR shows it."""
    began_at = datetime.now(UTC)
    told = stories(SEED, began_at, count=len(TEMPLATES), speed=A_DAY_A_SECOND)
    player = Player(told, site.ehr.client)
    player.play_until(began_at)
    read = site.bridge.sync()
    at_first = {case.lane for case in site.bridge.cases().values()}
    patients = {story.patient for story in told}
    with site.bridge.bridge() as bridge:
        assert do_the_days_work(bridge, DAY, patients) == sum(len(deed.commands) for deed in DAY), read
    site.bridge.sync()
    player.play_until(began_at + timedelta(days=1))
    report = site.bridge.sync()

    assert report["delivered"]["parked"] == 0, report["delivery_reasons"]
    cases = {case.id: case for case in site.bridge.cases().values() if case.patient and case.patient.ref in patients}
    assert at_first | {case.lane for case in cases.values()} == {lane.name for lane in SHIPPED.all}
    shown = {case_id: task for case_id, task in site.ehr.our_tasks().items() if case_id in cases}
    assert {id_: business_status(task) for id_, task in shown.items()} == {
        id_: case.status.value for id_, case in cases.items() if id_ in shown
    }
    assert {id_ for id_, case in cases.items() if case.is_open} <= set(shown)
    said = [one for one in site.ehr.our_messages().values() if one["subject"]["reference"] in patients]
    assert len([one for one in said if "medium" in one]) == sum(len(case.outreach) for case in cases.values()) > 0
    assert site.ehr.faults([*shown.values(), *said]) == []
    asked = [
        case for case in cases.values() if any(one.trigger is Trigger.MEDICATION_CONFUSION for one in case.escalations)
    ]
    assert [(case.lane, case.status) for case in asked] == [("discharge", Status.ESCALATED)]


def test_what_the_day_measures_is_fhir_to_the_servers_validator(site: Site) -> None:
    today = datetime.now(UTC).date().isoformat()
    with site.bridge.bridge() as bridge, TestClient(create_app(bridge.web()), base_url="http://127.0.0.1") as web:
        answer = web.get("/api/v1/measures/fhir", params={"from": today, "to": today})
    reports = [{**entry["resource"], "id": str(number)} for number, entry in enumerate(answer.json()["entry"])]

    assert len(reports) > 20
    assert any("stratifier" in group for one in reports for group in one.get("group", ()))
    assert site.ehr.faults(reports) == []


def test_after_all_of_this_a_round_writes_nothing(site: Site) -> None:
    site.bridge.sync()
    before = site.ehr.versions()

    report = site.bridge.sync()

    assert report["writes"] == 0
    assert site.ehr.versions() == before


def _unmoved(task: dict[str, Any]) -> dict[str, Any]:
    """Return what Bridge has no business to change."""
    return {name: value for name, value in task.items() if name not in ("status", "meta", "lastModified", "output")}


def business_status(task: dict[str, Any]) -> str:
    """Return the case's status as a coordination Task shows it."""
    (code,) = [one["code"] for one in task["businessStatus"]["coding"] if one["system"] == STATUS_SYSTEM]
    return str(code)
