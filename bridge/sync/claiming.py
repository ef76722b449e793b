"""The next case of a role queue for a person who is free: of two who ask at once, each gets one of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from bridge.cases.commands import Claim
from bridge.cases.model import Case
from bridge.errors import CommandRefused, StaleVersion
from bridge.store.port import Store
from bridge.store.queries import CaseFilter
from bridge.sync.command import execute
from bridge.sync.line import Line

_AT_ONCE = 20
_ROUNDS = 3
"""How often the queue is gone through where cases changed while somebody was about to take them."""


def claim_next(
    store: Store,
    lines: Mapping[str, Line],
    role: str,
    *,
    by: str,
    now: datetime,
    new_id: str,
    connection: str | None = None,
    lane: str | None = None,
) -> Case | None:
    """
    Take the case of a role queue that is due first, and return it; ``None`` where none waits.

    What was put off is left alone until it comes back.

    Raises:
        CommandRefused: *by* does not take cases from that queue.
    """
    if not any(line.rules.owners.works(by, role) and role in line.rules.owners.names() for line in lines.values()):
        raise CommandRefused(f"{by} does not take cases from {role}.")
    where = CaseFilter(owner=role, unowned=True, is_open=True, connection=connection, lane=lane)
    for _ in range(_ROUNDS):
        missed = False
        for case in _waiting(store, where, now):
            try:
                return execute(
                    store, lines, case.id, Claim(), by=by, expected_version=case.version, now=now, new_id=new_id
                )
            except StaleVersion:
                missed = True
            except CommandRefused:
                continue
        if not missed:
            break
    return None


def _waiting(store: Store, where: CaseFilter, now: datetime) -> Iterator[Case]:
    cursor: str | None = None
    while True:
        with store.reading() as tx:
            page = tx.list_cases(where, limit=_AT_ONCE, cursor=cursor)
        for case in page.cases:
            if case.local.snoozed_until is None or case.local.snoozed_until <= now:
                yield case
        cursor = page.next_cursor
        if cursor is None:
            return
