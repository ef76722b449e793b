"""What a round over a connection came to, for people and for machines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bridge.cases.intents import IntentState
from bridge.fhir.times import format_instant
from bridge.store.rows import InboxRow, OutboxRow
from bridge.sync.agreement import Agreement, Difference
from bridge.sync.connector import SyncReport
from bridge.sync.taking import PollReport

REASONS_SHOWN = 10
_STREAM = re.compile(r"(?P<kind>[A-Z]\w+): ")
_NOT_ASKED = re.compile(r"\S+: not asked before .* UTC: the EHR does not answer \((?P<why>.*)\)")
_ASKING = re.compile(r"(search of \w+|metadata|next page): ")


def sync_as_dict(report: SyncReport) -> dict[str, Any]:
    """Return the report as plain values; per stream ``received`` is the sum of the four that follow it."""
    deliveries = report.deliveries
    return {
        "connection": report.connection,
        "complete": report.complete,
        "streams": streams_as_dict(report.polls),
        "people_read": report.people.read,
        "people_unreadable": report.people.unreadable,
        "sweep": {
            "compared": report.sweep.compared,
            "repaired": report.sweep.repaired,
            "gone": report.sweep.gone,
            "missing": report.sweep.missing,
            "refused": report.sweep.refused,
            "lost": report.sweep.lost,
            "people_renewed": report.sweep.renewed,
        },
        "writes": deliveries.written if deliveries is not None else 0,
        "delivered": {
            state.value: (deliveries.ended if deliveries is not None else {}).get(state, 0) for state in IntentState
        },
        "left_to_deliver": report.left,
        "delivery_reasons": list(deliveries.reasons) if deliveries is not None else [],
        "problems": list(report.problems),
    }


def streams_as_dict(polls: Iterable[PollReport]) -> dict[str, Any]:
    """Return what each stream came to as plain values."""
    return {
        poll.stream: {
            "received": poll.counts.received,
            "applied": poll.counts.applied,
            "duplicate": poll.counts.duplicate,
            "ignored": poll.counts.ignored,
            "parked": poll.counts.parked,
            "cases_opened": poll.opened,
            "pages": poll.pages,
            "warnings": list(poll.warnings),
        }
        for poll in polls
    }


def sync_as_text(report: SyncReport) -> str:
    """Return the report as a few lines."""
    lines = [f"{report.connection}: {'complete' if report.complete else 'NOT complete'}"]
    lines += streams_as_lines(report.polls)
    sweep = report.sweep
    if sweep.compared or not report.problems:
        lines.append(
            f"  sweep: {sweep.compared} compared, {sweep.repaired} repaired, {sweep.gone} gone, {sweep.missing} missing"
            + (f", {sweep.refused} refused" if sweep.refused else "")
            + (f"; {sweep.lost} of our Tasks deleted or ended by others" if sweep.lost else "")
        )
    if report.deliveries is not None:
        ended = ", ".join(f"{count} {state.value}" for state, count in sorted(report.deliveries.ended.items()))
        lines.append(f"  delivery: {report.deliveries.written} written ({ended or 'nothing was due'})")
        lines += [f"    {reason}" for reason in report.deliveries.reasons[:REASONS_SHOWN]]
    if report.left:
        lines.append(f"  {report.left} writes are left to deliver; the next round tries them again")
    return "\n".join([*lines, *problems_as_lines(report.problems)])


def streams_as_lines(polls: Sequence[PollReport]) -> list[str]:
    """Return a line for each stream, and what to do where something was parked."""
    lines = []
    for poll in polls:
        counts = poll.counts
        lines.append(
            f"  {poll.stream:18} {counts.received:7} received = {counts.applied} applied + {counts.duplicate}"
            f" duplicate + {counts.ignored} ignored + {counts.parked} parked; {poll.opened} cases opened"
        )
        lines += [f"    the EHR warns: {warning}" for warning in poll.warnings[:REASONS_SHOWN]]
    parked = sum(poll.counts.parked for poll in polls)
    if parked:
        lines.append(f"  {parked} parked, kept with their reasons: bridge replay inbox --all --dry-run lists them")
    return lines


def problems_as_lines(problems: Iterable[str]) -> list[str]:
    """Return each problem once, with the types that it kept from being searched."""
    befallen: dict[str, list[str]] = {}
    for problem in problems:
        stream = _STREAM.match(problem)
        said = problem[stream.end() :] if stream else problem
        not_asked = _NOT_ASKED.fullmatch(said)
        said = _ASKING.sub("", not_asked["why"] if not_asked else said, count=1)
        kinds = befallen.setdefault(said, [])
        if stream and stream["kind"] not in kinds:
            kinds.append(stream["kind"])
    return [f"  problem: {said}" + (f" ({', '.join(kinds)})" if kinds else "") for said, kinds in befallen.items()]


def agreement_as_dict(found: Agreement) -> dict[str, Any]:
    """Return the proof as plain values; times are of our clock, ``ehr_at`` of the EHR's."""
    return {
        "connection": found.connection,
        "agree": found.holds,
        "asked_at": format_instant(found.asked_at),
        "told_at": format_instant(found.told_at),
        "ehr_at": format_instant(found.ehr_at) if found.ehr_at is not None else None,
        "resources": dict(found.resources),
        "open_cases": found.cases,
        "differences": [_difference_as_dict(one) for one in found.differences],
    }


def _difference_as_dict(one: Difference) -> dict[str, Any]:
    return {"kind": one.kind.value, "what": one.what, "case": one.case, "why": one.words}


def agreement_as_text(found: Agreement) -> str:
    """Return the proof, or each difference, as lines."""
    read = ", ".join(f"{count:,} {kind}" for kind, count in found.resources.items())
    proof = f"compared {found.asked_at:%Y-%m-%d %H:%M:%S} to {found.told_at:%H:%M:%S} UTC"
    said = (
        "the EHR and the cases agree"
        if found.holds
        else f"{len(found.differences)} difference{'s' if len(found.differences) != 1 else ''}"
    )
    lines = [f"{found.connection}: {said}: {read}; {found.cases:,} open cases; {proof}"]
    return "\n".join([*lines, *(f"  {one.kind.value:16}  {one.what}  {one.words}" for one in found.differences)])


def agreements_as_csv(found: Iterable[Agreement]) -> str:
    """Return a line for each difference, and one that says so where a connection has none."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow(("connection", "told_at", "kind", "what", "case", "why"))
    for one in found:
        at = format_instant(one.told_at)
        for difference in one.differences:
            told = _difference_as_dict(difference)
            write.writerow((one.connection, at, told["kind"], told["what"], told["case"] or "", told["why"]))
        if one.holds:
            write.writerow((one.connection, at, "agree", "", "", ""))
    return out.getvalue().rstrip("\n")


def inbox_row_as_dict(row: InboxRow) -> dict[str, Any]:
    """Return what identifies a received version and why it is parked."""
    return {"id": row.id, "connection": row.connection, "what": row.ref, "code": row.code, "reason": row.reason}


def outbox_row_as_dict(row: OutboxRow) -> dict[str, Any]:
    """Return what identifies a write and why it is parked."""
    what = f"{row.intent.kind.value} of case {row.intent.case_id}"
    return {
        "id": row.id,
        "connection": row.intent.connection,
        "what": what,
        "code": row.code,
        "reason": row.reason,
    }


def row_as_line(row: dict[str, Any]) -> str:
    """Return a parked row as a line."""
    line = f"{row['id']:>8}  {row['connection']}  {row['what']}: {row['reason'] or row['code'] or 'no reason is kept'}"
    foreseen = row.get("would_be")
    if foreseen is None:
        return line
    as_it_is = foreseen["state"] == "parked" and foreseen["reason"] == row["reason"]
    why = f" ({foreseen['reason']})" if foreseen.get("reason") and not as_it_is else ""
    state = "parked again" if foreseen["state"] == "parked" else foreseen["state"]
    return f"{line}; would be {state}{why}"
