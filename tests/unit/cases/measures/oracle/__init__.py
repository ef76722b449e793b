"""
Every measure a second time, by brute force: the case is folded anew after each version, and looked at.

Nothing here is shared with ``bridge.cases.measures``: rounds, stretches and figures are found by comparing whole
states of the case with each other, sums by walking over all of them for every measure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from bridge.cases.calendar import Calendar
from bridge.cases.changes import Change
from tests.unit.cases.measures.oracle import contacts, obstacles, work
from tests.unit.cases.measures.oracle.told import Measure, Row, Told, label

DECIDED = {"completed", "declined"}
MEASURES: dict[str, tuple[str, Measure, set[str]]] = {
    "first-response": ("distribution", contacts.first_response, set()),
    "callback": ("distribution", contacts.callback, {"missed-call"}),
    "contact-rate": ("proportion", contacts.contact_rate, set()),
    "attempts-per-contact": ("distribution", contacts.attempts_per_contact, set()),
    "attempts-by-person": ("count", contacts.attempts_by_person, set()),
    "confirmation": ("proportion", contacts.confirmation, set()),
    "intake": ("proportion", contacts.intake, set()),
    "no-show-recovery": ("proportion", contacts.recovery("missed"), set()),
    "reschedule": ("proportion", contacts.recovery("cancelled"), set()),
    "referral-conversion": ("proportion", work.conversion, {"referral"}),
    "referral-report": ("proportion", work.report_back, {"referral"}),
    "referral-loop-closure": ("proportion", work.loop_closure, {"referral"}),
    "on-time-post-visit": ("proportion", work.on_time, {"post-visit", "discharge"}),
    "completion": ("distribution", work.turnaround({"completed"}, business=False), set()),
    "prior-authorization-turnaround": (
        "distribution",
        work.turnaround(DECIDED, business=True),
        {"prior-authorization"},
    ),
    "refill-turnaround": ("distribution", work.turnaround(DECIDED, business=True), {"medication-refill"}),
    "open-age": ("distribution", work.open_age, set()),
    "open-age-bands": ("count", work.open_age_bands, set()),
    "open-by-owner": ("count", work.open_by_owner, set()),
    "overdue-at-end": ("proportion", work.overdue_at_end, set()),
    "overdue": ("proportion", work.overdue, set()),
    "next-step": ("distribution", work.next_step, set()),
    "time-by-status": ("time", work.time_by(lambda case: case.status.value), set()),
    "time-by-owner": ("time", work.time_by(label), set()),
    "blockers": ("count", obstacles.blockers, set()),
    "blockers-again": ("proportion", obstacles.blockers_again, set()),
    "suggestions-accepted": ("proportion", obstacles.suggestions_accepted, set()),
    "time-blocked": ("time", work.time_by(lambda case: case.blocker.category.value if case.blocker else None), set()),
    "escalations": ("count", obstacles.escalations, set()),
    "escalations-by-trigger": ("count", obstacles.escalations_by_trigger, set()),
    "escalation-answer": ("distribution", obstacles.escalation_answer, set()),
    "closure-reasons": ("count", work.closure_reasons, set()),
    "closed-by-owner": ("count", work.closed_by_owner, set()),
}


def figures(
    histories: Iterable[Iterable[Change]],
    begins: datetime,
    until: datetime,
    calendar: Calendar,
    words: Mapping[str, Sequence[tuple[int, datetime]]] = MappingProxyType({}),
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return every measure's figures: code, then stratum (``whole`` too), then its value."""
    told = [
        Told(history, begins, until, calendar, words.get(history[0].case_id, ())) for history in map(list, histories)
    ]
    told = [one for one in told if one.steps]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for code, (kind, measure, lanes) in MEASURES.items():
        rows = [row for one in told for row in measure(one) if not lanes or row[1].lane in lanes]
        strata: dict[str, dict[str, list[Row]]] = {"whole": {"": rows}}
        for name, of in (
            ("lane", lambda row: row[1].lane),
            ("priority", lambda row: row[1].priority.value),
            ("owner", lambda row: label(row[1])),
            ("category", lambda row: row[3]),
        ):
            groups: dict[str, list[Row]] = defaultdict(list)
            for row in rows:
                groups[of(row)].append(row)
            strata[name] = dict(groups)
        found[code] = {
            name: {value: _figure(kind, mine) for value, mine in groups.items()} for name, groups in strata.items()
        }
    return found


def _figure(kind: str, rows: list[Row]) -> dict[str, Any]:
    if kind in ("count", "time"):
        totals: dict[str, int] = defaultdict(int)
        for _, _, amount, which in rows:
            totals[which] += amount
        return {"total": sum(totals.values()), "categories": dict(totals)}
    number = {sign: sum(row[0] == sign for row in rows) for sign in "+-x?"}
    if kind == "proportion":
        whole = number["+"] + number["-"]
        rate = number["+"] / whole if whole else None
        found = {"denominator": whole, "numerator": number["+"], "rate": rate}
    else:
        values = [row[2] for row in rows if row[0] == "+"]
        found = {
            "measured": len(values),
            "median": _rank(values, 0.5),
            "p90": _rank(values, 0.9),
            "least": min(values, default=None),
            "most": max(values, default=None),
            "total": sum(values),
        }
    return {**found, "excluded": number["x"], "pending": number["?"]}


def _rank(values: list[int], share: float) -> int | None:
    """The smallest value that at least this share of the values do not exceed, tried one after the other."""
    for value in sorted(set(values)):
        if sum(other <= value for other in values) >= math.ceil(round(share * len(values), 6)):
            return value
    return None
