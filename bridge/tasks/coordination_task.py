"""
Our own Task: it shows the state of a case inside the EHR.

Shape: HL7 Clinical Order Workflows coordination task (hl7.fhir.uv.cow 1.0.0-ballot): identifier, code ``fulfill``,
``focus`` the request, ``for`` the patient; the due date is ``restriction.period.end`` and outcomes are in
``output`` (FHIR R4 task.html). R5 allows ``restriction`` only with ``fulfill`` and a focus (tsk-1), which holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo

from bridge.cases.blockers import LABELS
from bridge.cases.model import Case, Closure
from bridge.cases.snapshot import Party
from bridge.cases.terms import ClosureReason
from bridge.tasks.elements import (
    TASK_OWNERS,
    TASK_REQUESTERS,
    Json,
    clean,
    concept,
    identifier,
    instant,
    narrative,
    reason,
    reference,
)
from bridge.tasks.identity import CASE_SYSTEM, LANE_SYSTEM, OUTPUT_SYSTEM, STATUS_SYSTEM, task_identifier
from bridge.tasks.words import blocked_sentences, by_day, ended, ended_sentences, sentence, status_words

TASK_CODES = "http://hl7.org/fhir/CodeSystem/task-code"
_COMPLETED = ClosureReason.COMPLETED
_NEEDS_REASON = frozenset({"on-hold", "failed", "cancelled", "rejected", "entered-in-error"})


@dataclass(frozen=True)
class Form:
    """How resources are written for one connection: FHIR version, the site's zone, the Task intent to use."""

    fhir_version: str = "R4"
    zone: tzinfo = UTC
    task_intent: str = "order"
    message_status: str = "completed"


def render_task(
    case: Case,
    status: str,
    form: Form,
    *,
    lane_title: str,
    part_of: Sequence[str] = (),
    proven: Collection[str] = (),
) -> Json:
    """
    Return the coordination Task of *case* in *status*.

    Args:
        lane_title: The kind of work as people read it.
        part_of: The Tasks (``Task/id``) that asked us to do the work.
        proven: The evidence (``Type/id``) that was found on the EHR to be of this patient; the rest is words.
    """
    assert case.patient is not None, "a case without a patient is not written"
    assert case.patient.ref is not None
    authored = case.opened_at
    task: Json = {
        "resourceType": "Task",
        "text": narrative(_lines(case, lane_title, form)),
        "identifier": [identifier(CASE_SYSTEM, task_identifier(case))],
        "status": status,
        "businessStatus": concept(_business(case, form), (STATUS_SYSTEM, case.status.value)),
        "intent": form.task_intent,
        "priority": case.priority.value,
        "code": concept(lane_title, (TASK_CODES, "fulfill"), (LANE_SYSTEM, case.lane)),
        "description": clean(case.title)[:1000],
        "focus": {"reference": case.root},
        "for": reference(Party("Patient", case.patient.ref, None, case.patient.display), {"Patient"}),
        "authoredOn": instant(authored),
        "lastModified": instant(max(case.updated_at, authored)),
        "requester": reference(case.requester, TASK_REQUESTERS),
        "owner": _owner(case, form),
        "statusReason": _status_reason(case, status, form),
        "restriction": _restriction(case),
        "partOf": [{"reference": ref} for ref in part_of] or None,
        "note": _notes(case) or None,
        "output": outputs(case.closure, proven) if case.closure is not None else None,
    }
    return {name: value for name, value in task.items() if value is not None}


def outputs(closure: Closure, proven: Collection[str] = ()) -> list[Json]:
    """Return what came of the work: the outcome in words and what proves it, by reference where *proven*."""
    kind = {"coding": [{"system": OUTPUT_SYSTEM, "code": "outcome"}], "text": "Outcome"}
    proof = {"coding": [{"system": OUTPUT_SYSTEM, "code": "evidence"}], "text": "Evidence"}
    found: list[Json] = [{"type": kind, "valueString": clean(ended(closure))}]
    for evidence in closure.evidence:
        value = {"valueReference": {"reference": evidence}} if evidence in proven else {"valueString": clean(evidence)}
        found.append({"type": proof, **value})
    return found


def _business(case: Case, form: Form) -> str:
    words = status_words(case.status)
    if case.next_action is None:
        return words
    return f"{words}: {by_day(case.next_action.text, case.due_at, form.zone)}"


def _reason(case: Case) -> str:
    if case.closure is not None:
        return ended(case.closure)
    if case.blocker is not None:
        label = LABELS[case.blocker.category]
        return label if case.blocker.text == label else f"{label}: {case.blocker.text}"
    return status_words(case.status)


def _status_reason(case: Case, status: str, form: Form) -> Json | None:
    """A status that waits or failed says why; so does one that a corrected closure no longer fits."""
    corrected = status == "completed" and case.closure is not None and case.closure.reason is not _COMPLETED
    if status in _NEEDS_REASON or corrected:
        return reason(_reason(case), form.fhir_version)
    return None


def _owner(case: Case, form: Form) -> Json:
    allowed = TASK_OWNERS["R5" if form.fhir_version == "R5" else "R4"]
    named = reference(case.owner.party, allowed)
    return named if named is not None else {"display": clean(case.owner.display)}


def _restriction(case: Case) -> Json | None:
    """A due time before the work was asked for is moved to it: a Period must not end before it starts."""
    if case.due_at is None:
        return None
    return {"period": {"end": instant(max(case.due_at, case.opened_at + timedelta(seconds=1)))}}


def _notes(case: Case) -> list[Json]:
    return [
        {
            "time": instant(attempt.at),
            "text": f"Outreach by {attempt.channel.value}: {attempt.outcome.value.replace('-', ' ')}",
        }
        for attempt in case.outreach[-3:]
    ]


def _lines(case: Case, lane_title: str, form: Form) -> list[str]:
    lines = [_what(case, lane_title)]
    if case.closure is not None:
        return [*lines, ended_sentences(case.closure, case.closure.outcome, "Closed")]
    lines.append(f"{_business(case, form)}.")
    if case.blocker is not None:
        lines.append(blocked_sentences(case.blocker))
    backup = f" (backup: {case.backup.display})" if case.backup is not None else ""
    lines.append(f"Responsible: {case.owner.display}{backup}.")
    return lines


def _what(case: Case, lane_title: str) -> str:
    """Return what the work is, and which kind of work where that is not said yet."""
    title = clean(case.title)[:1000]
    return sentence(title if lane_title.casefold() in title.casefold() else f"{title} ({lane_title})")
