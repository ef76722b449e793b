"""docs/measures.md says what the definitions say, and the definitions are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cases.measures.defining import Definition, Kind
from bridge.cases.measures.definitions import DEFINITIONS
from bridge.cases.measures.document import page
from tests.unit.cases.measures.histories import rules

PAGE = Path(__file__).parents[4] / "docs" / "measures.md"


def test_page_is_what_the_definitions_say() -> None:
    expected = "run: python -m bridge.cases.measures.document > docs/measures.md"
    assert PAGE.read_text(encoding="utf-8") == page(), expected


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda one: one.code)
def test_a_definition_says_everything_that_its_kind_needs(one: Definition) -> None:
    assert bool(one.numerator) == (one.kind is Kind.PROPORTION)
    assert bool(one.measured) == bool(one.unit) == (one.kind is not Kind.PROPORTION)
    assert bool(one.category) >= (one.kind in (Kind.COUNT, Kind.TIME))
    assert one.observe.__doc__


def test_codes_are_unique() -> None:
    assert len({one.code for one in DEFINITIONS}) == len(DEFINITIONS)


def test_lanes_that_a_measure_is_about_exist() -> None:
    assert all(lane in rules().lanes for one in DEFINITIONS for lane in one.lanes)
