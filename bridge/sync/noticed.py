"""Tasks of ours that come back under an id that we did not know: second copies of one that stands, or lost answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from bridge.cases.intents import Intent, IntentKind
from bridge.errors import Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient, escape
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store, Tx
from bridge.store.rows import OutboxRow
from bridge.sync.line import Line
from bridge.tasks.identity import CASE_SYSTEM, case_of_task, is_own_id
from bridge.tasks.intents import copy_intent

LATELY = timedelta(days=1)
"""For how long after a Task was written a sweep looks for a second copy of it (rule ours)."""

_MOST_COPIES = 3


class _Named(msgspec.Struct, gc=False):
    system: str | None = None
    value: str | None = None


class _Task(msgspec.Struct, gc=False):
    status: str | None = None
    identifier: tuple[_Named, ...] = ()


_decoder = msgspec.json.Decoder(_Task)


def notice_copies(tx: Tx, line: Line, versions: Iterable[SourceVersion], now: datetime) -> int:
    """
    Queue an intent for each Task of ours whose case has another one on the EHR by what we wrote; returns how many.

    A Task of which only the answer is still under way is no copy: nothing else is written for its case then, and what
    was written later is looked at when it was in doubt.
    """
    if not line.writes:
        return 0
    names = {version.ref: task_name(version) for version in versions}
    cases = {ref: case_of_task(name) for ref, name in names.items() if name is not None}
    known = tx.our_tasks(line.name, cases) if cases else set()
    found = [intent for ref, case_id in cases.items() if ref not in known and (intent := _beside(tx, case_id, ref))]
    if found:
        tx.add_intents(found, now)
    return len(found)


def search_copies(
    client: FhirClient, store: Store, line: Line, written: Mapping[str, OutboxRow], now: datetime
) -> None:
    """
    Search for second copies of Tasks that were written lately, and queue an intent for each.

    A poll brings them as well, but not when it came before the one that is known was noted. An EHR that does not
    search so is not asked: it could not have been written to either.

    Args:
        written: What wrote each, by ``Task/id``.

    Raises:
        RemoteError: The EHR does not answer.
    """
    tokens = [
        f"{escape(CASE_SYSTEM)}|{escape(row.intent.case_id)}"
        for ref, row in written.items()
        if not is_own_id(ref) and (row.settled_at or row.created_at) >= now - LATELY
    ]
    for start in range(0, len(tokens), client.endpoint.ids_per_search):
        some = tokens[start : start + client.endpoint.ids_per_search]
        asked = [("identifier", ",".join(some)), ("_count", str(_MOST_COPIES * len(some)))]
        try:
            page = client.search("Task", asked, critical=("identifier",))
        except (Refused, UnsafeAnswer):
            return
        with store.transaction() as tx:
            notice_copies(tx, line, page.entries, now)


def task_name(version: SourceVersion) -> str | None:
    """Return the value of the identifier by which a Task is ours, unless it is marked as entered in error."""
    if version.type != "Task" or version.issue is not None:
        return None
    try:
        task = _decoder.decode(version.raw)
    except msgspec.DecodeError:
        return None
    values = [one.value for one in task.identifier if one.system == CASE_SYSTEM and one.value is not None]
    return values[0] if values and task.status != "entered-in-error" else None


def _beside(tx: Tx, case_id: str, ref: str) -> Intent | None:
    case = tx.case(case_id)
    written = [row.written for row in tx.written(case_id, [IntentKind.COORDINATION_TASK]) if row.written is not None]
    return copy_intent(case, ref, f"beside-{written[-1]}") if case is not None and written else None
