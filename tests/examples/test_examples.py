"""
Real payloads run through the mappers: mapped, ignored or parked, each with its reason, never an exception.

They are not part of this repository. ``BRIDGE_EXAMPLES`` names their folder; without it
``../shared/examples`` beside the repository is used where it exists. Run with ``-s`` to see the summary.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.mappers import MAPPERS, Why
from bridge.mappers.survey import Summary, survey

_REPOSITORY = Path(__file__).parents[2]
_SUFFIXES = {".json", ".ndjson"}


@pytest.fixture(scope="module")
def examples() -> Path:
    """Return the folder of examples, or skip."""
    named = os.environ.get("BRIDGE_EXAMPLES")
    folder = Path(named) if named else _REPOSITORY.parent / "shared" / "examples"
    if not folder.is_dir():
        pytest.skip(f"no examples: {'BRIDGE_EXAMPLES names no folder' if named else 'BRIDGE_EXAMPLES is not set'}")
    return folder


@pytest.fixture(scope="module", params=["R4", "R5"])
def summary(request: pytest.FixtureRequest, examples: Path) -> Summary:
    """Return what the mappers make of every example on a connection of that FHIR version."""
    files = sorted(path for path in examples.rglob("*") if path.suffix in _SUFFIXES)
    named = ((str(path.relative_to(examples)), path.read_bytes()) for path in files)
    found = survey(named, base_url="https://ehr.example/fhir", fhir_version=request.param)
    print(f"\n{len(files)} files read as {request.param}\n{found.text()}")
    return found


def test_every_example_has_a_verdict_with_a_reason(summary: Summary) -> None:
    assert summary.findings
    for found in summary.findings:
        assert found.outcome == "mapped" or (found.code and found.reason), found.where


def test_no_example_is_parked_for_a_fault_of_ours(summary: Summary) -> None:
    assert [found.where for found in summary.findings if found.code == Why.FAULT] == []


def test_nothing_of_the_four_types_is_ignored(summary: Summary) -> None:
    assert [one.where for one in summary.findings if one.type in MAPPERS and one.outcome == "ignored"] == []
