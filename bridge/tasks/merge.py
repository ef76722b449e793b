"""
Changing a resource that others also write: only our elements, everything else kept equal in value.

``AUTHORITY`` says who decides each element of our coordination Task once it is on the EHR.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from html import unescape
from typing import Any

import msgspec

from bridge.cases.model import Case
from bridge.cases.snapshot import Priority
from bridge.errors import DomainError
from bridge.fhir.times import parse_instant
from bridge.tasks.coordination_task import Form, outputs
from bridge.tasks.elements import Json, concept, instant, narrative, reason
from bridge.tasks.identity import CASE_SYSTEM, COPY_SYSTEM, OUTPUT_SYSTEM, OWN_SYSTEMS, STATUS_SYSTEM
from bridge.tasks.words import ended

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Decides(StrEnum):
    """Who has the last word about an element."""

    WE = "we"
    """Bridge: it is written whenever it differs."""
    EHR = "ehr"
    """The EHR's users: written when the Task is created, then never touched."""
    BOTH = "both"
    """A list that both add to: our entries are kept up to date, others' stay."""
    HIGHER = "higher"
    """Whoever is more urgent: a clinician may raise it on the Task, the request may raise it too."""


AUTHORITY = {
    "status": Decides.WE,
    "businessStatus": Decides.WE,
    "statusReason": Decides.WE,
    "owner": Decides.WE,
    "restriction": Decides.WE,
    "description": Decides.WE,
    "focus": Decides.WE,
    "for": Decides.WE,
    "text": Decides.WE,
    "lastModified": Decides.WE,
    "code": Decides.EHR,
    "intent": Decides.EHR,
    "priority": Decides.HIGHER,
    "requester": Decides.EHR,
    "authoredOn": Decides.EHR,
    "partOf": Decides.EHR,
    "identifier": Decides.BOTH,
    "output": Decides.BOTH,
    "note": Decides.BOTH,
}
"""Every element our coordination Task has. ``intent`` never changes (FHIR R4 task.html)."""

_NOT_COMPARED = frozenset({"lastModified", "text", "meta"})
"""Compared otherwise or not at all: a stamp, the narrative (by its words: servers rewrite markup), the server's own."""

_URGENCY = [None, *(priority.value for priority in Priority)]
_TAG = re.compile(r"<[^>]*>")


def decode(raw: bytes) -> Json:
    """Return a resource as a dict, decimals with every digit they came with."""
    found: Json = _decoder.decode(raw)
    return found


def merge_task(theirs: Json, ours: Json) -> Json:
    """
    Return the EHR's copy of our Task with our elements as they should be.

    Raises:
        DomainError: Their copy carries a modifierExtension, which may negate it: a person must look.
    """
    refuse_modifiers(theirs)
    merged = dict(theirs)
    for element, decides in AUTHORITY.items():
        if decides is Decides.WE:
            if element in ours:
                merged[element] = ours[element]
            else:
                merged.pop(element, None)
        elif decides is Decides.BOTH:
            combined = _combine(element, theirs.get(element) or [], ours.get(element) or [])
            if combined:
                merged[element] = combined
            else:
                merged.pop(element, None)
        elif decides is Decides.HIGHER and _urgency(ours.get(element)) > _urgency(theirs.get(element)):
            merged[element] = ours[element]
    merged["lastModified"] = _stamp(parse_instant(ours["lastModified"]), theirs)
    return merged


def move_source_task(theirs: Json, case: Case, status: str, form: Form, proven: Collection[str] = ()) -> Json:
    """
    Return a Task that asked us to do the work, moved to *status*; nothing else of it changes but its stamp.

    The reason is given for rejected, failed and cancelled; completed brings the outcome in ``output``, the
    evidence by reference where it is *proven*.
    """
    refuse_modifiers(theirs)
    moved = {**theirs, "status": status}
    moved["lastModified"] = _stamp(case.updated_at, theirs)
    if case.closure is not None and status in ("rejected", "failed", "cancelled"):
        moved["statusReason"] = reason(ended(case.closure), form.fhir_version)
    elif "statusReason" in moved:
        del moved["statusReason"]
    if case.closure is not None and status == "completed":
        moved["output"] = _combine("output", theirs.get("output") or [], outputs(case.closure, proven))
    return moved


_KEPT_IN_ERROR = frozenset(
    ("resourceType", "id", "meta", "identifier", "intent", "code", "category", "for", "subject", "authoredOn", "sent")
)
"""What stays of our own resource when it is taken back: whose it was, and that it was."""


def retract(theirs: Json, at: datetime, fhir_version: str) -> Json:
    """
    Return our own Task or Communication as one that should never have been: no word of the work stays in it.

    It stands in the record of a patient whose work it is not, so who it was for is all that it goes on saying.
    """
    words = "Written for this patient in error, and taken back."
    is_task = theirs.get("resourceType") == "Task"
    kept = {name: value for name, value in theirs.items() if name in _KEPT_IN_ERROR}
    stamp = {"lastModified": _stamp(at, theirs)} if is_task else {}
    why = reason(words, fhir_version) if is_task else concept(words)
    return {**kept, **stamp, "status": "entered-in-error", "statusReason": why, "text": narrative([words])}


def retire(theirs: Json, kept: str, at: datetime, fhir_version: str) -> Json:
    """
    Return a second copy of our own resource as one that should never have been, for *kept* (``Type/id``) stands.

    It stays in the same patient's record: what others added to it stays too. Its identifier moves to ``COPY_SYSTEM``.
    """
    words = f"A second copy of {kept}, made in error: see there."
    moved = {**theirs, "identifier": [_as_copy(one) for one in theirs["identifier"]], "status": "entered-in-error"}
    moved |= {"text": narrative([words])}
    if theirs.get("resourceType") != "Task":
        return {**moved, "statusReason": concept(words)}
    told = {"statusReason": reason(words, fhir_version), "businessStatus": concept(words, _CLOSED)}
    return {**moved, **told, "lastModified": _stamp(at, theirs)}


def _as_copy(named: Any) -> Any:
    ours = isinstance(named, dict) and named.get("system") in OWN_SYSTEMS
    return {**named, "system": COPY_SYSTEM, "use": "old"} if ours else named


OVER = ("cancelled", "failed")
"""How our Task of an earlier life of a case ends, the first that is drawn from where it stands."""


def end_earlier(theirs: Json, status: str, words: str, at: datetime, fhir_version: str) -> Json:
    """
    Return our Task of an earlier life of a case, moved to *status* on its way to an end of ``OVER``.

    Args:
        words: Why it ended. Once it did they take the place of what it said is to be done.
    """
    moved = {**theirs, "status": status, "lastModified": _stamp(at, theirs)}
    if status not in OVER:
        moved.pop("statusReason", None)
        return moved
    what = theirs.get("description")
    told = {
        "statusReason": reason(words, fhir_version),
        "businessStatus": concept(words, (STATUS_SYSTEM, "closed")),
        "text": narrative([what, words] if isinstance(what, str) else [words]),
    }
    return {**moved, **told}


def patient_of(resource: Json) -> str | None:
    """Return whose Task or Communication this is (``Patient/id``)."""
    named = resource.get("for" if resource.get("resourceType") == "Task" else "subject")
    stated = named.get("reference") if isinstance(named, dict) else None
    return stated if isinstance(stated, str) else None


def said_closed(task: Json) -> bool:
    """Whether our own Task says that its case is closed: then we ended it, and nobody else."""
    codings = (task.get("businessStatus") or {}).get("coding") or []
    return any(isinstance(one, dict) and (one.get("system"), one.get("code")) == _CLOSED for one in codings)


_CLOSED = (STATUS_SYSTEM, "closed")


def is_taken_back(task: Json) -> bool:
    """Whether our own Task was emptied by ``retract``: then we ended it, and nobody else."""
    return task.get("status") == "entered-in-error" and "focus" not in task


def carries_identifier(task: Json) -> bool:
    """Whether a Task carries an identifier by which we find it."""
    return any(_is_ours("identifier", one) for one in task.get("identifier") or ())


def same(one: Json, other: Json) -> bool:
    """Whether two copies say the same, stamps and the markup of the narrative apart."""
    return _compared(one) == _compared(other) and _words(one) == _words(other)


def refuse_modifiers(theirs: Json) -> None:
    """Raise DomainError where the EHR's copy carries a modifierExtension, at whatever depth."""
    if _is_modified(theirs):
        raise DomainError("the EHR's copy carries a modifierExtension that Bridge does not know")


def _is_modified(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value.get("modifierExtension")) or any(_is_modified(inner) for inner in value.values())
    return isinstance(value, list) and any(_is_modified(inner) for inner in value)


def _urgency(priority: Any) -> int:
    """Return how urgent a priority is; one we do not know is left as it is, so it counts as the highest."""
    return _URGENCY.index(priority) if priority in _URGENCY else len(_URGENCY)


def _words(resource: Json) -> str:
    narrative = resource.get("text")
    div = narrative.get("div") if isinstance(narrative, dict) else None
    return " ".join(unescape(_TAG.sub(" ", div)).split()) if isinstance(div, str) else ""


def _compared(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name not in _NOT_COMPARED}


def _combine(element: str, theirs: list[Any], ours: list[Any]) -> list[Any]:
    if element == "note":
        known = {_remark(note) for note in theirs if isinstance(note, dict)}
        return [*theirs, *(note for note in ours if _remark(note) not in known)]
    if [entry for entry in theirs if _is_ours(element, entry)] == ours:
        return theirs
    kept = [entry for entry in theirs if not _is_ours(element, entry)]
    return [*kept, *ours]


def _remark(note: Json) -> tuple[Any, Any]:
    """Return what tells one note from another: its words and its moment, however the server writes the zone."""
    try:
        return note.get("text"), parse_instant(note["time"])
    except (KeyError, TypeError, ValueError):
        return note.get("text"), note.get("time")


def _is_ours(element: str, entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    if element == "identifier":
        return entry.get("system") == CASE_SYSTEM
    codings = (entry.get("type") or {}).get("coding") or []
    return any(isinstance(coding, dict) and coding.get("system") == OUTPUT_SYSTEM for coding in codings)


def _stamp(at: datetime, theirs: Json) -> str:
    """Return when we changed it: not before it was made (inv-1: lastModified >= authoredOn) or last changed."""
    latest = max(at, *(_moment(theirs.get(name)) for name in ("authoredOn", "lastModified")))
    return instant(latest + timedelta(seconds=1) if latest.microsecond else latest)


def _moment(text: Any) -> datetime:
    try:
        return parse_instant(text)
    except (TypeError, ValueError, AttributeError):
        return datetime.min.replace(tzinfo=UTC)
