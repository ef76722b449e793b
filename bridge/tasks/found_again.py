"""What of ours stands on an EHR, read by a Bridge that does not know that it wrote it: its backup is older."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from bridge.cases.model import Case
from bridge.cases.snapshot import Effect, Party, Snapshot
from bridge.cases.terms import AttemptOutcome, Channel
from bridge.fhir.times import instant_in
from bridge.tasks.elements import Json, clean
from bridge.tasks.identity import OWN_SYSTEMS, STATUS_SYSTEM
from bridge.tasks.intents import outreach_text
from bridge.tasks.merge import patient_of, said_closed
from bridge.tasks.transitions import FINAL

_ATTEMPTS: Mapping[str, tuple[Channel, AttemptOutcome]] = {
    outreach_text(channel, outcome): (channel, outcome) for channel, outcome in product(Channel, AttemptOutcome)
}
_ASKED = {
    "ServiceRequest": ("active", Effect.ASKED),
    "MedicationRequest": ("draft", Effect.DRAFTED),
    "Appointment": ("proposed", Effect.PROPOSED),
    "Task": ("requested", Effect.ASKED),
}
_CHANGING = (" Next: ", " Responsible: ")
"""From where on a message says what is to come, which depends on when it was put into words."""


def gist(text: str) -> str:
    """Return what a status message says happened: two with the same gist tell the same."""
    for start in _CHANGING:
        text = text.partition(start)[0]
    return clean(text)


def text_of(message: Json) -> str:
    """Return what a Communication of ours says."""
    for part in message.get("payload") or ():
        said = part.get("contentString") or (part.get("contentCodeableConcept") or {}).get("text")
        if isinstance(said, str):
            return said
    return ""


def attempt_told(message: Json) -> tuple[Channel, AttemptOutcome] | None:
    """Return which attempt to reach the patient a Communication of ours records, if it is one of those."""
    return _ATTEMPTS.get(text_of(message))


def is_own_json(resource: Json) -> bool:
    """Whether Bridge wrote this."""
    named = resource.get("identifier") or ()
    return any(isinstance(one, dict) and one.get("system") in OWN_SYSTEMS for one in named)


def says_the_same(message: Json, case: Case, text: str) -> bool:
    """Whether a Communication that stands on the EHR tells of the case what *text* would."""
    stands = message.get("status") != "entered-in-error" and root_of(message) == case.root
    return stands and gist(text_of(message)) == gist(text)


def root_of(message: Json) -> str | None:
    """Return which piece of work (``Type/id``) a Communication of ours is about."""
    for named in message.get("basedOn") or ():
        stated = named.get("reference") if isinstance(named, dict) else None
        if isinstance(stated, str):
            return stated
    return None


def work_told(task: Json) -> Snapshot | None:
    """
    Return the work that our own Task stands for, as something that is asked for; ``None`` where it names none.

    It is older than any version that the EHR gives of it, so that each of those is news.
    """
    ref = (task.get("focus") or {}).get("reference")
    kind = ref.partition("/")[0] if isinstance(ref, str) else None
    if kind not in _ASKED:
        return None
    status, effect = _ASKED[kind]
    patient = _party(task.get("for"))
    return Snapshot(
        ref=str(ref),
        type=kind,
        version="0",
        updated_at=None,
        status=status,
        effect=effect,
        patient=Party(type="Patient", ref=patient_of(task), display=patient.display) if patient is not None else None,
        requester=_party(task.get("requester")),
        title=str(task.get("description") or kind),
        authored_at=instant_in(task.get("authoredOn")),
    )


def is_ended_elsewhere(task: Json, case: Case) -> bool:
    """Whether our Task says that the case was closed, and the case is open: somebody closed it after the backup."""
    return case.is_open and task.get("status") in FINAL and said_closed(task)


def differences(task: Json, rendered: Json, case: Case) -> list[str]:
    """
    Return what our own Task says otherwise than the case, in words without patients' data.

    Args:
        rendered: The Task as the case would have it.
    """
    if task.get("status") in FINAL and not case.is_open:
        return []
    found = []
    says = _status(task)
    if says is not None and says != case.status.value:
        found.append(f"the EHR says {says.replace('-', ' ')}, the case {case.status.value.replace('-', ' ')}")
    if _shown(task.get("owner")) != _shown(rendered.get("owner")):
        found.append("the EHR names another owner than the case")
    if task.get("status") == rendered.get("status") and _text(task, "statusReason") != _text(rendered, "statusReason"):
        found.append("the EHR gives another reason than the case")
    return found


def as_note(task: Json, ref: str) -> str:
    """Return what a Task of ours says, as a remark for whoever takes the case up again."""
    status = (task.get("businessStatus") or {}).get("text")
    owner = (task.get("owner") or {}).get("display")
    outcomes = [one.get("valueString") for one in task.get("output") or () if isinstance(one, dict)]
    said = [f"it said: {status}" if status else None, _text(task, "statusReason"), *outcomes]
    said.append(f"responsible: {owner}" if owner else None)
    told = "; ".join(one for one in said if one)
    return (
        f"Bridge was restored from a backup. {ref} was written after that backup, and {told or 'says otherwise'}. "
        "What people entered since the backup is not known here any more: look, and enter it again."
    )


def _status(task: Json) -> str | None:
    for one in (task.get("businessStatus") or {}).get("coding") or ():
        if isinstance(one, dict) and one.get("system") == STATUS_SYSTEM:
            code = one.get("code")
            return code if isinstance(code, str) else None
    return None


def _party(named: Any) -> Party | None:
    """Return whom a reference that Bridge wrote itself names."""
    if not isinstance(named, dict):
        return None
    ref, display = named.get("reference"), named.get("display")
    kind = ref.partition("/")[0] if isinstance(ref, str) else named.get("type")
    return Party(type=kind, ref=ref, display=display) if ref is not None or display is not None else None


def _shown(owner: Any) -> tuple[Any, Any]:
    named = owner if isinstance(owner, dict) else {}
    return named.get("reference"), named.get("display")


def _text(task: Json, element: str) -> str | None:
    reason = task.get(element) or {}
    concept = reason.get("concept", reason) if isinstance(reason, dict) else {}
    text = concept.get("text") if isinstance(concept, dict) else None
    return text if isinstance(text, str) else None
