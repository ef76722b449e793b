"""
Bridge beside servers of other FHIR versions: the same work, in each version's own shapes, makes the same cases,
and what Bridge writes is right by that version's own validator.

R5 moved much of it: codes and reasons became CodeableReferences (ServiceRequest.code and reason, Task.statusReason,
MedicationRequest.medication), and Appointment.cancelationReason got another letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bridge.cases.snapshot import Snapshot
from bridge.cases.terms import BlockerCategory, Status

from .launcher import HapiServer
from .line import CONNECTION, Ehr, Workplace, beside, own_value
from .plain import Json

pytestmark = pytest.mark.xdist_group("shared servers")

KEY = "versions"
PATIENT = {"reference": f"Patient/{KEY}", "display": "Ines Alder"}
START = {"start": "2031-05-06T09:00:00+02:00", "end": "2031-05-06T09:30:00+02:00"}


def _said(text: str, version: str) -> Json:
    """Write words where R4 and R4B have a CodeableConcept and R5 a CodeableReference."""
    return {"concept": {"text": text}} if version == "R5" else {"text": text}


def _work(version: str) -> list[Json]:
    """Return the same work in the shapes of one version."""
    r5 = version == "R5"
    reasons = "reason" if r5 else "reasonCode"
    actor = {"actor": PATIENT, "status": "accepted", "required": True if r5 else "required"}
    called_off = "cancellationReason" if r5 else "cancelationReason"
    medicine: dict[str, Json] = {
        "by-name": {"medication": _said("Lisinopril 10 mg tablet", version)}
        if r5
        else {"medicationCodeableConcept": {"text": "Lisinopril 10 mg tablet"}},
        "by-reference": {"medication": {"reference": {"reference": f"Medication/{KEY}", "display": "Amlodipine"}}}
        if r5
        else {"medicationReference": {"reference": f"Medication/{KEY}", "display": "Amlodipine"}},
    }
    order = {"status": "active", "intent": "order", "subject": PATIENT}
    return [
        {"resourceType": "Patient", "id": KEY, "name": [{"given": ["Ines"], "family": "Alder"}]},
        {"resourceType": "Medication", "id": KEY, "code": {"text": "Amlodipine"}},
        _one(
            "ServiceRequest",
            "order",
            **order,
            code=_said("Cardiology visit", version),
            **{reasons: [_said("Chest pain", version)]},
        ),
        _one(
            "Task",
            "asked",
            status="on-hold",
            intent="order",
            statusReason=_said("Waiting for records", version),
            focus={"reference": f"ServiceRequest/{KEY}-order"},
            for_=PATIENT,
            restriction={"period": {"end": "2031-05-01"}},
        ),
        _one("Appointment", "off", status="cancelled", **START, participant=[actor], **{called_off: {"text": "Away"}}),
        _one("Appointment", "booked", status="booked", **START, participant=[actor]),
        _one("MedicationRequest", "by-name", **order | {"status": "draft"}, **medicine["by-name"]),
        _one(
            "MedicationRequest",
            "by-reference",
            **order | {"status": "on-hold"},
            **medicine["by-reference"],
            statusReason={"text": "Needs a clinician to review"},
        ),
        _one("MedicationRequest", "over", **order | {"status": "ended" if r5 else "completed"}, **medicine["by-name"]),
    ]


def _one(kind: str, name: str, **elements: Any) -> Json:
    named = {element.rstrip("_"): value for element, value in elements.items()}
    return {"resourceType": kind, "id": f"{KEY}-{name}", **named}


@dataclass(frozen=True)
class Seen:
    """What came of the work of one version; ``ours`` are Bridge's Tasks by the request they are about."""

    version: str
    workplace: Workplace
    ehr: Ehr
    ours: dict[str, Json]

    def snapshot(self, ref: str) -> Snapshot:
        """Return what Bridge understood of a resource."""
        with self.workplace.bridge() as bridge, bridge.store.reading() as tx:
            return tx.sources(CONNECTION, [ref])[ref].snapshot


@pytest.fixture(scope="module", params=["R4B", "R5"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    server: HapiServer = request.getfixturevalue("hapi_r5" if request.param == "R5" else "hapi_r4b")
    version = f'fhir_version = "{request.param}"'
    workplace = Workplace(tmp_path_factory.mktemp("versions"), server.base_url, connection=version)
    with beside(server) as ehr:
        ehr.put_all(_work(request.param))
        workplace.sync()
        ours = {task["focus"]["reference"]: task for task in ehr.our_tasks().values()}
        yield Seen(request.param, workplace, ehr, ours)


@pytest.mark.parametrize(
    ("root", "lane", "status"),
    [
        (f"ServiceRequest/{KEY}-order", "referral", Status.WAITING_ON_DOCUMENTS),
        (f"Appointment/{KEY}-off", "missed-appointment", Status.NEEDS_OUTREACH),
        (f"Appointment/{KEY}-booked", "appointment-readiness", Status.SCHEDULED),
        (f"MedicationRequest/{KEY}-by-name", "medication-refill", Status.WAITING_ON_PROVIDER),
        (f"MedicationRequest/{KEY}-by-reference", "medication-refill", Status.WAITING_ON_PROVIDER),
    ],
)
def test_the_same_work_makes_the_same_cases(seen: Seen, root: str, lane: str, status: Status) -> None:
    case = seen.workplace.case(root)

    assert (case.lane, case.status) == (lane, status)
    assert case.patient is not None
    assert (case.patient.ref, case.patient.display) == (f"Patient/{KEY}", "Ines Alder")
    assert case.next_action is not None
    assert case.due_at is not None


def test_what_is_over_makes_none(seen: Seen) -> None:
    assert f"MedicationRequest/{KEY}-over" not in seen.workplace.cases(merged=True)


def test_words_are_found_where_each_version_keeps_them(seen: Seen) -> None:
    order = seen.snapshot(f"ServiceRequest/{KEY}-order")
    called_off = seen.snapshot(f"Appointment/{KEY}-off").status_reason
    held = seen.snapshot(f"MedicationRequest/{KEY}-by-reference")
    case = seen.workplace.case(order.ref)

    assert order.title == "Cardiology visit"
    assert [reason.label() for reason in order.reasons] == ["Chest pain"]
    assert called_off is not None
    assert called_off.label() == "Away"
    assert seen.snapshot(f"MedicationRequest/{KEY}-by-name").title == "Lisinopril 10 mg tablet"
    assert held.title == "Amlodipine"
    assert case.blocker is not None
    assert (case.blocker.category, case.blocker.text) == (
        BlockerCategory.MISSING_DOCUMENTATION,
        "Waiting for records",
    )
    assert {line.ref for line in case.sources} == {order.ref, f"Task/{KEY}-asked"}


def test_what_bridge_writes_is_right_by_the_versions_own_validator(seen: Seen) -> None:
    written = [one for one in seen.ours.values() if KEY in one["focus"]["reference"]]
    messages = [one for one in seen.ehr.our_messages().values() if KEY in one["subject"]["reference"]]

    assert len(written) == 5
    assert messages
    assert seen.ehr.faults([*written, *messages]) == []


def test_our_task_says_why_it_waits_in_the_shape_of_the_version(seen: Seen) -> None:
    ours = seen.ours[f"ServiceRequest/{KEY}-order"]
    reason = ours["statusReason"]

    assert ours["status"] == "on-hold"
    assert (reason["concept"] if seen.version == "R5" else reason)["text"] == (
        "Missing documentation: Waiting for records"
    )


def test_a_second_round_writes_nothing(seen: Seen) -> None:
    before = {ref: one for ref, one in seen.ehr.everything().items() if own_value(one, "urn:bridge:case")}

    report = seen.workplace.sync()

    after = seen.ehr.everything()
    assert report["writes"] == 0
    assert {ref: after[ref]["meta"]["versionId"] for ref in before} == {
        ref: one["meta"]["versionId"] for ref, one in before.items()
    }
