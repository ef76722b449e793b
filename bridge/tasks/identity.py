"""By what our own resources are known on an EHR, now and after a restore."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from bridge.cases.model import Case
from bridge.cases.snapshot import BusinessIdentifier

CASE_SYSTEM = "urn:bridge:case"
"""Identifier system of our coordination Tasks; the value is the case's id, with the round from the second on."""
MESSAGE_SYSTEM = "urn:bridge:message"
"""Identifier system of our Communications; the value is the intent's key."""
STATUS_SYSTEM = "urn:bridge:case-status"
LANE_SYSTEM = "urn:bridge:lane"
OUTPUT_SYSTEM = "urn:bridge:output"

COPY_SYSTEM = "urn:bridge:copy"
"""
Identifier system of a second copy of one of ours, once it is marked as entered in error.

It is ours still, and nothing that looks for the one that stands finds it; nor does ``If-None-Exist``, which a server
refuses for ever where two fit it (hapi-fhir #3141).
"""

OWN_SYSTEMS = frozenset({CASE_SYSTEM, MESSAGE_SYSTEM, COPY_SYSTEM})


def is_own(identifiers: Iterable[BusinessIdentifier]) -> bool:
    """Whether a resource with these identifiers was written by Bridge."""
    return any(identifier.system in OWN_SYSTEMS for identifier in identifiers)


def task_identifier(case: Case, of_round: int | None = None) -> str:
    """Return the identifier value of the case's coordination Task, now or in an earlier round."""
    number = of_round or case.round
    return case.id if number == 1 else f"{case.id}-{number}"


def case_of_task(value: str) -> str:
    """Return the id of the case whose Task, of whichever round, is identified by *value*."""
    return value.partition("-")[0]


def life_of_task(value: str) -> int:
    """Return of which life of its case the Task is that *value* identifies; the first where it is no such name."""
    number = value.partition("-")[2]
    return int(number) if number.isdecimal() else 1


def task_ref(case: Case, of_round: int | None = None) -> str:
    """Return ``Task/id`` for servers that let us choose ids (never all digits: HAPI refuses those)."""
    return f"Task/bridge-{task_identifier(case, of_round)}"


def is_own_id(ref: str) -> bool:
    """Whether ``Task/id`` is under an id that we chose: of such a one there is no second."""
    return ref.startswith("Task/bridge-")


def message_ref(key: str) -> str:
    """Return ``Communication/id`` for servers that let us choose ids."""
    return f"Communication/bridge-m{sha256(key.encode()).hexdigest()[:32]}"
