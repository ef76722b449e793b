"""How far round its loop a case is, as people and the API are shown it: done, ahead, late, or passed over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from bridge.cases.changes import CaseClosed, Change
from bridge.cases.intents import IntentState, tells_the_end
from bridge.cases.loops import Mark, Milestone, milestones, next_mark
from bridge.cases.model import Case
from bridge.cases.terms import Trigger
from bridge.store.rows import OutboxRow
from bridge.web.views import CaseView, is_overdue


class Reach(StrEnum):
    """Where one milestone stands."""

    DONE = "done"
    OPEN = "open"
    """It lies ahead."""
    LATE = "late"
    """It lies ahead, and should not any more: it is the next one and overdue, or somebody was asked to see to it."""
    SKIPPED = "skipped"
    """A later one was reached, or the case ended, without it."""


class MilestoneView(msgspec.Struct, frozen=True, kw_only=True):
    """
    One milestone of the case's lane.

    ``evidence`` is what proves it: ``Type/id``, ``person:NAME`` or what the change was caused by.
    """

    mark: Mark
    state: Reach
    reached_at: datetime | None
    evidence: str | None


class CaseDetail(CaseView, frozen=True, kw_only=True):
    """A case with how far round its loop it is; that takes its history, so cases in lists come without."""

    milestones: tuple[MilestoneView, ...]
    """In the order of the lane's loop; none where the lane is switched off."""


_ASKED_FOR: Mapping[Trigger, Mark] = {
    Trigger.UNOWNED: Mark.ACCEPTED,
    Trigger.NOT_SCHEDULED: Mark.SCHEDULED,
    Trigger.NOT_FOLLOWED_UP: Mark.REACHED,
}
"""What somebody was asked to see to, by why the case climbed."""


def detailed(view: CaseView, found: tuple[MilestoneView, ...]) -> CaseDetail:
    """Return a case as shown with its milestones."""
    return CaseDetail(**msgspec.structs.asdict(view), milestones=found)


def loop_of(
    loop: Sequence[Mark], case: Case, history: Sequence[Change], writes: Iterable[OutboxRow], now: datetime
) -> tuple[MilestoneView, ...]:
    """Return the milestones of a lane's *loop* in order; *writes* are the case's outbox rows."""
    found = milestones(loop, history, _told_at(history, writes))
    late = _late(case, found, now)
    last = max((number for number, one in enumerate(found) if one.is_reached), default=-1)
    return tuple(
        MilestoneView(
            mark=one.mark,
            state=_state(case, one, behind=number < last, late=one.mark in late),
            reached_at=one.reached_at,
            evidence=one.evidence,
        )
        for number, one in enumerate(found)
    )


def _state(case: Case, one: Milestone, *, behind: bool, late: bool) -> Reach:
    if one.is_reached:
        return Reach.DONE
    if late:
        return Reach.LATE
    ended = not case.is_open and one.mark is not Mark.TOLD
    return Reach.SKIPPED if behind or ended else Reach.OPEN


def _late(case: Case, found: Sequence[Milestone], now: datetime) -> set[Mark | None]:
    asked: set[Mark | None] = {_ASKED_FOR.get(one.trigger) for one in case.escalations if one.is_open}
    return asked | ({next_mark(found)} if is_overdue(case, now) else set())


def _told_at(history: Iterable[Change], writes: Iterable[OutboxRow]) -> datetime | None:
    """When the EHR confirmed last what tells whoever asked how the case ended."""
    ended = max((change.version for change in history if isinstance(change.fact, CaseClosed)), default=None)
    if ended is None:
        return None
    sent = (row for row in writes if row.state is IntentState.CONFIRMED and row.intent.case_version >= ended)
    told = (row.settled_at for row in sent if tells_the_end(row.intent))
    return max((at for at in told if at is not None), default=None)
