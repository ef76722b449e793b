"""``bridge replay``: which parked rows are meant, and trying them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.bootstrap import Bridge
from bridge.cases.intents import IntentState
from bridge.report import inbox_row_as_dict, outbox_row_as_dict
from bridge.store.port import Tx
from bridge.store.rows import InboxState
from bridge.sync.replay import foresee_inbox, replay_inbox, replay_outbox

MOST = 100_000
"""Rows taken up by one ``--all``."""


@dataclass(frozen=True)
class Chosen:
    """Which parked rows are meant; every field narrows, none means all."""

    connection: str | None = None
    type: str | None = None
    code: str | None = None


def chosen_rows(bridge: Bridge, what: str, ids: Sequence[int] | None, some: Chosen) -> list[dict[str, Any]]:
    """Return the parked rows of the inbox or outbox: those with *ids*, or all that *some* says."""
    with bridge.store.reading() as tx:
        return _inbox(tx, ids, some) if what == "inbox" else _outbox(tx, ids, some)


def with_outcomes(bridge: Bridge, what: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *rows*, each with what would become of it if it were tried now and alone; nothing is changed."""
    if what == "outbox":
        return [{**row, "would_be": {"state": "queued"}} for row in rows]
    found = foresee_inbox(bridge.store, bridge.lines, [row["id"] for row in rows], bridge.clock())
    foreseen = {one.id: {"state": one.state.value, "code": one.code, "reason": one.reason} for one in found}
    return [{**row, "would_be": foreseen.get(row["id"])} for row in rows]


def try_again(bridge: Bridge, what: str, ids: Sequence[int]) -> int:
    """Read the versions again, or queue the writes again; returns how many are no longer parked."""
    if what == "inbox":
        return replay_inbox(bridge.store, bridge.lines, ids, bridge.clock())
    return replay_outbox(bridge.store, ids, bridge.clock())


def _inbox(tx: Tx, ids: Sequence[int] | None, some: Chosen) -> list[dict[str, Any]]:
    if not ids:
        rows = tx.inbox(connection=some.connection, state=InboxState.PARKED, code=some.code, limit=MOST)
        rows = [row for row in rows if some.type in (None, row.type)]
    else:
        rows = [row for row in map(tx.inbox_row, ids) if row is not None and row.state is InboxState.PARKED]
    return [inbox_row_as_dict(row) for row in rows]


def _outbox(tx: Tx, ids: Sequence[int] | None, some: Chosen) -> list[dict[str, Any]]:
    if not ids:
        rows = tx.outbox(connection=some.connection, state=IntentState.PARKED, limit=MOST)
        rows = [row for row in rows if some.code in (None, row.code)]
    else:
        stuck = (IntentState.PARKED, IntentState.NOT_WRITABLE)
        rows = [row for row in map(tx.outbox_row, ids) if row is not None and row.state in stuck]
    return [outbox_row_as_dict(row) for row in rows]
