"""
What Bridge reads of each resource, off the wire; R4, R4B and R5 shapes at once.

R5 renamed or re-typed some elements; both names stand side by side here, and ``Coded`` reads a
CodeableConcept and an R5 CodeableReference alike. Elements that Bridge does not read are skipped without
being built, which is what makes this fast. The differences were found by comparing the official R4 4.0.1,
R4B 4.3.0 and R5 5.0.0 definitions.
"""

from __future__ import annotations

from typing import Any

import msgspec

_Bools = bool | None


class Wire(msgspec.Struct, gc=False):
    """Anything read off the wire."""


class Coding(Wire):
    """FHIR Coding."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Identifier(Wire):
    """FHIR Identifier."""

    system: str | None = None
    value: str | None = None


class Reference(Wire):
    """FHIR Reference, literal or logical."""

    reference: str | None = None
    type: str | None = None
    identifier: Identifier | None = None
    display: str | None = None


class Coded(Wire):
    """A CodeableConcept, or an R5 CodeableReference (``concept``, ``reference``)."""

    coding: list[Coding] | None = None
    text: str | None = None
    concept: Coded | None = None
    reference: Reference | None = None


class Period(Wire):
    """FHIR Period, its ends as text."""

    start: str | None = None
    end: str | None = None


class Annotation(Wire):
    """FHIR Annotation."""

    text: str | None = None
    time: str | None = None
    authorString: str | None = None
    authorReference: Reference | None = None


class Meta(Wire):
    """FHIR Meta, as far as it is read."""

    security: list[Coding] | None = None
    tag: list[Coding] | None = None


class Extension(Wire):
    """FHIR Extension, as far as it is read."""

    url: str | None = None
    valueCodeableConcept: Coded | None = None


class Backbone(Wire):
    """A part of a resource that may carry modifier extensions, which are taken in whatever shape."""

    modifierExtension: Any = None


class Resource(Backbone):
    """What every resource has, as far as it is read."""

    resourceType: str | None = None
    meta: Meta | None = None
    implicitRules: Any = None
    contained: list[msgspec.Raw] | None = None
    identifier: list[Identifier] | None = None


class Restriction(Backbone):
    """Task.restriction."""

    period: Period | None = None


class Parameter(Backbone):
    """Task.input and Task.output."""

    valueReference: Reference | None = None


class Performer(Backbone):
    """R5 Task.performer."""

    actor: Reference | None = None


class Task(Resource, rename={"for_": "for"}):
    """Task."""

    status: str | None = None
    statusReason: Coded | None = None
    businessStatus: Coded | None = None
    intent: str | None = None
    priority: str | None = None
    doNotPerform: _Bools = None
    code: Coded | None = None
    description: str | None = None
    focus: Reference | None = None
    for_: Reference | None = None
    encounter: Reference | None = None
    basedOn: list[Reference] | None = None
    partOf: list[Reference] | None = None
    groupIdentifier: Identifier | None = None
    authoredOn: str | None = None
    lastModified: str | None = None
    requester: Reference | None = None
    owner: Reference | None = None
    performer: list[Performer] | None = None
    reasonCode: Coded | None = None
    reasonReference: Reference | None = None
    reason: list[Coded] | None = None
    insurance: list[Reference] | None = None
    note: list[Annotation] | None = None
    restriction: Restriction | None = None
    input: list[Parameter] | None = None
    output: list[Parameter] | None = None


class Repeat(Wire):
    """Timing.repeat."""

    boundsPeriod: Period | None = None


class Timing(Wire):
    """FHIR Timing, as far as it is read."""

    repeat: Repeat | None = None


class Supporting(Wire):
    """ServiceRequest.supportingInfo: a Reference in R4, a CodeableReference in R5."""

    reference: str | Reference | None = None


class ServiceRequest(Resource):
    """ServiceRequest."""

    extension: list[Extension] | None = None
    status: str | None = None
    intent: str | None = None
    priority: str | None = None
    doNotPerform: _Bools = None
    category: list[Coded] | None = None
    code: Coded | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    basedOn: list[Reference] | None = None
    replaces: list[Reference] | None = None
    requisition: Identifier | None = None
    occurrenceDateTime: str | None = None
    occurrencePeriod: Period | None = None
    occurrenceTiming: Timing | None = None
    authoredOn: str | None = None
    requester: Reference | None = None
    performer: list[Reference] | None = None
    reasonCode: list[Coded] | None = None
    reasonReference: list[Reference] | None = None
    reason: list[Coded] | None = None
    insurance: list[Reference] | None = None
    supportingInfo: list[Supporting] | None = None
    note: list[Annotation] | None = None


class Participant(Backbone):
    """Appointment.participant; ``required`` is a code in R4 and a boolean in R5."""

    actor: Reference | None = None
    required: str | bool | None = None
    status: str | None = None


class Appointment(Resource):
    """Appointment."""

    status: str | None = None
    cancelationReason: Coded | None = None
    cancellationReason: Coded | None = None
    serviceType: list[Coded] | None = None
    serviceCategory: list[Coded] | None = None
    specialty: list[Coded] | None = None
    appointmentType: Coded | None = None
    reasonCode: list[Coded] | None = None
    reasonReference: list[Reference] | None = None
    reason: list[Coded] | None = None
    priority: int | Coded | None = None
    """A number without agreed meaning in R4, a concept in R5."""
    description: str | None = None
    start: str | None = None
    end: str | None = None
    created: str | None = None
    comment: str | None = None
    note: list[Annotation] | None = None
    basedOn: list[Reference] | None = None
    replaces: list[Reference] | None = None
    previousAppointment: Reference | None = None
    supportingInformation: list[Reference] | None = None
    slot: list[Reference] | None = None
    subject: Reference | None = None
    participant: list[Participant] | None = None


class Duration(Wire):
    """FHIR Duration; the amount is kept as written."""

    value: msgspec.Raw = msgspec.Raw()
    unit: str | None = None
    code: str | None = None


class DispenseRequest(Backbone):
    """MedicationRequest.dispenseRequest; a number of repeats that is none makes its end unknown."""

    validityPeriod: Period | None = None
    numberOfRepeatsAllowed: Any = None
    expectedSupplyDuration: Duration | None = None


class MedicationRequest(Resource):
    """MedicationRequest."""

    status: str | None = None
    statusReason: Coded | None = None
    intent: str | None = None
    priority: str | None = None
    doNotPerform: _Bools = None
    category: list[Coded] | None = None
    medicationCodeableConcept: Coded | None = None
    medicationReference: Reference | None = None
    medication: Coded | None = None
    subject: Reference | None = None
    encounter: Reference | None = None
    basedOn: list[Reference] | None = None
    priorPrescription: Reference | None = None
    groupIdentifier: Identifier | None = None
    authoredOn: str | None = None
    requester: Reference | None = None
    performer: Reference | list[Reference] | None = None
    reasonCode: list[Coded] | None = None
    reasonReference: list[Reference] | None = None
    reason: list[Coded] | None = None
    insurance: list[Reference] | None = None
    supportingInformation: list[Reference] | None = None
    note: list[Annotation] | None = None
    dispenseRequest: DispenseRequest | None = None


class Name(Wire):
    """FHIR HumanName; ``name`` and ``value`` are what R4 and R5 call the name of a Device."""

    use: str | None = None
    text: str | None = None
    family: str | None = None
    given: list[str | None] | None = None
    name: str | None = None
    value: str | None = None


class ContactPoint(Wire):
    """FHIR ContactPoint; the value is not read."""

    system: str | None = None
    rank: int | None = None


class Language(Coded):
    """Patient.communication, or the CodeableConcept that R4 Practitioner.communication is."""

    language: Coded | None = None
    preferred: _Bools = None


class Link(Backbone):
    """Patient.link."""

    other: Reference | None = None
    type: str | None = None


class Named(Backbone):
    """
    Anything that has a name: Patient, Practitioner, Organization, Device, contained or read by itself.

    ``name`` is text for an organisation or place and a list for a person.
    """

    resourceType: str | None = None
    implicitRules: Any = None
    id: str | None = None
    identifier: Identifier | list[Identifier] | None = None
    name: str | list[Name] | None = None
    deviceName: list[Name] | None = None
    practitioner: Reference | None = None
    organization: Reference | None = None
    code: Any = None
    telecom: list[ContactPoint] | None = None
    communication: list[Language] | None = None
    birthDate: str | None = None
    deceasedBoolean: _Bools = None
    deceasedDateTime: str | None = None
    active: _Bools = None
    status: str | None = None
    link: list[Link] | None = None
