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


def test_the_same_seed_is_the_same_run(template: Path) -> None:
    one, other = simulate(4711, template), simulate(4711, template)

    assert one.trace == other.trace
