"""Seeded runs of everything together: whatever goes wrong on the way, in the end all promises hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from .__main__ import failure
from .play import simulate
from .world import blank

RUNS = 40
"""What fits into the fast suite; ``make simulate`` does more."""
AT_ONCE = 10


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blank(tmp_path_factory.mktemp("blank"))


@pytest.mark.parametrize("first", range(0, RUNS, AT_ONCE))
def test_all_promises_hold_whatever_the_seed(first: int, template: Path) -> None:
    runs = [simulate(seed, template) for seed in range(first, first + AT_ONCE)]

    assert [failure(run) for run in runs if run.violations] == []


def test_a_subscription_that_this_ehr_never_rings_for_may_stay_suspected(template: Path) -> None:
    """HAPI 8.0.0 calls a topic's Subscription active in R4 and never fires (seen 2026-11): the poll brings it all."""
    run = simulate(7877, template)

    assert run.violations == []
    assert any("changes in a row came without a notification" in line for line in run.trace)


def test_what_a_lower_rung_of_the_ladder_did_not_tell_is_found_once_bridge_has_climbed(template: Path) -> None:
    """While ``_lastUpdated`` is ignored, work that ended is not told of by the date of its order."""
    assert simulate(10959, template).violations == []


def test_whom_an_order_is_about_by_an_undated_change_after_its_case_was_closed_is_not_known(template: Path) -> None:
    """docs/guarantees.md, "Changes that an EHR does not date": the sweep looks at what open cases rest on."""
    assert simulate(11137, template).violations == []


def test_a_record_that_was_deleted_without_a_word_and_comes_back_keeps_what_was_written_in_it(template: Path) -> None:
    """docs/guarantees.md, "A merge without a word": whoever has the work since is taken for the same person."""
    assert simulate(11440, template).violations == []


def test_the_same_seed_is_the_same_run(template: Path) -> None:
    one, other = simulate(4711, template), simulate(4711, template)

    assert one.trace == other.trace
