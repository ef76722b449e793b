"""Builders of the four kinds of work, as an EHR would fill them in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from conformance.generator.elements import (
    LOCAL,
    ORDERS,
    RXNORM,
    SNOMED,
    TASK_CODE,
    Json,
    coding,
    concept,
    identifier,
    kept,
    moment,
    reference,
)

REFERRALS = (
    ("Referral to cardiology", coding(SNOMED, "183519002", "Referral to cardiology service")),
    ("Patient referral", coding(SNOMED, "3457005", "Patient referral")),
    ("Referral to nutrition counselling", coding(LOCAL, "referral-nutrition")),
    ("Referral to physical therapy", coding(LOCAL, "referral-physical-therapy")),
    ("Echocardiogram", coding(SNOMED, "40701008", "Echocardiography")),
    ("MRI of the knee", coding(LOCAL, "mri-knee")),
)
MEDICATIONS = (
    ("Lisinopril 10 mg tablet", coding(RXNORM, "314076")),
    ("Amlodipine 5 mg tablet", coding(RXNORM, "197361")),
    ("Atorvastatin 40 mg tablet", coding(RXNORM, "617311")),
    ("Inhaler, as labelled", None),
)
_CATEGORY = concept("Counselling and referral", coding(LOCAL, "referral", "Referral"))


def service_request(id_: str, patient: Json, **elements: Any) -> Json:
    """Return an active order for a cardiology referral; *elements* replace or add to it."""
    text, code = REFERRALS[0]
    base = kept(
        resourceType="ServiceRequest",
        id=id_,
        identifier=[identifier(ORDERS, id_)],
        status="active",
        intent="order",
        category=[_CATEGORY],
        code=concept(text, code),
        subject=reference(patient),
    )
    return kept(**(base | elements))


def task(id_: str, patient: Json | None, **elements: Any) -> Json:
    """Return a requested fulfilment Task; *elements* replace or add to it."""
    base = kept(
        resourceType="Task",
        id=id_,
        identifier=[identifier(ORDERS, id_)],
        status="requested",
        intent="order",
        code=concept("Fulfil the order", coding(TASK_CODE, "fulfill", "Fulfill the focal request")),
        for_=reference(patient) if patient else None,
    )
    return kept(**(base | elements))


def appointment(id_: str, patient: Json, start: datetime | None, staff: Json | None = None, **elements: Any) -> Json:
    """Return a booked visit of half an hour with *patient* and *staff*; *elements* replace or add."""
    told = elements.pop("patient_status", "accepted")
    participants = [{"actor": reference(patient), "required": "required", "status": told}]
    if staff is not None:
        participants.append({"actor": reference(staff), "required": "required", "status": "accepted"})
    base = kept(
        resourceType="Appointment",
        id=id_,
        identifier=[identifier(ORDERS, id_)],
        status="booked",
        appointmentType=concept("Follow-up", coding(LOCAL, "follow-up")),
        start=moment(start) if start else None,
        end=moment(start + timedelta(minutes=30)) if start else None,
        participant=participants,
    )
    return kept(**(base | elements))


def medication_request(id_: str, patient: Json, **elements: Any) -> Json:
    """Return an active prescription of thirty tablets with refills; *elements* replace or add to it."""
    text, code = MEDICATIONS[0]
    supply = {"value": 30, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
    base = kept(
        resourceType="MedicationRequest",
        id=id_,
        identifier=[identifier(ORDERS, id_)],
        status="active",
        intent="order",
        medicationCodeableConcept=concept(text, *([code] if code else [])),
        subject=reference(patient),
        dosageInstruction=[{"text": "One tablet in the morning"}],
        dispenseRequest={"numberOfRepeatsAllowed": 3, "expectedSupplyDuration": supply},
    )
    return kept(**(base | elements))


def note(text: str, at: datetime | None = None, author: Json | None = None) -> Json:
    """Return an Annotation."""
    return kept(authorReference=reference(author) if author else None, time=moment(at) if at else None, text=text)
