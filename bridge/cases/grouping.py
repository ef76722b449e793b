"""
Which resources make one case.

The root is the request being coordinated: from a resource one follows its parent (a Task's ``focus``, else
``basedOn``, else ``partOf``; an Appointment's ``basedOn``) until there is none, or it is not known yet. What
groups form depends only on the newest known version of each resource, never on the order they came in.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.cases.snapshot import Snapshot

CROSSES_PATIENTS = "names a resource of another patient; not joined"


def root_of(ref: str, known: Mapping[str, Snapshot]) -> str:
    """
    Return the root of the group that *ref* belongs to.

    An unknown parent is the root for the time being: its children wait for it under its name. A parent of
    another patient is not followed (never the wrong patient). Of resources that name each other in a circle
    the smallest reference is the root.
    """
    path = [ref]
    while True:
        parent = parent_of(path[-1], known)
        if parent is None:
            return path[-1]
        if parent in path:
            return min(path[path.index(parent) :])
        path.append(parent)


def parent_of(ref: str, known: Mapping[str, Snapshot]) -> str | None:
    """Return the parent that counts: named by the newest version, and not of another patient."""
    snapshot = known.get(ref)
    if snapshot is None or snapshot.parent is None:
        return None
    return None if crosses_patients(snapshot, known) else snapshot.parent


def crosses_patients(snapshot: Snapshot, known: Mapping[str, Snapshot]) -> bool:
    """Whether *snapshot* names a parent whose patient is another one."""
    parent = known.get(snapshot.parent or "")
    if parent is None or parent.patient is None or snapshot.patient is None:
        return False
    ours, theirs = snapshot.patient.ref, parent.patient.ref
    return ours is not None and theirs is not None and ours != theirs
