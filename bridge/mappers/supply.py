"""How long a prescription lasts, in calendar arithmetic."""

from __future__ import annotations

import math
from calendar import monthrange
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from bridge.cases.snapshot import When
from bridge.fhir import wire

_UNITS = {
    "min": ("min", "minute", "minutes"),
    "h": ("h", "hr", "hour", "hours"),
    "d": ("d", "day", "days"),
    "wk": ("wk", "week", "weeks"),
    "mo": ("mo", "month", "months"),
    "a": ("a", "year", "years"),
}
_CODE_OF = {word: code for code, found in _UNITS.items() for word in found}
"""UCUM codes of time, and the words found in their place."""

_DAYS = {"min": Decimal(1) / 1440, "h": Decimal(1) / 24, "d": Decimal(1), "wk": Decimal(7)}
_MONTHS = {"mo": 1, "a": 12}
_MOST_FILLS = 1000
_LONGEST_DAYS = 36525


def supply_end(authored: str | None, supply: wire.Duration | None, repeats: object) -> When | None:
    """
    Return the civil day on which what was prescribed is used up, where that can be told.

    The day written in *authored* plus *supply* times one plus the *repeats* allowed. Months and years are
    calendar months (31 January plus one month is the last of February); a broken number of them is not told.
    """
    amount, unit = _amount(supply)
    begin = _day(authored)
    fills = 1 if repeats is None else 1 + repeats if isinstance(repeats, int) else 0
    if begin is None or amount is None or not 0 < fills <= _MOST_FILLS:
        return None
    total = amount * fills
    try:
        end = _months_on(begin, total * _MONTHS[unit]) if unit in _MONTHS else _days_on(begin, total * _DAYS[unit])
    except (OverflowError, ValueError):
        return None
    return When(end.isoformat()) if end is not None else None


def _amount(supply: wire.Duration | None) -> tuple[Decimal | None, str]:
    if supply is None:
        return None, ""
    unit = _CODE_OF.get(supply.code or "") or _CODE_OF.get((supply.unit or "").strip().casefold())
    try:
        amount = Decimal(bytes(supply.value)[:32].decode().strip('"'))
    except (InvalidOperation, UnicodeDecodeError):
        return None, ""
    if unit is None or not amount.is_finite() or not 0 < amount <= _LONGEST_DAYS:
        return None, ""
    return amount, unit


def _day(authored: str | None) -> date | None:
    try:
        return date.fromisoformat((authored or "")[:10])
    except ValueError:
        return None


def _days_on(begin: date, days: Decimal) -> date | None:
    return begin + timedelta(days=math.ceil(days)) if days <= _LONGEST_DAYS else None


def _months_on(begin: date, months: Decimal) -> date | None:
    if months != months.to_integral_value() or months > _LONGEST_DAYS // 28:
        return None
    year, month = divmod(begin.year * 12 + begin.month - 1 + int(months), 12)
    return date(year, month + 1, min(begin.day, monthrange(year, month + 1)[1]))
