"""docs/mapping.md says what the tables say, and the tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bridge.cases.snapshot import Effect, Snapshot
from bridge.cases.status_table import STATUS_TABLE
from bridge.fhir import wire
from bridge.mappers import MAPPERS
from bridge.mappers.document import EFFECTS_ON_CASE, ELEMENTS, IN_CASE, page

PAGE = Path(__file__).parents[3] / "docs" / "mapping.md"


def test_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m bridge.mappers.document > docs/mapping.md"


def test_every_snapshot_field_has_its_place_in_a_case() -> None:
    assert set(IN_CASE) == set(Snapshot.__struct_fields__)


def test_every_effect_and_every_status_is_on_the_page() -> None:
    assert set(EFFECTS_ON_CASE) == set(Effect)
    assert all(
        f"| `{code}` | {said.effect} |" in page() for codes in STATUS_TABLE.values() for code, said in codes.items()
    )


@pytest.mark.parametrize("kind", MAPPERS)
def test_every_element_named_is_read_off_the_wire(kind: str) -> None:
    read = {field.encode_name for field in msgspec.structs.fields(getattr(wire, kind))} | {"id"}
    named = {
        name.partition(".")[0]
        for source in ELEMENTS[kind].values()
        for name in re.findall(r"`([A-Za-z.]+)`", f"{source.r4} {source.r5}")
    }

    assert named <= read


@pytest.mark.parametrize("kind", MAPPERS)
def test_every_element_read_is_named(kind: str) -> None:
    read = {field.encode_name for field in msgspec.structs.fields(getattr(wire, kind))}
    text = " ".join(f"{source.r4} {source.r5}" for source in ELEMENTS[kind].values())
    silent = {"modifierExtension", "implicitRules", "contained", "performer"}

    assert {name for name in read - silent if f"`{name}" not in text} == set()
