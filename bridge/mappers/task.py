"""Task -> Snapshot (FHIR R4 task.html; R5 shapes read alike)."""

from __future__ import annotations

import msgspec

from bridge.cases.snapshot import Party, Snapshot
from bridge.fhir import wire
from bridge.fhir.source import SourceVersion
from bridge.mappers.common import (
    business_identifier,
    codes,
    concept,
    concepts,
    effect_of,
    identifiers,
    intent_of,
    label_of,
    references,
    remarks,
    security,
    title_of,
)
from bridge.mappers.mapper import Mapper, Search
from bridge.mappers.modifiers import refuse_in
from bridge.mappers.reading import VITAL, Reading, read

_decoder = msgspec.json.Decoder(wire.Task)
_VITAL = VITAL | {"for", "for.reference"}
_GENERIC = "http://hl7.org/fhir/CodeSystem/task-code"
"""Codes like ``fulfill`` say what to do with the focus, not what the work is."""


def normalize(version: SourceVersion, base_url: str, fhir_version: str = "R4") -> Snapshot:
    """Return the Snapshot of one Task version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, _VITAL, base_url, fhir_version)
    task = reading.resource
    _refuse_unknown_modifiers(task)
    status, effect = effect_of("Task", task.status)
    intent = intent_of(reading, task.intent)
    patient = reading.patient(task.for_)
    parent, about = _lineage(reading, patient)
    title, description = _title(task)
    _note_newer_elements(reading)
    period = task.restriction.period if task.restriction is not None else None
    return Snapshot(
        ref=version.ref,
        type="Task",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        intent=intent,
        priority=reading.priority(task.priority),
        do_not_perform=task.doNotPerform is True,
        patient=patient,
        owner=reading.party(task.owner),
        requester=reading.party(task.requester),
        parent=parent,
        about=about,
        identifiers=identifiers(task.identifier),
        group=business_identifier(task.groupIdentifier),
        title=title,
        codes=codes((task.code,)),
        reasons=concepts((task.reasonCode, *(task.reason or ()))),
        status_reason=concept(task.statusReason),
        business_status=concept(task.businessStatus),
        authored_at=reading.moment(task.authoredOn, "authoredOn"),
        modified_at=reading.moment(task.lastModified, "lastModified"),
        due=reading.when(period.end, "restriction.period.end") if period is not None else None,
        outputs=reading.links([one.valueReference for one in task.output]) if task.output else (),
        remarks=remarks(reading, task.note, description),
        security=security(task.meta),
        oddities=tuple(reading.oddities),
    )


def _lineage(reading: Reading[wire.Task], patient: Party | None) -> tuple[str | None, tuple[str, ...]]:
    """``focus`` is the request being actioned, ``basedOn`` what authorized it, ``partOf`` a Task above."""
    task = reading.resource
    others = [task.encounter, task.reasonReference, *(task.insurance or ()), *references(task.reason)]
    if task.input:
        others += [one.valueReference for one in task.input]
    return reading.lineage([task.focus, *(task.basedOn or ()), *(task.partOf or ())], others, patient)


def _title(task: wire.Task) -> tuple[str, str | None]:
    """Return the title, and the description where it is not the title already."""
    label = label_of(task.code)
    description = task.description
    if label and not _is_generic(task.code):
        return title_of(label), description
    focus = task.focus.display if task.focus is not None else None
    return title_of(description, focus, label, "Task"), None


def _is_generic(code: wire.Coded | None) -> bool:
    return code is not None and not code.text and all(one.system == _GENERIC for one in code.coding or ())


def _refuse_unknown_modifiers(task: wire.Task) -> None:
    refuse_in((task.restriction,), "restriction")
    refuse_in(task.input or (), "input")
    refuse_in(task.output or (), "output")


def _note_newer_elements(reading: Reading[wire.Task]) -> None:
    task = reading.resource
    stated = task.statusReason
    reading.newer(task.reason, task.performer, stated.concept if stated is not None else None)


_OPEN = ("draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold")

MAPPER = Mapper("Task", Search(_OPEN, ("modified", "authored-on")), normalize)
