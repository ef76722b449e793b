"""What a round over a connection came to, for people and for machines."""

from __future__ import annotations

from typing import Any

from bridge.cases.intents import IntentState
from bridge.sync.connector import SyncReport


def sync_as_dict(report: SyncReport) -> dict[str, Any]:
    """Return the report as plain values; per stream ``received`` is the sum of the four that follow it."""
    deliveries = report.deliveries
    return {
        "connection": report.connection,
        "complete": report.complete,
        "streams": {
            poll.stream: {
                "received": poll.counts.received,
                "applied": poll.counts.applied,
                "duplicate": poll.counts.duplicate,
                "ignored": poll.counts.ignored,
                "parked": poll.counts.parked,
                "cases_opened": poll.opened,
                "pages": poll.pages,
            }
            for poll in report.polls
        },
        "people_read": report.people.read,
        "people_unreadable": report.people.unreadable,
        "sweep": {
            "compared": report.sweep.compared,
            "repaired": report.sweep.repaired,
            "gone": report.sweep.gone,
            "missing": report.sweep.missing,
        },
        "writes": deliveries.written if deliveries is not None else 0,
        "delivered": {
            state.value: (deliveries.ended if deliveries is not None else {}).get(state, 0) for state in IntentState
        },
        "left_to_deliver": report.left,
        "delivery_reasons": list(deliveries.reasons) if deliveries is not None else [],
        "problems": list(report.problems),
    }


def sync_as_text(report: SyncReport) -> str:
    """Return the report as a few lines."""
    lines = [f"{report.connection}: {'complete' if report.complete else 'NOT complete'}"]
    for poll in report.polls:
        counts = poll.counts
        lines.append(
            f"  {poll.stream:18} {counts.received:7} received = {counts.applied} applied + {counts.duplicate}"
            f" duplicate + {counts.ignored} ignored + {counts.parked} parked; {poll.opened} cases opened"
        )
    sweep = report.sweep
    lines.append(
        f"  sweep: {sweep.compared} compared, {sweep.repaired} repaired, {sweep.gone} gone, {sweep.missing} missing"
    )
    if report.deliveries is not None:
        ended = ", ".join(f"{count} {state.value}" for state, count in sorted(report.deliveries.ended.items()))
        lines.append(f"  delivery: {report.deliveries.written} written ({ended or 'nothing was due'})")
        lines += [f"    {reason}" for reason in report.deliveries.reasons[:10]]
    if report.left:
        lines.append(f"  {report.left} intents are left to deliver; they are tried again by the next round")
    lines += [f"  problem: {problem}" for problem in report.problems]
    return "\n".join(lines)
