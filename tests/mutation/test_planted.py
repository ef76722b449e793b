"""Every planted bug still has its line, so that ``make mutants`` plants what it says."""

from __future__ import annotations

import pytest

from .__main__ import ROOT
from .planted import BUGS, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_line_to_break_stands_once(bug: Bug) -> None:
    text = (ROOT / bug.file).read_text()

    assert text.count(bug.old) == 1
    assert bug.old != bug.new
    assert all((ROOT / suite).exists() for suite in bug.suites)
