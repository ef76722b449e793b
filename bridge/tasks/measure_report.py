"""
Measures as FHIR: a Bundle of MeasureReports (R4), one for each measure, told apart by lane.

A proportion has the populations of FHIR's proportion scoring: who is excluded is in the denominator too and is taken
out of it by the score (numerator over denominator minus denominator-exclusion). What is not decided yet is in the
initial population only. Of measured values the median and the 90th percentile are a group each. Counts and times are
a group for each category.

Rule: FHIR R4 measurereport.html, CodeSystem measure-population and measure-improvement-notation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bridge.cases.measures.defining import Definition, Kind, Stratum
from bridge.cases.measures.definitions import BY_CODE
from bridge.cases.measures.tally import Count, Distribution, Figure, Measured, Proportion, Report
from bridge.tasks.identity import LANE_SYSTEM

MEASURE_SYSTEM = "urn:bridge:measure"
"""Code system of the measures; followed by a colon and a code it is the canonical of one."""
CATEGORY_SYSTEM = "urn:bridge:measure-category"
STRATUM_SYSTEM = "urn:bridge:measure-stratum"
STATISTIC_SYSTEM = "urn:bridge:measure-statistic"
_POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
_IMPROVEMENT = "http://terminology.hl7.org/CodeSystem/measure-improvement-notation"
_UCUM = "http://unitsofmeasure.org"
_BETTER = {"higher": "increase", "lower": "decrease"}
_STATISTICS = {"median": "Median", "p90": "90th percentile, by nearest rank"}


def bundle_of(report: Report) -> dict[str, Any]:
    """Return every measure of a report as a collection; it names no patient."""
    entries = [{"fullUrl": _url(report, one), "resource": _report(report, one)} for one in report.measures]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": report.until.isoformat(), "entry": entries}


def _url(report: Report, measured: Measured) -> str:
    """The same measure of the same period is the same resource."""
    name = "|".join([*report.connections, report.first_on.isoformat(), report.last_on.isoformat(), measured.code])
    return uuid5(NAMESPACE_URL, f"{MEASURE_SYSTEM}:{name}").urn


def _report(report: Report, measured: Measured) -> dict[str, Any]:
    definition = BY_CODE[measured.code]
    found: dict[str, Any] = {
        "resourceType": "MeasureReport",
        "status": "complete" if report.complete else "pending",
        "type": "summary",
        "measure": f"{MEASURE_SYSTEM}:{measured.code}",
        "date": report.until.isoformat(),
        "period": {"start": report.first_on.isoformat(), "end": report.last_on.isoformat()},
    }
    if definition.better:
        found["improvementNotation"] = _concept(_IMPROVEMENT, _BETTER[definition.better])
    if groups := list(_groups(definition, measured)):
        found["group"] = groups
    return found


def _groups(definition: Definition, measured: Measured) -> Iterator[dict[str, Any]]:
    match measured.whole:
        case Proportion():
            yield _group(definition, measured, _concept(MEASURE_SYSTEM, measured.code, measured.title))
        case Distribution():
            for statistic, words in _STATISTICS.items():
                yield _group(definition, measured, _concept(STATISTIC_SYSTEM, statistic, words), statistic)
        case Count():
            for category in measured.whole.categories:
                yield _group(definition, measured, _concept(CATEGORY_SYSTEM, category), category)


def _group(definition: Definition, measured: Measured, code: dict[str, Any], which: str = "") -> dict[str, Any]:
    lanes = measured.by.get(Stratum.LANE, {})
    strata = [
        {"value": _concept(LANE_SYSTEM, lane), **_said(definition, figure, which)}
        for lane, figure in lanes.items()
        if not isinstance(figure, Count) or which in figure.categories
    ]
    found = {"code": code, **_said(definition, measured.whole, which)}
    if strata:
        found["stratifier"] = [{"code": [_concept(STRATUM_SYSTEM, Stratum.LANE)], "stratum": strata}]
    return found


def _said(definition: Definition, figure: Figure, which: str) -> dict[str, Any]:
    """Return populations and score, of a group and of a stratum alike; of nothing there is no score."""
    match figure:
        case Proportion():
            members = figure.denominator + figure.excluded
            numbers = {
                "initial-population": members + figure.pending,
                "denominator": members,
                "denominator-exclusion": figure.excluded,
                "numerator": figure.numerator,
            }
            return {"population": _populations(numbers), **_score(figure.rate, "1")}
        case Distribution():
            members = figure.measured + figure.excluded
            numbers = {
                "initial-population": members + figure.pending,
                "measure-population": members,
                "measure-population-exclusion": figure.excluded,
            }
            value = figure.median if which == "median" else figure.p90
            return {"population": _populations(numbers), **_score(value, _unit(definition))}
        case Count():
            amount = figure.categories[which]
            if definition.kind is Kind.TIME:
                return _score(amount, _unit(definition))
            return {"population": _populations({"initial-population": amount})}


def _populations(numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"code": _concept(_POPULATION, code), "count": count} for code, count in numbers.items()]


def _score(value: float | None, unit: str) -> dict[str, Any]:
    if value is None:
        return {}
    return {"measureScore": {"value": value, "system": _UCUM, "code": unit}}


def _unit(definition: Definition) -> str:
    """UCUM writes what is merely counted in braces."""
    return definition.unit if definition.unit == "s" else f"{{{definition.unit}}}"


def _concept(system: str, code: str, text: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"coding": [{"system": system, "code": _code(code)}]}
    if text or _code(code) != code:
        found["text"] = text or code
    return found


def _code(text: str) -> str:
    """Return *text* as a FHIR code, which has no blanks at its ends and none twice (R4 datatypes.html#code)."""
    return " ".join(text.split()) or "none"
