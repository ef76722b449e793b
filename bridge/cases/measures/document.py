"""docs/measures.md, written from the definitions: ``python -m bridge.cases.measures.document > docs/measures.md``."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.cases.measures.defining import Definition, Kind
from bridge.cases.measures.definitions import DEFINITIONS, GROUPS
from bridge.cases.measures.seeing import Clock

_INTRODUCTION = """# What the measures mean

Written from the definitions in `bridge/cases/measures/definitions.py` by `python -m bridge.cases.measures.document`;
a test keeps it true. The numbers are at `/measures`, and for programs at `/api/v1/measures` (JSON),
`/api/v1/measures.csv` and `/api/v1/measures/fhir` (a Bundle of R4 MeasureReports). How each moved, through twelve weeks
or months, is at `/measures/trend` and `/api/v1/measures/trend`.

## What holds for all of them

- **Only the histories count.** Every number is computed from the append-only histories of the cases, each time anew;
  nothing is stored for it. One thing is not in them: when the EHR confirmed that whoever asked was told of the end.
  That is in the outbox.
- **A period is whole days in the site's time zone**, the last one included. It is half-open: midnight belongs to the
  day that begins. A day on which the clock changes has 23 or 25 hours.
- **Known by the end of the period.** What was recorded later does not count. So a period that is over never changes;
  a case found to be entered in error in March still counts in February, and no longer in a report of the year.
- **An event belongs to the period in which Bridge recorded it**, so each belongs to exactly one and months add up to
  their year. How long something took is measured between the instants at which it happened, as far as anybody said:
  an attempt may be logged an hour later, a closing read a day later. What would be less than nothing counts as 0.
- **A time counts when it has ended.** What still runs at the end of the period is not in it, it is told beside it as
  not decided, and counts in the period in which it ends: leaving it out of one cohort for good would favour what went
  fast.
- **A round** is one life of a case: from being opened to being closed, and from each reopening to the next closing.
  Each is an interval of its own. A reopened round begins when it was reopened, the first one when the work was asked
  for. A closing that is replaced by one with another reason counts once: by that one, when it was replaced. One that
  only repeats the reason changes nothing.
- **Left out** are rounds that were entered in error, duplicates, cases merged into another (its case goes on with
  what people did), and rounds that were over when Bridge first heard of them. Attempts and escalations are the
  exception: they were made, so each counts once, on the case on which it was made.
- **A referral's loop is closed by word**, not by work: its report came back *and* whoever asked was told. A report that
  nobody passed on closes nothing, which is also what the United States count (CMS50, Closing the Referral Loop: the
  referring clinician receives the report). `referral-report` beside it says how many reports there were to pass on.
  Where Bridge may not write to the EHR it tells nobody, and no loop counts as closed.
- **Nothing to count is none**, not 0 %.
- **Median and 90th percentile** are by nearest rank: the smallest measured value that at least half, or nine in ten,
  of the values do not exceed. No value is made up between two.
- **Business time** runs only while the site is open, by its opening hours and holidays; calendar time always. Whole
  seconds, rounded down.
- **Told apart** by lane, priority and owner as they stood just before the event, since a closing may hand a case back
  to a queue; how a case began as it stood after. A stretch of time goes by what stood at its last instant. Owners are
  told by the names of the configuration or their reference in the EHR, never by its words.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_INTRODUCTION, "## At a glance\n\n" + _overview()]
    for group in GROUPS:
        parts.append(f"## {group}\n")
        parts += [_definition(one) for one in DEFINITIONS if one.group == group]
    return "\n".join(parts)


def _overview() -> str:
    rows = "".join(
        f"| [`{one.code}`](#{one.code}) | {one.title} | {_kind(one)} | {_lanes(one)} |\n" for one in DEFINITIONS
    )
    return "| Code | Measure | Kind | Lanes |\n| --- | --- | --- | --- |\n" + rows


def _kind(one: Definition) -> str:
    if one.kind is not Kind.DISTRIBUTION or one.unit != "s":
        return f"{one.kind.value} by {one.category}" if one.kind in (Kind.COUNT, Kind.TIME) else one.kind.value
    return f"duration, {one.clock.value} time"


def _lanes(one: Definition) -> str:
    return ", ".join(sorted(one.lanes)) or "all"


def _definition(one: Definition) -> str:
    lines = "".join(f"- {name}: {text}.\n" for name, text in _lines(one) if text)
    return f"### {one.code}\n\n**{one.title}.**\n\n{lines}"


def _lines(one: Definition) -> Iterator[tuple[str, str]]:
    yield "Population", one.population
    if one.kind is Kind.PROPORTION:
        yield "Denominator", "the population without what is left out or not decided"
        yield "Numerator", one.numerator
    else:
        yield "Measured", one.measured
    if one.unit == "s":
        yield "Clock", "time while the site is open" if one.clock is Clock.BUSINESS else "calendar time"
    yield "Counts with", one.counted
    yield "Left out", one.excluded
    yield "Not decided", one.pending
    yield "Unit", "seconds" if one.unit == "s" else one.unit
    yield "Categories", one.category if one.kind in (Kind.COUNT, Kind.TIME) else ""
    strata = (f"category ({one.category})" if name == "category" else name.value for name in one.strata)
    yield "Told apart by", ", ".join(strata)
    yield "Better", one.better


if __name__ == "__main__":
    print(page(), end="")
