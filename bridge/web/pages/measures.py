"""The measures page: what happened in a period, in words a manager reads, with what each number means below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from urllib.parse import urlencode

import msgspec
from fastapi import Request, Response

from bridge.cases.measures.defining import Definition, Kind, Stratum
from bridge.cases.measures.definitions import BY_CODE, DEFINITIONS, GROUPS
from bridge.cases.measures.of_open_work import BANDS
from bridge.cases.measures.seeing import Clock
from bridge.cases.measures.tally import Count, Distribution, Figure, Measured, Proportion, Report
from bridge.web.context import WebContext
from bridge.web.pages.frame import frame
from bridge.web.pages.render import html, page
from bridge.web.words import spoken

_NOTHING = "–"


class Cell(msgspec.Struct, frozen=True):
    """One figure in words, and what it rests on."""

    text: str
    note: str = ""


class Row(msgspec.Struct, frozen=True):
    """
    One line of a table: a measure with the anchor of its definition, or a category; the whole, then each lane.

    ``amount`` is what the category comes to as a number, for the plot.
    """

    name: str
    anchor: str
    cells: Sequence[Cell]
    amount: int | None = None


class Block(msgspec.Struct, frozen=True):
    """A table: rates and times of a group, or one measure's categories; these are drawn too, in the unit ``plot``."""

    title: str
    anchor: str
    unit: str
    lanes: Sequence[str]
    rows: Sequence[Row]
    plot: str = ""


def page_of(context: WebContext, request: Request, report: Report, connection: str) -> Response:
    """Return the page; its address holds days and a connection, nothing about a patient."""
    lanes = {lane.name: lane.title for line in context.lines.values() for lane in line.rules.lanes.all}
    owners = {entry.name: entry.display for line in context.lines.values() for entry in line.rules.owners.entries()}
    values = frame(
        context,
        request,
        report=report,
        connection=connection,
        names=tuple(context.lines),
        groups=[(group, _blocks(group, report, lanes, owners)) for group in GROUPS],
        definitions=[(one, _clock(one)) for one in DEFINITIONS],
        periods=_periods(report, context, connection),
        query=_query(report.first_on, report.last_on, connection),
    )
    return html(page("measures.html", **values))


def _blocks(group: str, report: Report, lanes: Mapping[str, str], owners: Mapping[str, str]) -> list[Block]:
    mine = [one for one in report.measures if BY_CODE[one.code].group == group]
    rated = [one for one in mine if not isinstance(one.whole, Count)]
    counted = [one for one in mine if isinstance(one.whole, Count)]
    blocks = [_rated(rated, lanes)] if rated else []
    return [*blocks, *(_counted(one, lanes, owners) for one in counted)]


def _rated(measures: Sequence[Measured], titles: Mapping[str, str]) -> Block:
    lanes = sorted({lane for one in measures for lane in one.by.get(Stratum.LANE, {})})
    rows = [
        Row(one.title, one.code, [cell_of(BY_CODE[one.code], figure) for figure in (one.whole, *_of_lanes(one, lanes))])
        for one in measures
    ]
    return Block("", "", "", [titles.get(lane, spoken(lane)) for lane in lanes], rows)


def _of_lanes(one: Measured, lanes: Sequence[str]) -> list[Figure | None]:
    return [one.by.get(Stratum.LANE, {}).get(lane) for lane in lanes]


def _counted(one: Measured, titles: Mapping[str, str], owners: Mapping[str, str]) -> Block:
    definition, lanes = BY_CODE[one.code], sorted(one.by.get(Stratum.LANE, {}))
    figures = [figure for figure in (one.whole, *_of_lanes(one, lanes)) if isinstance(figure, Count)]
    say = span_text if definition.kind is Kind.TIME else str
    categories = [band for band in BANDS if band in figures[0].categories] or list(figures[0].categories)
    rows = [
        Row(_category(name, definition, owners), "", [_part(name, each, say) for each in figures], amount)
        for name, amount in ((name, figures[0].categories.get(name, 0)) for name in categories)
    ]
    rows.append(Row("All", "", [Cell(say(each.total)) for each in figures]))
    lane_titles = [titles.get(lane, spoken(lane)) for lane in lanes]
    return Block(one.title, one.code, definition.category, lane_titles, rows, definition.unit)


def _part(name: str, figure: Count, say: Callable[[int], str]) -> Cell:
    amount = figure.categories.get(name, 0)
    if not amount:
        return Cell(_NOTHING)
    return Cell(say(amount), _percent(amount / figure.total))


def _category(name: str, definition: Definition, owners: Mapping[str, str]) -> str:
    if definition.category == "owner":
        return owners.get(name, spoken(name) if "/" not in name else name)
    return name if definition.category in ("person", "age") else spoken(name)


def cell_of(definition: Definition, figure: Figure | None) -> Cell:
    """Return a proportion or distribution in words, with what it rests on."""
    match figure:
        case Proportion(rate=None) | Distribution(median=None):
            return Cell("none", _beside(figure))
        case Proportion(rate=float(rate)):
            of = f"{figure.numerator} of {figure.denominator}"
            return Cell(_percent(rate), "; ".join(filter(None, (of, _beside(figure)))))
        case Distribution(median=int(median), p90=int(p90)):
            say = span_text if definition.unit == "s" else str
            of = f"9 in 10 within {say(p90)}; {figure.measured} measured"
            return Cell(say(median), "; ".join(filter(None, (of, _beside(figure)))))
    return Cell(_NOTHING)


def _beside(figure: Proportion | Distribution) -> str:
    """What is not in the figure."""
    pending = f"{figure.pending} not decided" if figure.pending else ""
    excluded = f"{figure.excluded} left out" if figure.excluded else ""
    return "; ".join(filter(None, (pending, excluded)))


def _percent(rate: float) -> str:
    """Return a share in whole percent; what is neither none nor all is never shown as that."""
    if 0 < rate < 0.005:
        return "under 1 %"
    if 0.995 <= rate < 1:
        return "over 99 %"
    return f"{rate * 100:.0f} %"


def span_text(seconds: int) -> str:
    """Return a span of time in its two largest units, rounded down."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    for name, size, smaller, part in (("d", 1440, "h", 60), ("h", 60, "min", 1)):
        if minutes >= size:
            rest = minutes % size // part
            return f"{minutes // size} {name} {rest} {smaller}" if rest else f"{minutes // size} {name}"
    return f"{minutes} min"


def _clock(definition: Definition) -> str:
    if definition.unit != "s" or definition.kind is Kind.TIME:
        return ""
    return "opening hours only" if definition.clock is Clock.BUSINESS else "all hours"


def _periods(report: Report, context: WebContext, connection: str) -> list[tuple[str, str, bool]]:
    """Return the periods that people ask for most: words, address, and whether it is the one shown."""
    today = context.clock().astimezone(context.zone).date()
    first = today.replace(day=1)
    last_month = first - timedelta(days=1)
    choices = {
        "This month": (first, today),
        "Last month": (last_month.replace(day=1), last_month),
        "Last 7 days": (today - timedelta(days=6), today),
        "This year": (today.replace(month=1, day=1), today),
        "Last year": (date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)),
    }
    shown = (report.first_on, report.last_on)
    return [(words, f"/measures?{_query(*days, connection)}", days == shown) for words, days in choices.items()]


def _query(first_on: date, last_on: date, connection: str) -> str:
    query = {"from": first_on.isoformat(), "to": last_on.isoformat()}
    return urlencode({**query, "connection": connection} if connection else query)
