"""
docs/mapping.md, written from the tables: ``python -m bridge.mappers.document > docs/mapping.md``.

A test compares the page with this module, every Snapshot field with ``IN_CASE``, and every element named here
with what is read off the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bridge.cases.snapshot import Effect
from bridge.cases.status_table import STATUS_TABLE
from bridge.mappers import MOST_BYTES
from bridge.mappers.verdict import Why


class Source(NamedTuple):
    """Where a Snapshot field comes from; ``r5`` is empty where R5 reads the same."""

    r4: str
    r5: str = ""


IN_CASE: Mapping[str, str] = {
    "ref": "`sources[]` and, for the request being coordinated, `root`: which resources the case rests on",
    "type": "decides with the codes which lane the work belongs to",
    "version": "`sources[]`: a version seen before changes nothing",
    "updated_at": "`sources[]`, `data_as_of`; tells an older version from a newer one",
    "status": "`sources[]`, and by the table above what it does",
    "effect": "`status`, `closure`, `blocker`: see the table above",
    "intent": "a proposal or plan opens no case unless the site wants it",
    "priority": "`priority`, the most urgent of all sources; the lane's response window goes by it",
    "do_not_perform": "true opens no case: somebody asked for it *not* to be done",
    "patient": "`patient`; nothing is written without one, nothing joins a case of another one",
    "owner": "`owner` where it is somebody who can coordinate, else the lane's role owns the case",
    "requester": "who is told about progress",
    "parent": "the case it joins: the request is the root, Tasks and visits belong to it",
    "about": "kept with the source, to find what else is concerned",
    "identifiers": "kept with the source; tells our own Tasks when they come back",
    "group": "kept with the source, to find what was ordered together",
    "title": "`title`, and words that a lane looks for",
    "codes": "the lane; whether a Task is the work itself or asks for a change of it",
    "categories": "the lane",
    "reasons": "the lane, and the category of a `blocker` by its words",
    "status_reason": "text and category of the `blocker`, outcome of the `closure`",
    "business_status": "the lane, and the category of a `blocker` by its words",
    "authored_at": "`opened_at`, from which response windows first run",
    "modified_at": "stands in where the server gives no `meta.lastUpdated`",
    "due": "`due_at` where a Task that is not finished has one; the lane's window else",
    "start_at": "the visit: `scheduled`, and due dates that are reckoned from it",
    "end_at": "kept with the source",
    "run_out": "when a prescription becomes work, and its due date",
    "waits_for": "whether the case is `waiting-on-patient` or `waiting-on-provider`",
    "outputs": "evidence of the `closure`",
    "remarks": "kept with the source",
    "security": "kept with the source: what may be said outside follows from it",
    "oddities": "shown with the case: accepted although unusual",
}
"""Where each Snapshot field goes in a case, and why."""

_ANY = {
    "ref": Source("`resourceType`, `id`"),
    "version": Source("`meta.versionId`, else a hash of the bytes"),
    "updated_at": Source("`meta.lastUpdated`"),
    "identifiers": Source("`identifier` with a value"),
    "security": Source("`meta.security`"),
}
_REQUEST = {
    "status": Source("`status`"),
    "intent": Source("`intent`"),
    "priority": Source("`priority`"),
    "requester": Source("`requester`"),
    "authored_at": Source("`authoredOn`; a date without time counts from its first moment in UTC"),
    "remarks": Source("`note`"),
}

ELEMENTS: Mapping[str, Mapping[str, Source]] = {
    "Task": {
        **_ANY,
        **_REQUEST,
        "do_not_perform": Source("-", "`doNotPerform`"),
        "patient": Source("`for`, where it is a Patient"),
        "owner": Source("`owner`: literal, logical, contained or by name only"),
        "parent": Source("`focus`, else `basedOn`, else `partOf`: the first of the four types"),
        "about": Source(
            "the others of these, `encounter`, `reasonReference`, `insurance`, `input.valueReference`",
            "`reason.reference` for `reasonReference`",
        ),
        "group": Source("`groupIdentifier`"),
        "title": Source("`code`; a bare task-code such as fulfill gives way to `description` or the focus"),
        "codes": Source("`code`"),
        "reasons": Source("`reasonCode`", "`reason.concept`"),
        "status_reason": Source("`statusReason`", "`statusReason.concept`"),
        "business_status": Source("`businessStatus`"),
        "modified_at": Source("`lastModified`"),
        "due": Source("`restriction.period.end`, as precise as it is given"),
        "outputs": Source("`output.valueReference`"),
        "remarks": Source("`description` where it is not the title, `note`"),
    },
    "ServiceRequest": {
        **_ANY,
        **_REQUEST,
        "do_not_perform": Source("`doNotPerform`"),
        "patient": Source("`subject`, where it is a Patient"),
        "owner": Source("`performer`, the first"),
        "about": Source(
            "`encounter`, `basedOn`, `replaces`, `reasonReference`, `insurance`, `supportingInfo`",
            "`reason.reference` for `reasonReference`, `supportingInfo.reference`",
        ),
        "group": Source("`requisition`"),
        "title": Source("`code`, else `category`", "`code.concept`, `code.reference`"),
        "codes": Source("`code`", "`code.concept`"),
        "categories": Source("`category`"),
        "reasons": Source("`reasonCode`", "`reason.concept`"),
        "status_reason": Source("`extension` request-statusReason"),
        "due": Source("`occurrencePeriod.end`, `occurrenceDateTime`, `occurrenceTiming.repeat.boundsPeriod.end`"),
    },
    "Appointment": {
        **_ANY,
        "status": Source("`status`"),
        "priority": Source("- (its number has no agreed meaning)", "`priority`, ActPriority codes"),
        "patient": Source("`participant.actor`, the one Patient; of several none", "also `subject`"),
        "owner": Source("`participant.actor`, the first clinician, else the first place or service"),
        "parent": Source("`basedOn`, the first of the four types"),
        "about": Source(
            "the others of these, `reasonReference`, `supportingInformation`, `slot`",
            "`reason.reference` for `reasonReference`, `replaces`, `previousAppointment`",
        ),
        "title": Source("`serviceType`, else `description`, `appointmentType`, `specialty`, `serviceCategory`"),
        "codes": Source("`serviceType`, `appointmentType`", "`serviceType.concept`"),
        "categories": Source("`serviceCategory`, `specialty`"),
        "reasons": Source("`reasonCode`", "`reason.concept`"),
        "status_reason": Source("`cancelationReason`, also with noshow", "`cancellationReason`"),
        "authored_at": Source("`created`"),
        "start_at": Source("`start`"),
        "end_at": Source("`end`"),
        "waits_for": Source("`participant.status` needs-action, tentative or declined, unless not required"),
        "remarks": Source("`description` where it is not the title, `comment`", "`note` for `comment`"),
    },
    "MedicationRequest": {
        **_ANY,
        **_REQUEST,
        "do_not_perform": Source("`doNotPerform`"),
        "patient": Source("`subject`, where it is a Patient"),
        "owner": Source("`performer`", "`performer`, the first"),
        "about": Source(
            "`priorPrescription`, `encounter`, `basedOn`, `reasonReference`, `insurance`, `supportingInformation`",
            "`reason.reference` for `reasonReference`",
        ),
        "group": Source("`groupIdentifier`"),
        "title": Source("`medicationCodeableConcept`, `medicationReference`", "`medication`"),
        "codes": Source("the same, also of a contained Medication", "`medication.concept`"),
        "categories": Source("`category`"),
        "reasons": Source("`reasonCode`", "`reason.concept`"),
        "status_reason": Source("`statusReason`"),
        "run_out": Source(
            "`dispenseRequest.validityPeriod.end`, else `authoredOn` plus "
            "`dispenseRequest.expectedSupplyDuration` times one plus `dispenseRequest.numberOfRepeatsAllowed`"
        ),
    },
}
"""Which elements each Snapshot field is read from, by type."""

_INTRODUCTION = """\
# What Bridge reads, and what becomes of it

Written from the tables in `bridge/cases/status_table.py` and `bridge/mappers/document.py` by
`python -m bridge.mappers.document`; a test keeps it true.

A resource of one of four types becomes a *Snapshot*, and cases are made of Snapshots. R4 and R4B name all
elements alike; R5's names and shapes are read by the same mapper. Nothing is guessed: a version that cannot
be understood is **parked** with its reason and its bytes, is shown as such, and can be replayed.

## Statuses

Every code of R4, R4B and R5 has one effect. A code that is not here parks the version.
"""

EFFECTS_ON_CASE: Mapping[Effect, str] = {
    Effect.DRAFTED: "opens nothing; an unsigned prescription is `waiting-on-provider`",
    Effect.ASKED: "`new`, until somebody acts",
    Effect.ACCEPTED: "`waiting-on-provider`",
    Effect.UNDER_WAY: "`scheduled`: it is being done",
    Effect.PAUSED: "a `blocker`; its category follows from the words of the status reason",
    Effect.DONE: "`closed`, completed: the request itself, or its fulfilment with nothing else under way",
    Effect.DECLINED: "a `blocker` until somebody else does it; `closed`, declined, where it is the root",
    Effect.CANCELLED: "`closed`, cancelled by the requester, where it is the root",
    Effect.FAILED: "a `blocker` until somebody else does it; `closed` where it is the root",
    Effect.VOID: "`closed`, entered in error, where it is the root; else it no longer counts",
    Effect.UNCLEAR: "a `blocker`: a person must look",
    Effect.PROPOSED: "`needs-outreach`: agree on a time",
    Effect.AWAITING_REPLIES: "`waiting-on-patient` or `waiting-on-provider`, by whose reply is missing",
    Effect.WAITLISTED: "a `blocker`: scheduling capacity",
    Effect.BOOKED: "`scheduled`",
    Effect.ARRIVED: "`scheduled`",
    Effect.ATTENDED: "`waiting-on-documents` of a referral; a visit of its own is `closed`, completed",
    Effect.VISIT_CANCELLED: "`needs-outreach`: is it still needed?",
    Effect.MISSED: "`needs-outreach`: rebook",
    Effect.PRESCRIBED: "no work, until its supply is about to run out: `needs-outreach`",
}
"""What each effect does to a case, as ``bridge/cases/derive.py`` decides it."""

_PARKED: Mapping[Why, str] = {
    Why.UNREADABLE: "It is not JSON, has no usable type or id, or is nested beyond reason.",
    Why.WRONG_SHAPE: "An element it must not be used without (status, patient, security label) has a wrong "
    "type. Other elements of a wrong type are left out and noted.",
    Why.MISSING_STATUS: "There is no status; an extension in its place is none.",
    Why.UNKNOWN_STATUS: "The status is no code of FHIR.",
    Why.UNKNOWN_INTENT: "The intent is no code of FHIR: it could mean that nobody is to act.",
    Why.UNKNOWN_MODIFIER: "A modifierExtension that Bridge does not know may turn the meaning round.",
    Why.IMPLICIT_RULES: "The resource is to be read by rules that Bridge does not know.",
    Why.INCOMPLETE: "The server sent only part of the resource (SUBSETTED).",
    Why.OVERSIZED: f"It is larger than {MOST_BYTES // 1024 // 1024} MiB.",
    Why.FAULT: "Bridge itself failed; please report it.",
}


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_INTRODUCTION, *map(_statuses, STATUS_TABLE)]
    parts.append("## What an effect does to a case\n")
    effects = ((effect.value, text) for effect, text in EFFECTS_ON_CASE.items())
    parts.append(_table(("Effect", "Case"), effects))
    parts.append("## Why a version is parked\n")
    parts.append(_table(("Code", "Meaning"), ((f"`{why.value}`", text) for why, text in _PARKED.items())))
    parts.append('## Elements\n\n"=" in the column of R5 means that it reads the same.\n')
    parts += [_elements(kind) for kind in ELEMENTS]
    parts.append("## Fields\n")
    parts.append(_table(("Snapshot field", "Where it goes in a case, and why"), _fields()))
    return "\n".join(parts)


def _statuses(kind: str) -> str:
    rows = ((f"`{code}`", meaning.effect.value, meaning.why) for code, meaning in STATUS_TABLE[kind].items())
    return f"### {kind}.status\n\n" + _table(("Code", "Effect", "Meaning"), rows)


def _elements(kind: str) -> str:
    rows = ((source.r4, source.r5 or "=", f"`{field}`", IN_CASE[field]) for field, source in ELEMENTS[kind].items())
    header = ("Element in R4 and R4B", "In R5", "Snapshot field", "Where it goes in a case, and why")
    return f"### {kind}\n\n" + _table(header, rows)


def _fields() -> Iterable[tuple[str, str]]:
    return ((f"`{field}`", text) for field, text in IN_CASE.items())


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    print(page(), end="")
