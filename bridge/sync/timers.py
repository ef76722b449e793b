"""What time alone brings about: a supply that is about to run out becomes work, one that was renewed ends."""

from __future__ import annotations

from datetime import datetime

from bridge.cases.changes import Cause, CauseKind
from bridge.cases.reconcile import revisit
from bridge.store.port import Store
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line

AT_ONCE = 100


def tick(store: Store, line: Line, now: datetime) -> int:
    """Look again at every resource whose time has come; returns how many there were."""
    seen = 0
    while True:
        with store.transaction() as tx:
            tx.lock(line.name)
            due = tx.sources_to_watch(line.name, now, AT_ONCE)
            if not due:
                return seen
            known = load_roots(tx, line.name, {row.root for row in due})
            cause = Cause(CauseKind.TIMER, "watch")
            outcome = revisit([row.ref for row in due], known, line.rules, cause, now)
            record(tx, line, outcome, now)
            seen += len(due)
