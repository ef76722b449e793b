"""Every golden resource becomes exactly the Snapshot beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from bridge.mappers import MAPPERS

from .regenerate import CASES, fhir_version_of, name_of, outcome_of


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_resource_becomes_its_golden_snapshot(case: Path) -> None:
    expected = msgspec.json.decode(case.with_name("snapshot.json").read_bytes())

    assert msgspec.json.decode(outcome_of(case)) == expected


@pytest.mark.parametrize("kind", MAPPERS)
def test_every_type_has_golden_cases_of_every_fhir_version(kind: str) -> None:
    versions = Counter(fhir_version_of(case) for case in CASES if case.parent.parent.name == kind)

    assert versions.total() >= 6
    assert {"R4", "R4B", "R5"} <= set(versions)
