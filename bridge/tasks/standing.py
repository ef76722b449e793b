"""Which Task status says where a case stands, as tables."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.cases.model import Case
from bridge.cases.snapshot import Effect, Snapshot
from bridge.cases.terms import ClosureReason, Status
from bridge.tasks.transitions import FINAL, is_possible, path

ENDS: Mapping[ClosureReason, tuple[str, ...]] = {
    ClosureReason.COMPLETED: ("completed",),
    ClosureReason.DECLINED: ("rejected", "failed"),
    ClosureReason.REDIRECTED: ("rejected", "failed"),
    ClosureReason.UNABLE_TO_REACH: ("failed", "cancelled"),
    ClosureReason.CANCELLED_BY_REQUESTER: ("cancelled", "failed"),
    ClosureReason.ENTERED_IN_ERROR: ("entered-in-error",),
    ClosureReason.DUPLICATE: ("entered-in-error",),
    ClosureReason.OTHER: ("cancelled", "failed"),
}
"""
Closure reason -> Task status, the first that can be reached from where the Task is.

``rejected`` is only drawn before acceptance and ``cancelled`` only before in-progress (transitions.MOVES): after
that the Task is ``failed``, with the reason in words. ``failed`` is the only drawn way to end work in progress
without success.
"""


def coordination_status(case: Case, *, knows_ready: bool = True) -> tuple[str, ...]:
    """
    Return the status of our own Task for *case*, best first.

    New is ``ready`` (acceptance is a given: we author and perform it; FHIR R4 task.html), a blocked case is
    ``on-hold``, an open one ``in-progress``.

    Args:
        knows_ready: False for partners that exclude ``ready`` (Gravity SDOH-CC): ``accepted`` then.
    """
    if case.closure is not None:
        return ENDS[case.closure.reason]
    if case.blocker is not None:
        return ("on-hold",)
    if case.status is Status.NEW:
        return ("ready" if knows_ready else "accepted", "in-progress")
    return ("in-progress",)


def steps(start: str | None, goals: tuple[str, ...], *, direct_cancel: bool = False) -> tuple[str, ...]:
    """
    Return the statuses to write one after the other; the first goal that can be reached wins.

    A Task that does not exist yet (*start* ``None``) is created in the first goal that fits a new Task. One that
    has ended stays as it ended when the case has ended too, however that was corrected: nothing is drawn from
    there, and the reason and the outputs say what is true.

    Raises:
        IllegalTransition: None of the goals can be reached.
    """
    if start is None:
        return (next((goal for goal in goals if goal != "rejected"), goals[0]),)
    for goal in goals:
        if is_possible(start, goal, direct_cancel=direct_cancel):
            return path(start, goal, direct_cancel=direct_cancel)
    if start in FINAL and all(goal in FINAL for goal in goals):
        return ()
    return path(start, goals[-1], direct_cancel=direct_cancel)


_NOT_YET_BEGUN = frozenset({"requested", "received"})
_ASKED_ENDS = {**ENDS, ClosureReason.DUPLICATE: ("rejected", "failed")}
"""How a Task that asks us ends: that of a duplicate was asked for in earnest, and is refused with that reason."""


def asked_status(case: Case, task: Snapshot, *, acknowledge_with: str, direct_cancel: bool = False) -> tuple[str, ...]:
    """
    Return the statuses to write, one after the other, to a Task that asks us to do the work; none to leave it.

    It is acknowledged when we know of it, ``in-progress`` once somebody acts, and ends with the case. A Task that
    is final or a draft is left alone, and one put on hold by its author while the case is open; so is everything
    when the case ended because the request itself was an error.
    """
    if task.status in FINAL or task.effect in (Effect.DRAFTED, Effect.VOID) or case.merged_into is not None:
        return ()
    if case.closure is not None:
        if case.closure.reason is ClosureReason.ENTERED_IN_ERROR:
            return ()
        goals = _ASKED_ENDS[case.closure.reason]
    elif task.effect is Effect.PAUSED:
        return ()
    elif case.status is Status.NEW:
        goals = (acknowledge_with,) if task.status in _NOT_YET_BEGUN else (task.status,)
    else:
        goals = ("in-progress",)
    for goal in goals:
        if is_possible(task.status, goal, direct_cancel=direct_cancel):
            return path(task.status, goal, direct_cancel=direct_cancel)
    return ()
