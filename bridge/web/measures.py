"""``/api/v1/measures`` as JSON, CSV and FHIR, and the measures page; docs/measures.md says what each number means."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec.structs import asdict

from bridge.cases.measures.defining import RESPONSE
from bridge.cases.measures.definitions import BY_CODE, GROUPS
from bridge.cases.measures.period import Step
from bridge.cases.measures.tally import Count, Figure, Report
from bridge.cases.measures.trend import Trend
from bridge.tasks.measure_report import bundle_of
from bridge.web import openapi
from bridge.web.api import json_response
from bridge.web.context import WebContext
from bridge.web.measuring import Measuring
from bridge.web.pages.measures import page_of
from bridge.web.pages.trend import trend_page
from bridge.web.parameters import only_known
from bridge.web.problems import ApiError

FirstOn = Annotated[date | None, Query(alias="from", description="The first day, by default of this month.")]
LastOn = Annotated[date | None, Query(alias="to", description="The last day, included; by default today.")]
Connection = Annotated[str | None, Query(max_length=256, description="Only this connection.")]
UpTo = Annotated[date | None, Query(alias="to", description="A day of the last week or month; by default today.")]
By = Annotated[Step, Query(description="How long each period is: a week from Monday to Sunday, or a month.")]
Group = Annotated[str, Query(max_length=64)]
LaneName = Annotated[str, Query(max_length=64)]

COLUMNS = (
    "from",
    "to",
    "until",
    "measure",
    "title",
    "kind",
    "unit",
    "stratum",
    "value",
    "category",
    "amount",
    "denominator",
    "numerator",
    "rate",
    "measured",
    "median",
    "p90",
    "least",
    "most",
    "total",
    "excluded",
    "pending",
)


FHIR_JSON = "application/fhir+json"
_CSV = "The measures as a table with the columns " + ", ".join(f"`{name}`" for name in COLUMNS)
_BUNDLE = "The measures as a Bundle of MeasureReports (FHIR R4)"
_BUNDLE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "externalDocs": {"url": "https://hl7.org/fhir/R4/measurereport.html"},
    "required": ["resourceType", "type", "entry"],
    "properties": {
        "resourceType": {"const": "Bundle"},
        "type": {"const": "collection"},
        "timestamp": {"type": "string", "format": "date-time"},
        "entry": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["resource"],
                "properties": {
                    "fullUrl": {"type": "string"},
                    "resource": {
                        "type": "object",
                        "required": ["resourceType", "status", "type", "measure", "period"],
                        "properties": {"resourceType": {"const": "MeasureReport"}, "type": {"const": "summary"}},
                    },
                },
            },
        },
    },
}
"""What of FHIR's own schema a reader needs to find the figures."""


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    measuring = Measuring(context)
    routes = APIRouter(tags=["measures"], default_response_class=Response)
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(only_known)])

    @api.get("/measures", responses=openapi.answers(Report, 422, 503))
    def measures(first_on: FirstOn = None, last_on: LastOn = None, connection: Connection = None) -> Response:
        """
        Measure the work of a period of whole days in the site's time zone.

        The same as a table is at `/api/v1/measures.csv`, as a Bundle of MeasureReports at `/api/v1/measures/fhir`.
        """
        return json_response(measuring.report(first_on, last_on, connection))

    @api.get("/measures.csv", responses=openapi.answered_as("text/csv", _CSV, {"type": "string"}, 422, 503))
    def as_table(first_on: FirstOn = None, last_on: LastOn = None, connection: Connection = None) -> Response:
        """Measure the same as CSV (RFC 4180), with a header: a line for each figure, or each category of a count."""
        report = measuring.report(first_on, last_on, connection)
        name = f"measures-{report.first_on}-{report.last_on}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(table_of(report), 200, headers, "text/csv; charset=utf-8")

    @api.get("/measures/fhir", responses=openapi.answered_as(FHIR_JSON, _BUNDLE, _BUNDLE_SCHEMA, 422, 503))
    def as_fhir(first_on: FirstOn = None, last_on: LastOn = None, connection: Connection = None) -> Response:
        """Measure the same as a FHIR R4 Bundle of type `collection`: one summary MeasureReport for each measure."""
        bundle = json_response(bundle_of(measuring.report(first_on, last_on, connection)))
        bundle.headers["Content-Type"] = FHIR_JSON
        return bundle

    @api.get("/measures/trend", responses=openapi.answers(Trend, 422, 503))
    def trend(by: By = Step.MONTH, last_on: UpTo = None, connection: Connection = None) -> Response:
        """Measure twelve weeks or months in a row, each as it would be alone, told apart by lane."""
        return json_response(measuring.trend(by, last_on, connection))

    @api.get("/measures/trend.csv", responses=openapi.answered_as("text/csv", _CSV, {"type": "string"}, 422, 503))
    def trend_as_table(by: By = Step.MONTH, last_on: UpTo = None, connection: Connection = None) -> Response:
        """Measure the same as CSV, with the columns of `/api/v1/measures.csv`; `from` and `to` say which period."""
        reports = measuring.trend(by, last_on, connection).reports
        name = f"measures-by-{by.value}-{reports[0].first_on}-{reports[-1].last_on}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(table_of(*reports), 200, headers, "text/csv; charset=utf-8")

    @routes.get("/measures/trend", include_in_schema=False)
    def moved(
        request: Request,
        by: By = Step.MONTH,
        last_on: UpTo = None,
        connection: Connection = None,
        group: Group = RESPONSE,
        lane: LaneName = "",
    ) -> Response:
        if group not in GROUPS:
            raise ApiError(422, f"group: there are {', '.join(GROUPS)}.")
        found = measuring.trend(by, last_on, connection)
        return trend_page(context, request, found, group=group, lane=lane, connection=connection or "")

    @routes.get("/measures", include_in_schema=False)
    def measures_page(
        request: Request, first_on: FirstOn = None, last_on: LastOn = None, connection: Connection = None
    ) -> Response:
        report = measuring.report(first_on, last_on, connection)
        return page_of(context, request, report, connection or "")

    routes.include_router(api)
    return routes


def table_of(*reports: Report) -> str:
    """Return reports as CSV (RFC 4180): a line for each figure, of counts and times one for each category."""
    text = io.StringIO()
    lines = csv.DictWriter(text, COLUMNS, restval="")
    lines.writeheader()
    for report in reports:
        lines.writerows(_lines(report))
    return text.getvalue()


def _lines(report: Report) -> Iterator[dict[str, Any]]:
    days = {"from": report.first_on, "to": report.last_on, "until": report.until.isoformat()}
    for one in report.measures:
        kind = BY_CODE[one.code].kind.value
        told = {**days, "measure": one.code, "title": one.title, "kind": kind, "unit": one.unit}
        yield from ({**told, **line} for line in _figure(one.whole))
        for stratum, figures in one.by.items():
            for value, figure in figures.items():
                named = {**told, "stratum": stratum, "value": _plain(value)}
                yield from ({**named, **line} for line in _figure(figure))


def _figure(figure: Figure) -> Iterator[dict[str, Any]]:
    if not isinstance(figure, Count):
        yield asdict(figure)
        return
    for category, amount in figure.categories.items():
        yield {"category": _plain(category), "amount": amount}
    yield {"total": figure.total}


def _plain(text: str) -> str:
    """Return *text* so that no spreadsheet takes it for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
