"""When a prescription is used up."""

from __future__ import annotations

from typing import Any

import pytest

from .builders import mapped


def run_out(authored: str | None, value: object, unit: str = "d", repeats: object = None, **more: Any) -> str | None:
    supply = {"value": value, "code": unit}
    dispense = {"expectedSupplyDuration": supply, "numberOfRepeatsAllowed": repeats, **more}
    found = mapped("MedicationRequest", authoredOn=authored, dispenseRequest=dispense).run_out
    return found.text if found is not None else None


@pytest.mark.parametrize(
    ("authored", "value", "unit", "repeats", "expected"),
    [
        ("2026-01-01", 30, "d", None, "2026-01-31"),
        ("2026-01-01", 30, "d", 0, "2026-01-31"),
        ("2026-01-01", 30, "d", 2, "2026-04-01"),
        ("2026-01-01", 30.0, "d", 2, "2026-04-01"),
        ("2026-01-01", 10.5, "d", None, "2026-01-12"),
        ("2026-01-01", 2, "wk", 1, "2026-01-29"),
        ("2026-01-31", 1, "mo", None, "2026-02-28"),
        ("2028-01-31", 1, "mo", None, "2028-02-29"),
        ("2026-11-15", 3, "mo", 1, "2027-05-15"),
        ("2028-02-29", 1, "a", None, "2029-02-28"),
        ("2026-01-01", 36, "h", None, "2026-01-03"),
        ("2026-01-01", 30, "min", None, "2026-01-02"),
        ("2026-03-04T23:30:00-08:00", 1, "d", None, "2026-03-05"),
        ("2026-01-01", 1.5, "mo", None, None),
        ("2026-01-01", 30, "fortnight", None, None),
        ("2026-01", 30, "d", None, None),
        (None, 30, "d", None, None),
        ("2026-01-01", 0, "d", None, None),
        ("2026-01-01", -3, "d", None, None),
        ("2026-01-01", "thirty", "d", None, None),
        ("2026-01-01", {"a": 1}, "d", None, None),
        ("2026-01-01", 10**30, "d", None, None),
        ("2026-01-01", 30000, "d", 999, None),
        ("9999-12-01", 12, "mo", None, None),
        ("2026-01-01", 30, "d", -2, None),
        ("2026-01-01", 30, "d", "two", None),
        ("2026-01-01", 30, "d", 10**40, None),
    ],
)
def test_supply_ends_by_the_calendar_where_it_can_be_told(
    authored: str | None, value: object, unit: str, repeats: object, expected: str | None
) -> None:
    assert run_out(authored, value, unit, repeats) == expected


def test_stated_validity_comes_before_what_can_be_reckoned() -> None:
    assert run_out("2026-01-01", 30, validityPeriod={"end": "2026-09"}) == "2026-09"


def test_a_unit_in_words_is_understood() -> None:
    supply = {"value": 30, "unit": "Days"}
    snapshot = mapped("MedicationRequest", authoredOn="2026-01-01", dispenseRequest={"expectedSupplyDuration": supply})

    assert snapshot.run_out is not None
    assert snapshot.run_out.text == "2026-01-31"
