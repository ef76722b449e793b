"""Which of several versions that were read together brought a case to where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bridge.cases.changes import Cause
from bridge.cases.derive import View
from bridge.cases.model import Case
from bridge.cases.sources import SourceRow
from bridge.cases.terms import Status


def moved_by(
    root: str,
    rows: Sequence[SourceRow],
    causes: Mapping[str, Cause],
    known: Mapping[str, SourceRow],
    prior: Case | None,
    view: View,
    look: Callable[[Sequence[SourceRow]], View | None],
) -> Cause | None:
    """
    Return what brought a group to what is told of it, as if each version had been read by itself.

    In the order in which they came, the request before what belongs to it. How many an EHR puts on one page is chance,
    and what is told is named by the version that brought it about: a new database has to find it by that name, however
    the pages fall (rule ours). ``None`` where there is no choice, or nothing new to tell.

    Args:
        causes: What arrived, in its order, members of other groups too.
        known: The sources as they were before.
        look: How the case would stand with these members.
    """
    members = {row.ref: row for row in rows}
    tells = _told(view)
    if len({causes[ref] for ref in members if ref in causes}) < 2:
        return None
    if prior is not None and (prior.status, prior.visit_at) == tells:
        return None
    arrived = sorted((ref for ref in causes if ref in members), key=lambda ref: ref != root)
    for ref in reversed(arrived[1:]):
        before = known.get(ref)
        if before is not None and before.root == root:
            members[ref] = before
        else:
            del members[ref]
        if _told(look(list(members.values()))) != tells:
            return causes[ref]
    return causes[arrived[0]]


def _told(view: View | None) -> tuple[Status, datetime | None] | None:
    return (view.status.value, view.visit_at) if view is not None else None
