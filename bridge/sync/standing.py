"""
Whether the coordination Tasks of open cases still stand on the EHR as somebody can read them.

Others may delete or end them there, or drop the identifier that they are found by. An intent is queued for each,
and ``deliver`` does what it always does: it creates what is missing, once, and leaves what somebody ended, with
its reason shown on the case.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.errors import Gone, NotFound, Refused
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store, Tx
from bridge.store.rows import OutboxRow
from bridge.sync.line import Line
from bridge.sync.noticed import search_copies
from bridge.sync.several import read_several
from bridge.sync.whose import OF_THE_ROOT
from bridge.tasks.intents import task_again
from bridge.tasks.merge import carries_identifier, decode
from bridge.tasks.transitions import FINAL

_ALL = 1_000_000

MANY = 10
"""From how many Tasks on it is unbelievable that not one is found, where the server does not say 410 (rule ours)."""


@dataclass(frozen=True)
class StandingReport:
    """How many Tasks were deleted or ended by others; ``problem`` says in words why none was believed to be."""

    lost: int = 0
    problem: str | None = None


def check_standing(
    client: FhirClient, store: Store, line: Line, roots: Collection[str], now: datetime
) -> StandingReport:
    """
    Queue an intent for each open case of *roots* whose Task is not there, was ended, or lost our identifier.

    Of one that the EHR closes to us nothing is known, and nothing is queued.

    Raises:
        RemoteError: The EHR does not answer, or refuses all.
    """
    if not line.writes:
        return StandingReport()
    _try_again(store, line, roots, now)
    with store.reading() as tx:
        written = _written(tx, line, roots)
    if not written:
        return StandingReport()
    several = read_several(client, list(written))
    if len(several.refused) == len(written):
        raise next(iter(several.refused.values()))
    there = {version.ref: version for version in several.found}
    absent: dict[str, bool] = {}
    hidden = {*several.refused}
    for ref in written.keys() - there.keys() - hidden:
        try:
            there[ref] = client.read(ref)
        except (Gone, NotFound) as error:
            absent[ref] = isinstance(error, Gone)
        except Refused:
            hidden.add(ref)
    if not there and len(absent) >= MANY and not any(absent.values()):
        return StandingReport(problem="sweep: none of our Tasks is there any more; may Bridge still read Tasks?")
    marks = [(row, _mark(row, there.get(ref))) for ref, row in written.items() if ref not in hidden]
    lost = _queue(store, line, [(row, mark) for row, mark in marks if mark is not None], now)
    search_copies(client, store, line, written, now)
    return StandingReport(lost)


def _try_again(store: Store, line: Line, roots: Collection[str], now: datetime) -> None:
    """
    Queue again what says how an open case stands and was given up for a reason that its root gives no longer.

    Messages and records of attempts are left to a person: meanwhile the work may have become another patient's.
    """
    with store.transaction() as tx:
        there = {ref for ref, row in tx.sources(line.name, roots).items() if row.gone_at is None and row.unread is None}
        cases = sorted(case.id for root, case in tx.cases_of_roots(line.name, roots).items() if root in there)
        parked = tx.outbox(case_ids=cases, state=IntentState.PARKED, limit=_ALL) if cases else []
        given_up = [row.id for row in parked if row.intent.message is None and row.code in OF_THE_ROOT]
        if given_up:
            tx.lock(line.name)
            tx.requeue(given_up, now)


def _written(tx: Tx, line: Line, roots: Collection[str]) -> dict[str, OutboxRow]:
    """Return the row that wrote it, by the Task that stands for each open case with nothing on its way."""
    cases = {case.id for case in tx.cases_of_roots(line.name, roots).values() if case.is_open}
    rows = tx.outbox(case_ids=sorted(cases), limit=_ALL)
    last = {row.intent.case_id: row for row in rows if row.intent.kind is IntentKind.COORDINATION_TASK}
    done = (row for row in rows if row.state is IntentState.CONFIRMED and last.get(row.intent.case_id) == row)
    return {row.written: row for row in done if row.written is not None}


def _mark(row: OutboxRow, stands: SourceVersion | None) -> str | None:
    """Return a name for what happened to the Task, the same however often it is seen; ``None`` where nothing did."""
    if stands is None:
        return f"lost-{row.id}"
    if stands.issue is not None or stands.version == row.written_version:
        return None
    current = decode(stands.raw)
    if current.get("status") in FINAL:
        return f"ended-{stands.version}"
    return None if carries_identifier(current) else f"unmarked-{stands.version}"


def _queue(store: Store, line: Line, lost: list[tuple[OutboxRow, str]], now: datetime) -> int:
    with store.transaction() as tx:
        tx.lock(line.name)
        intents: list[Intent] = []
        for row, mark in lost:
            case = tx.case_for_update(row.intent.case_id)
            if case is not None and case.is_open and case.merged_into is None:
                intents.append(task_again(case, mark))
        tx.add_intents(intents, now)
    return len(intents)
