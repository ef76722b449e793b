"""``bridge replay``: which parked rows are meant, and trying them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.bootstrap import Bridge
from bridge.cases.intents import IntentState
from bridge.report import inbox_row_as_dict, outbox_row_as_dict
from bridge.store.port import InboxState, Tx
from bridge.sync.replay import replay_inbox, replay_outbox

MOST = 100_000
"""Rows taken up by one ``--all``."""


def chosen_rows(bridge: Bridge, what: str, ids: Sequence[int] | None) -> list[dict[str, Any]]:
    """Return the parked rows of the inbox or outbox: those with *ids*, or all."""
    with bridge.store.reading() as tx:
        return _inbox(tx, ids) if what == "inbox" else _outbox(tx, ids)


def try_again(bridge: Bridge, what: str, ids: Sequence[int]) -> int:
    """Read the versions again, or queue the writes again; returns how many are no longer parked."""
    if what == "inbox":
        return replay_inbox(bridge.store, bridge.lines, ids, bridge.clock())
    return replay_outbox(bridge.store, ids, bridge.clock())


def _inbox(tx: Tx, ids: Sequence[int] | None) -> list[dict[str, Any]]:
    if ids is None:
        rows = tx.inbox(state=InboxState.PARKED, limit=MOST)
    else:
        rows = [row for row in map(tx.inbox_row, ids) if row is not None and row.state is InboxState.PARKED]
    return [inbox_row_as_dict(row) for row in rows]


def _outbox(tx: Tx, ids: Sequence[int] | None) -> list[dict[str, Any]]:
    if ids is None:
        rows = tx.outbox(state=IntentState.PARKED, limit=MOST)
    else:
        stuck = (IntentState.PARKED, IntentState.NOT_WRITABLE)
        rows = [row for row in map(tx.outbox_row, ids) if row is not None and row.state in stuck]
    return [outbox_row_as_dict(row) for row in rows]
