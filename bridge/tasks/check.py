"""
The last look before anything is sent: what we write is valid FHIR, and within our own rules.

fhir.resources has no plain R4; its R4B models fit R4 for Task and Communication (element for element, compared
with the official definitions). It does not check value sets, reference targets or invariants, so ours follow.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import msgspec

from bridge.errors import DomainError
from bridge.fhir.times import parse_instant
from bridge.tasks.elements import Json
from bridge.tasks.transitions import MOVES

_encoder = msgspec.json.Encoder(decimal_format="number")
_MESSAGE_STATUSES = frozenset({"completed", "in-progress", "not-done", "entered-in-error"})
_TELL_WHY = frozenset({"rejected", "cancelled", "on-hold", "failed"})


def encode(resource: Json) -> bytes:
    """Return the resource as JSON; decimals keep every digit they came with."""
    return _encoder.encode(resource)


def checked(resource: Json, fhir_version: str) -> bytes:
    """
    Return a resource we made ourselves as JSON, once it is found valid.

    Raises:
        DomainError: It is not; the message names the element. This is a fault of ours, nothing is sent.
    """
    body = encode(resource)
    try:
        _model(resource["resourceType"], fhir_version).model_validate_json(body)
    except ValueError as error:
        where = "; ".join(sorted({_place(problem) for problem in getattr(error, "errors", list)()}))
        raise DomainError(f"our {resource['resourceType']} is not valid {fhir_version}: {where or 'value'}") from None
    for problem in problems(resource):
        raise DomainError(f"our {resource['resourceType']}: {problem}")
    return body


def problems(resource: Json) -> list[str]:
    """Return which of our own rules a resource breaks."""
    found = [f"reference {ref} is not relative" for ref in _references(resource) if "://" in ref or ref[:1] == "#"]
    if resource["resourceType"] == "Task":
        found += _task_problems(resource)
    elif resource["status"] not in _MESSAGE_STATUSES:
        found.append(f"status {resource['status']} is not one we send")
    return found


def _task_problems(task: Json) -> list[str]:
    found = []
    if task["status"] not in MOVES:
        found.append("status is not a Task status")
    if task["status"] in _TELL_WHY and not _text_of(task.get("statusReason")):
        found.append(f"{task['status']} without statusReason.text")
    if parse_instant(task["lastModified"]) < parse_instant(task["authoredOn"]):
        found.append("lastModified before authoredOn (inv-1)")
    if "restriction" in task and "focus" not in task:
        found.append("restriction without focus (tsk-1)")
    if not task.get("for", {}).get("reference"):
        found.append("for has no patient")
    return found


def _text_of(stated: Any) -> str | None:
    if not isinstance(stated, dict):
        return None
    inner = stated.get("concept", stated)
    return inner.get("text") if isinstance(inner, dict) else None


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [ref for inner in value.values() for ref in _references(inner)]
    if isinstance(value, list):
        return [ref for inner in value for ref in _references(inner)]
    return []


def _place(problem: Any) -> str:
    return ".".join(str(part) for part in problem.get("loc", ()))


@cache
def _model(kind: str, fhir_version: str) -> Any:
    package = "fhir.resources" if fhir_version == "R5" else "fhir.resources.R4B"
    return getattr(import_module(f"{package}.{kind.lower()}"), kind)
