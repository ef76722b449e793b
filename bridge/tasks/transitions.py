"""
The Task state machine: which moves we make.

The table holds the moves drawn in FHIR R4 task.html (figure "Task state machine"), plus ``entered-in-error``,
which may be reached from anywhere. What we send follows it strictly, step by step; what we receive is accepted
however it comes and flagged. In-progress to cancelled is not drawn: HL7's Clinical Order Workflows guide
(1.0.0-ballot) says a Task may not move that way, so a site has to say that its server permits it.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.errors import IllegalTransition

START = ""
"""Before the Task exists; it may be created in any state."""

MOVES: Mapping[str, tuple[str, ...]] = {
    "draft": ("requested", "ready", "cancelled"),
    "requested": ("received", "accepted", "rejected", "cancelled"),
    "received": ("accepted", "rejected", "cancelled"),
    "accepted": ("in-progress", "cancelled"),
    "ready": ("in-progress", "cancelled"),
    "in-progress": ("on-hold", "completed", "failed"),
    "on-hold": ("in-progress",),
    "rejected": (),
    "cancelled": (),
    "failed": (),
    "completed": (),
    "entered-in-error": (),
}

FINAL = frozenset(status for status, moves in MOVES.items() if not moves)


def path(start: str, goal: str, *, direct_cancel: bool = False) -> tuple[str, ...]:
    """
    Return the statuses to write one after the other to get from *start* to *goal*; empty when it is there.

    Args:
        direct_cancel: Whether this server permits in-progress and on-hold to be cancelled directly.

    Raises:
        IllegalTransition: There is no way; nothing may be written.
    """
    if start == goal:
        return ()
    if goal == "entered-in-error" and start in MOVES:
        return (goal,)
    reached: dict[str, tuple[str, ...]] = {start: ()}
    frontier = [start]
    while frontier:
        here = frontier.pop(0)
        for following in _moves(here, direct_cancel):
            if following not in reached:
                reached[following] = (*reached[here], following)
                frontier.append(following)
    if goal in reached:
        return reached[goal]
    raise IllegalTransition(f"a Task does not move from {start} to {goal} (FHIR R4 task.html, state machine)")


def is_possible(start: str, goal: str, *, direct_cancel: bool = False) -> bool:
    """Whether there is a way from *start* to *goal*."""
    try:
        path(start, goal, direct_cancel=direct_cancel)
    except IllegalTransition:
        return False
    return True


def _moves(status: str, direct_cancel: bool) -> tuple[str, ...]:
    drawn = MOVES.get(status, ())
    if direct_cancel and status in ("in-progress", "on-hold"):
        return (*drawn, "cancelled")
    return drawn
