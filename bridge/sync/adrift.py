"""What of ours is found on an EHR after a restore, put in the words in which it is kept (``store.rows.Adrift``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bridge.fhir.source import SourceVersion
from bridge.fhir.times import instant_in
from bridge.store.rows import Adrift
from bridge.tasks.elements import Json
from bridge.tasks.found_again import attempt_told, root_of
from bridge.tasks.identity import CASE_SYSTEM, life_of_task
from bridge.tasks.merge import decode, is_taken_back, said_closed
from bridge.tasks.transitions import FINAL


def has_case(one: Adrift, holders: Mapping[str, str]) -> bool:
    """Whether there is the case that this is of; a Task is of no other than that of its own work."""
    return holders.get(one.root) == one.root if one.life else one.root in holders


def stands(version: SourceVersion) -> bool:
    """Whether it was not taken back: a Task of what should never have been work says that its case was closed."""
    found = decode(version.raw)
    return found.get("status") != "entered-in-error" or (said_closed(found) and not is_taken_back(found))


def name_of_task(version: SourceVersion) -> str | None:
    """Return the name under which a Task of ours tells of its case, if it stands."""
    return named_by(decode(version.raw), CASE_SYSTEM) if stands(version) else None


def last_words(told: Sequence[SourceVersion]) -> dict[str, str]:
    """Return which Communication (``Type/id``) told of each root last; attempts to reach a patient tell nobody."""
    found: dict[str, tuple[datetime, str]] = {}
    for version in told:
        message = decode(version.raw)
        root, at = root_of(message), instant_in(message.get("sent")) or version.updated_at
        if root is None or at is None or attempt_told(message) is not None or not stands(version):
            continue
        found[root] = max(found.get(root, (at, version.ref)), (at, version.ref))
    return {root: ref for root, (_, ref) in found.items()}


def adrift_messages(messages: Sequence[SourceVersion], told: Sequence[SourceVersion]) -> list[Adrift]:
    """
    Return what Communications of ours are of which nothing is known but that they stand there.

    Args:
        told: All of ours, those too that are known.
    """
    by_root: dict[str, list[str]] = {}
    for version in told:
        by_root.setdefault(_about(version), []).append(version.ref)
    last, found = last_words(told), []
    for version in messages:
        root = _about(version)
        is_last = last.get(root) == version.ref
        beside = tuple(ref for ref in by_root.get(root, ()) if ref != version.ref) if is_last else ()
        found.append(Adrift(root=root, ref=version.ref, is_last=is_last, beside=beside))
    return found


def _about(version: SourceVersion) -> str:
    return root_of(decode(version.raw)) or ""


def adrift_task(version: SourceVersion) -> Adrift:
    """Return what a Task of ours is, of which nothing is known but that it stands there."""
    task = decode(version.raw)
    root, life = str((task.get("focus") or {}).get("reference")), life_of_task(name_of_task(version) or "")
    return Adrift(root=root, ref=version.ref, life=life, is_over=task.get("status") in FINAL)


def named_by(resource: Json, system: str) -> str | None:
    """Return the value of the first identifier of *system*."""
    for one in resource.get("identifier") or ():
        if isinstance(one, dict) and one.get("system") == system:
            return str(one.get("value"))
    return None
