"""
What time alone brings about: a supply that is about to run out becomes work, one that was renewed ends, and a case
that nobody moves climbs the ladder of its lane.

What is due is in the database, with the moment it is due; whichever process looks first, however late, brings about
what that moment brings about, once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from bridge.cases.changes import Cause, CauseKind
from bridge.cases.reconcile import revisit
from bridge.cases.rules import case_id, fingerprint
from bridge.store.port import Store, Tx
from bridge.store.rows import Cursor
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line

AT_ONCE = 100


def tick(store: Store, line: Line, now: datetime) -> int:
    """Look again at every resource and every case whose time has come; returns how many there were."""
    return _all(store, line, now, _look_at_sources) + _all(store, line, now, _wake_cases)


def notice_rules(store: Store, line: Line, now: datetime) -> bool:
    """
    Have every open case looked at again if the rules are other ones than when that was done last.

    A lane that gives less time than it did calls for somebody earlier, and nothing comes in that would tell.
    """
    told = fingerprint(line.rules)
    with store.transaction() as tx:
        tx.lock(line.name)
        last = tx.cursor(line.name, _RULES)
        if last is not None and last.place == told:
            return False
        tx.wake_open(line.name, now)
        tx.save_cursor(Cursor(connection=line.name, stream=_RULES, place=told, checked_at=now))
    return True


_RULES = "rules"
"""Where it is kept by which rules the cases were derived; no type of resource is called so."""


def catch_up(tx: Tx, line: Line, now: datetime) -> None:
    """
    Bring about what time alone has, before something else changes the cases in the same transaction.

    Who was to be asked at nine is asked as things stood at nine, although nobody looked until an attempt was logged
    five minutes later.
    """
    for some in (_look_at_sources, _wake_cases):
        while some(tx, line, now):
            pass


def _all(store: Store, line: Line, now: datetime, some: Callable[[Tx, Line, datetime], int]) -> int:
    seen = 0
    while True:
        with store.transaction() as tx:
            tx.lock(line.name)
            found = some(tx, line, now)
        if not found:
            return seen
        seen += found


def _look_at_sources(tx: Tx, line: Line, now: datetime) -> int:
    due = tx.sources_to_watch(line.name, now, AT_ONCE)
    if due:
        _look_again(tx, line, {row.root for row in due}, [row.ref for row in due], Cause(CauseKind.TIMER, "watch"), now)
    return len(due)


def _wake_cases(tx: Tx, line: Line, now: datetime) -> int:
    due = tx.cases_to_wake(line.name, now, AT_ONCE)
    if due:
        looked_at = _look_again(tx, line, due, None, Cause(CauseKind.TIMER, "clock"), now)
        # Work of a lane that is switched off is left as it is, and sleeps until something comes in.
        tx.set_wakes(dict.fromkeys({case_id(line.name, root) for root in due} - looked_at))
    return len(due)


def _look_again(
    tx: Tx, line: Line, roots: Collection[str], refs: Collection[str] | None, cause: Cause, now: datetime
) -> set[str]:
    """Derive cases again, and return the ids of those that could be; by these *refs*, or by all of each case's."""
    known = load_roots(tx, line.name, roots)
    again = refs if refs is not None else [row.ref for row in known.sources.values() if row.root in set(roots)]
    outcome = revisit(again, known, line.rules, cause, now)
    record(tx, line, outcome, now)
    return set(outcome.wakes)
