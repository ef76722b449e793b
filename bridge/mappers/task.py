"""Task -> Snapshot (FHIR R4 task.html; R5 shapes read alike)."""

from __future__ import annotations

import msgspec

from bridge.cases.snapshot import Snapshot
from bridge.fhir import wire
from bridge.fhir.source import SourceVersion
from bridge.mappers.common import (
    IN_SCOPE,
    business_identifier,
    codes,
    concept,
    concepts,
    effect_of,
    identifiers,
    read,
    references,
    remarks,
    security,
)
from bridge.mappers.mapper import Mapper

_decoder = msgspec.json.Decoder(wire.Task)


def normalize(version: SourceVersion, base_url: str) -> Snapshot:
    """Return the Snapshot of one Task version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, base_url)
    task = reading.resource
    status, effect = effect_of("Task", task.status)
    focus, based_on = reading.local((task.focus,)), reading.local(task.basedOn or ())
    part_of = reading.local(task.partOf or ())
    named = [*focus, *based_on, *part_of]
    parent = next((ref for ref in named if ref.partition("/")[0] in IN_SCOPE), None)
    reasons = (task.reasonCode, *(task.reason or ()))
    others = (task.encounter, task.reasonReference, *(task.insurance or ()), *references(task.reason or ()))
    performer = next((one.actor for one in task.performer or () if one.actor is not None), None)
    end = task.restriction.period.end if task.restriction is not None and task.restriction.period else None
    return Snapshot(
        ref=version.ref,
        type="Task",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        intent=task.intent,
        priority=reading.priority(task.priority),
        do_not_perform=task.doNotPerform is True,
        patient=reading.patient(task.for_),
        owner=reading.party(task.owner or performer),
        requester=reading.party(task.requester),
        parent=parent,
        about=tuple(ref for ref in [*named, *reading.local(others)] if ref != parent),
        identifiers=identifiers(task.identifier),
        group=business_identifier(task.groupIdentifier),
        title=_title(task),
        codes=codes((task.code,)),
        reasons=concepts(reasons),
        status_reason=concept(task.statusReason),
        business_status=concept(task.businessStatus),
        authored_at=reading.instant(task.authoredOn, "authoredOn"),
        modified_at=reading.instant(task.lastModified, "lastModified"),
        due=reading.when(end, "restriction.period.end"),
        outputs=tuple(reading.local(output.valueReference for output in task.output or ())),
        remarks=remarks(reading, task.note),
        security=security(task.meta),
        oddities=tuple(reading.oddities),
    )


def _title(task: wire.Task) -> str:
    said = concept(task.code)
    return task.description or (said.label() if said is not None else None) or "Task"


MAPPER = Mapper("Task", normalize)
