"""FHIR dates as spans of time, and the search prefixes that compare them.

Rule: FHIR R4 search.html#date. A date is the span it leaves open: ``2026-03`` is the whole of March. Where a
time zone is missing the server's own applies, which here is UTC.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from conformance.simulator.clock import micros

Span = tuple[int, int]
"""First and last microsecond since 1970, both included."""

BEGINNING, END = -(10**18), 10**18

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)


def parse_span(text: str) -> Span:
    """
    Return the span of a date, dateTime or instant of any precision.

    Raises:
        ValueError: *text* is not a FHIR date.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a FHIR date: {text!r}")
    part = found.groupdict()
    fraction = part["fraction"] or ""
    zone = part["zone"] if part["zone"] not in {None, "Z"} else "+00:00"
    start = datetime.fromisoformat(
        f"{part['year']}-{part['month'] or '01'}-{part['day'] or '01'}"
        f"T{part['hour'] or '00'}:{part['minute'] or '00'}:{part['second'] or '00'}"
        f".{fraction[:6].ljust(6, '0')}{zone}"
    ).astimezone(UTC)
    first = micros(start)
    return first, first + _length(part, start) - 1


def _length(part: dict[str, str | None], start: datetime) -> int:
    if part["fraction"]:
        return int(10 ** max(0, 6 - len(part["fraction"])))
    if part["second"]:
        return 1_000_000
    if part["hour"]:
        return 60_000_000
    if part["day"]:
        days = 1
    elif part["month"]:
        days = calendar.monthrange(start.year, start.month)[1]
    else:
        days = 366 if calendar.isleap(start.year) else 365
    return days * 86_400_000_000


def span_of(element: Any) -> Iterator[Span]:
    """Yield the spans of a date, Period or Timing element; what cannot be read yields none."""
    try:
        match element:
            case str():
                yield parse_span(element)
            case {"event": list(events)}:
                for event in events:
                    yield parse_span(event)
            case {"repeat": {"boundsPeriod": period}}:
                yield from span_of(period)
            case {"start": str()} | {"end": str()}:
                yield _period(element)
    except (ValueError, TypeError):
        return


def _period(element: Mapping[str, str]) -> Span:
    first = parse_span(element["start"])[0] if "start" in element else BEGINNING
    return first, parse_span(element["end"])[1] if "end" in element else END


def _approximately(value: Span, asked: Span, now: int) -> bool:
    """Within a tenth of the distance from now, as the specification suggests."""
    slack = abs(now - asked[0]) // 10
    return value[0] <= asked[1] + slack and value[1] >= asked[0] - slack


PREFIXES: dict[str, Callable[[Span, Span, int], bool]] = {
    "eq": lambda value, asked, now: asked[0] <= value[0] and value[1] <= asked[1],
    "ne": lambda value, asked, now: not (asked[0] <= value[0] and value[1] <= asked[1]),
    "gt": lambda value, asked, now: value[1] > asked[1],
    "lt": lambda value, asked, now: value[0] < asked[0],
    "ge": lambda value, asked, now: value[1] >= asked[0],
    "le": lambda value, asked, now: value[0] <= asked[1],
    "sa": lambda value, asked, now: value[0] > asked[1],
    "eb": lambda value, asked, now: value[1] < asked[0],
    "ap": _approximately,
}
"""What each prefix means: (value span, asked span, now in microseconds) -> does it match."""


def split_prefix(text: str) -> tuple[str, Span]:
    """
    Split ``ge2026-03`` into its prefix (``eq`` when it has none) and its span.

    Raises:
        ValueError: the rest is not a FHIR date.
    """
    prefix = text[:2] if text[:2] in PREFIXES else ""
    return prefix or "eq", parse_span(text[len(prefix) :])


def bounds(prefix: str, asked: Span) -> Span:
    """Return the span in which instants can match *prefix* with *asked*: never too narrow."""
    match prefix:
        case "eq":
            return asked
        case "gt" | "sa":
            return asked[1] + 1, END
        case "ge":
            return asked[0], END
        case "lt" | "eb":
            return BEGINNING, asked[0] - 1
        case "le":
            return BEGINNING, asked[1]
        case _:
            return BEGINNING, END
