"""How measures moved: one group of them in each of a row of weeks or months, drawn, with the figures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from urllib.parse import urlencode

import msgspec
from fastapi import Request, Response

from bridge.cases.measures.defining import Definition, Kind, Stratum
from bridge.cases.measures.definitions import BY_CODE, GROUPS
from bridge.cases.measures.period import Step
from bridge.cases.measures.tally import Count, Distribution, Figure, Measured, Proportion, Report
from bridge.cases.measures.trend import Trend
from bridge.web.context import WebContext
from bridge.web.pages.frame import frame
from bridge.web.pages.measures import Cell, cell_of, span_text
from bridge.web.pages.render import html, page
from bridge.web.words import spoken

_NOTHING_YET = Cell("none")


class Point(msgspec.Struct, frozen=True):
    """
    One period of a measure: its name, what is said of it, and what is drawn, if there is anything.

    ``beyond`` is what nine in ten do not exceed, of measured values.
    """

    name: str
    cell: Cell
    amount: float | None
    beyond: float | None = None


class Line(msgspec.Struct, frozen=True):
    """One measure through all periods; ``unit`` is that of the drawn amounts."""

    title: str
    anchor: str
    unit: str
    said: str
    points: Sequence[Point]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was there to count in any period, and nothing waits to be."""
        return not any(one.amount or one.cell.note for one in self.points)


def trend_page(
    context: WebContext, request: Request, trend: Trend, *, group: str, lane: str, connection: str
) -> Response:
    """Return the page; its address holds a group of measures, a lane and a connection, nothing about a patient."""
    titles = {one.name: one.title for line in context.lines.values() for one in line.rules.lanes.all}
    lanes = sorted({name for report in trend.reports for one in report.measures for name in one.by[Stratum.LANE]})
    last = trend.reports[-1]
    chosen = {"by": trend.by.value, "to": last.last_on.isoformat(), "lane": lane, "connection": connection}

    def address(**changes: str) -> str:
        given = {**chosen, "group": group, **changes}
        return f"/measures/trend?{urlencode({name: value for name, value in given.items() if value})}"

    values = frame(
        context,
        request,
        trend=trend,
        last=last,
        lines=[_line(one, trend, lane) for one in last.measures if BY_CODE[one.code].group == group],
        group=group,
        groups=[(name, address(group=name), name == group) for name in GROUPS],
        steps=[(f"By {step.value}", address(by=step.value), step is trend.by) for step in Step],
        lane=lane,
        lanes=[(name, titles.get(name, spoken(name))) for name in lanes],
        connection=connection,
        names=tuple(context.lines),
        query=urlencode({name: value for name, value in chosen.items() if value and name != "lane"}),
    )
    return html(page("trend.html", **values))


def _line(last: Measured, trend: Trend, lane: str) -> Line:
    definition = BY_CODE[last.code]
    points = [_point(definition, report, _figure(report, last.code, lane)) for report in trend.reports]
    return Line(last.title, last.code, _unit(definition), _said(definition), [_named(*one, trend.by) for one in points])


def _figure(report: Report, code: str, lane: str) -> Figure | None:
    measured = next(one for one in report.measures if one.code == code)
    return measured.by[Stratum.LANE].get(lane) if lane else measured.whole


def _point(definition: Definition, report: Report, figure: Figure | None) -> tuple[Report, Point]:
    match figure:
        case Count(total=total):
            text = span_text(total) if definition.kind is Kind.TIME else str(total)
            return report, Point("", Cell(text), total)
        case Proportion(rate=rate):
            return report, Point("", cell_of(definition, figure), None if rate is None else rate * 100)
        case Distribution(median=median, p90=p90):
            return report, Point("", cell_of(definition, figure), median, p90)
    return report, Point("", _NOTHING_YET, 0 if definition.kind in (Kind.COUNT, Kind.TIME) else None)


def _named(report: Report, point: Point, by: Step) -> Point:
    so_far = "" if report.complete else " so far"
    return msgspec.structs.replace(point, name=f"{_short(report.first_on, by)}{so_far}")


def _short(day: date, by: Step) -> str:
    return f"{day:%b %Y}" if by is Step.MONTH else f"{day.day} {day:%b}"


def _unit(definition: Definition) -> str:
    return "%" if definition.kind is Kind.PROPORTION else definition.unit


def _said(definition: Definition) -> str:
    """What is drawn, in words: nobody has to tell lines by their colour."""
    match definition.kind:
        case Kind.PROPORTION:
            return "The line is the share in percent."
        case Kind.DISTRIBUTION:
            return "The line is the median; nine in ten are below the dashed one."
        case Kind.TIME:
            return "The line is the time in all."
    return "The line is how many in all."
