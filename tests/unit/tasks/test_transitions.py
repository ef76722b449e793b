"""The Task state machine: the whole table, both ways."""

from __future__ import annotations

import itertools

import pytest

from bridge.cases.status_table import EFFECTS
from bridge.errors import IllegalTransition
from bridge.tasks.transitions import FINAL, MOVES, is_possible, path

DRAWN = {
    ("draft", "requested"),
    ("draft", "ready"),
    ("draft", "cancelled"),
    ("requested", "received"),
    ("requested", "accepted"),
    ("requested", "rejected"),
    ("requested", "cancelled"),
    ("received", "accepted"),
    ("received", "rejected"),
    ("received", "cancelled"),
    ("accepted", "in-progress"),
    ("accepted", "cancelled"),
    ("ready", "in-progress"),
    ("ready", "cancelled"),
    ("in-progress", "on-hold"),
    ("in-progress", "completed"),
    ("in-progress", "failed"),
    ("on-hold", "in-progress"),
}
"""FHIR R4 task.html, figure "Task state machine", read once more by hand."""


def test_the_table_knows_every_task_status_and_only_the_drawn_moves() -> None:
    assert set(MOVES) == set(EFFECTS["Task"])
    assert {(start, goal) for start, goals in MOVES.items() for goal in goals} == DRAWN


@pytest.mark.parametrize(("start", "goal"), list(itertools.product(MOVES, MOVES)))
def test_every_step_of_every_path_is_drawn_and_a_refused_goal_raises(start: str, goal: str) -> None:
    if not is_possible(start, goal):
        with pytest.raises(IllegalTransition, match=f"from {start} to {goal}"):
            path(start, goal)
        return

    steps = [start, *path(start, goal)]

    assert steps[-1] == goal
    assert all(move in DRAWN or move[1] == "entered-in-error" for move in itertools.pairwise(steps))


@pytest.mark.parametrize("start", sorted(FINAL - {"entered-in-error"}))
def test_nothing_leaves_an_end_but_the_statement_that_it_was_an_error(start: str) -> None:
    assert [goal for goal in MOVES if goal != start and is_possible(start, goal)] == ["entered-in-error"]


def test_in_progress_is_not_cancelled_unless_the_site_says_its_server_permits_it() -> None:
    assert not is_possible("in-progress", "cancelled")
    assert path("on-hold", "cancelled", direct_cancel=True) == ("cancelled",)


def test_a_status_nobody_knows_leads_nowhere() -> None:
    with pytest.raises(IllegalTransition):
        path("doing", "completed")
