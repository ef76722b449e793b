"""
What came late: versions that a poll had read past without finding them, and that another way in brought.

They tell how late an EHR shows what it has stored, or what its search leaves out; the overlap of the polls
(``overlap_seconds``) is chosen by them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from bridge.store.port import Tx
from bridge.store.rows import LATE_CODE, InboxRow, InboxState


def noted_late(tx: Tx, connection: str, path: str, rows: Sequence[InboxRow], *, but: str) -> list[InboxRow]:
    """
    Count those of *rows*, which came by *path*, that a poll had read past; applied ones come back saying so.

    Args:
        but: The code of rows that do not count.
    """
    watermarks = {kind: _watermark(tx, connection, kind) for kind in {row.type for row in rows}}
    late: Counter[tuple[str, str]] = Counter()
    noted = []
    for row in rows:
        watermark = watermarks[row.type]
        if row.code == but or watermark is None or row.updated_at is None or row.updated_at > watermark:
            noted.append(row)
            continue
        late[row.type, path] += 1
        noted.append(_told(row, path, watermark))
    tx.count_late(connection, late)
    return noted


def _told(row: InboxRow, path: str, watermark: datetime) -> InboxRow:
    """Return a row with the reason; what was ignored or parked keeps its own."""
    if row.state is not InboxState.APPLIED:
        return row
    reason = f"found by {_BY.get(path, path)}: the poll had read up to {watermark:%Y-%m-%d %H:%M:%S} UTC without it"
    return replace(row, code=LATE_CODE, reason=reason)


_BY = {"sweep": "the sweep", "notify": "a notification"}


def _watermark(tx: Tx, connection: str, kind: str) -> datetime | None:
    cursor = tx.cursor(connection, kind)
    return cursor.watermark if cursor is not None else None
