"""
Which resources make one case.

The root is the request being coordinated: from a resource one follows its parent (a Task's ``focus``, else
``basedOn``, else ``partOf``; an Appointment's ``basedOn``) until there is none, or it is not known yet. What
groups form depends only on the newest known version of each resource, never on the order they came in.

A group never holds two patients. A resource stands aside from its parent, and is a root, where the nearest
resource above it that names a patient names another one; and where nothing above it does (the parent is not
known yet, or has no patient) but the smallest reference of the group is of another patient. Two records of which
one says that the other took its place are one patient (``people.heir``); two that only look alike never are.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple

from bridge.cases.people import Person, heir
from bridge.cases.snapshot import Snapshot

CROSSES_PATIENTS = "names a resource of another patient; not joined"


_Patients = Mapping[str, str | None]


class Grouping(NamedTuple):
    """Each resource's root, and which resources do not join the parent they name."""

    roots: Mapping[str, str]
    aside: Set[str]


def group(known: Mapping[str, Snapshot], people: Mapping[str, Person] | None = None) -> Grouping:
    """Return the groups that *known* resources form; whatever they name should be known too, if it is at all."""
    people = people or {}
    patients = {ref: _patient_of(snapshot, people) for ref, snapshot in known.items()}
    linked = (ref for ref, snapshot in known.items() if snapshot.parent is not None)
    aside = {ref for ref in linked if _crosses(ref, known, patients)}
    roots = _roots(known, aside)
    torn = _torn(roots, known, patients, aside)
    if torn:
        aside |= torn
        roots = _roots(known, aside)
    return Grouping(roots, aside)


def _roots(known: Mapping[str, Snapshot], aside: Set[str]) -> dict[str, str]:
    return {ref: ref if one.parent is None else _root_of(ref, known, aside) for ref, one in known.items()}


def _root_of(ref: str, known: Mapping[str, Snapshot], aside: Set[str]) -> str:
    """
    Return the root of the group that *ref* belongs to.

    An unknown parent is the root for the time being: its children wait for it under its name. Of resources
    that name each other in a circle the smallest reference is the root.
    """
    path = [ref]
    while True:
        snapshot = known.get(path[-1])
        if snapshot is None or snapshot.parent is None or path[-1] in aside:
            return path[-1]
        if snapshot.parent in path:
            return min(path[path.index(snapshot.parent) :])
        path.append(snapshot.parent)


def _crosses(ref: str, known: Mapping[str, Snapshot], patients: _Patients) -> bool:
    ours = patients[ref]
    above = _patient_above(ref, known, patients) if ours is not None else None
    return above is not None and above != ours


def _patient_above(ref: str, known: Mapping[str, Snapshot], patients: _Patients) -> str | None:
    """Return the patient of the nearest resource above *ref* that names one."""
    seen = {ref}
    parent = known[ref].parent
    while parent is not None and parent not in seen and parent in known:
        patient = patients[parent]
        if patient is not None:
            return patient
        seen.add(parent)
        parent = known[parent].parent
    return None


def _torn(roots: Mapping[str, str], known: Mapping[str, Snapshot], patients: _Patients, aside: Set[str]) -> set[str]:
    """Return the resources whose group has another patient than theirs, although nothing above them has one."""
    named = [(ref, roots[ref], patient) for ref, patient in patients.items() if patient is not None]
    one: dict[str, str] = {}
    mixed = {root for _, root, patient in named if one.setdefault(root, patient) != patient}
    if not mixed:
        return set()
    chosen = {root: patient for _, root, patient in sorted(named, reverse=True) if root in mixed}
    return {
        ref
        for ref, root, own in named
        if root in mixed
        and own != chosen[root]
        and ref != root
        and ref not in aside
        and _patient_above(ref, known, patients) is None
    }


def _patient_of(snapshot: Snapshot, people: Mapping[str, Person]) -> str | None:
    named = snapshot.patient.ref if snapshot.patient is not None else None
    return heir(named, people) if named is not None else None
