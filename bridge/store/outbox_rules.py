"""
How an outbox row moves, whichever store keeps it. Pure.

    queued ──claim──> sending ──settle──> confirmed | superseded | parked | not-writable
      ^                  │  └──settle (again later)──> queued
      │                  └──lease runs out: claimed again, unsure
      └──requeue── parked | not-writable

A level intent is rendered from the case as it is when it is sent. So there is at most one of a slot that is
queued or given up: a newer one supersedes it, and takes over ``unsure_at``, since the newer write must look for
what the older one may have left on the EHR.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from bridge.cases.intents import LEVEL_KINDS, Intent, IntentKind, IntentState
from bridge.store.codec import clean, maybe_clean
from bridge.store.rows import OutboxRow, Settlement

Slot = tuple[str, str]

_NEVER = datetime.max.replace(tzinfo=UTC)

FINAL = frozenset({IntentState.CONFIRMED, IntentState.SUPERSEDED, IntentState.PARKED, IntentState.NOT_WRITABLE})
WAITING = frozenset({IntentState.QUEUED, IntentState.SENDING, IntentState.PARKED})
"""States in which a case waits on the EHR: what no route leads to will never stand there."""
GIVEN_UP = frozenset({IntentState.PARKED, IntentState.NOT_WRITABLE})
UNSENT = frozenset({IntentState.QUEUED, *GIVEN_UP})
"""States in which a level intent is superseded by a newer one of its slot."""


def slot(intent: Intent) -> Slot:
    """Return what the intent is about: slots are names within a case."""
    return intent.case_id, clean(intent.slot)


def fresh(intents: Iterable[Intent], known: Container[tuple[str, str]]) -> list[Intent]:
    """Return the first intent of each (case, key) that is not *known*, in the order given."""
    first: dict[tuple[str, str], Intent] = {}
    for intent in intents:
        first.setdefault((intent.case_id, clean(intent.key)), intent)
    return [intent for key, intent in first.items() if key not in known]


def level_slots(intents: Iterable[Intent]) -> set[Slot]:
    """Return the slots of the level intents among *intents*."""
    return {slot(intent) for intent in intents if intent.kind in LEVEL_KINDS}


def queued(
    intents: Sequence[Intent], now: datetime, due_at: datetime, unsure: Mapping[Slot, datetime]
) -> list[OutboxRow]:
    """
    Return new rows, their ids not given yet (0).

    Only the last level intent of a slot is to be tried. *unsure* tells of slots when an intent that these
    supersede may have been sent.
    """
    slots = [slot(intent) if intent.kind in LEVEL_KINDS else None for intent in intents]
    last = {of: intent.key for of, intent in zip(slots, intents, strict=True)}
    return [
        _queued(
            intent,
            now,
            due_at,
            is_last=of is None or last[of] == intent.key,
            unsure_at=unsure.get(of) if of is not None else None,
        )
        for of, intent in zip(slots, intents, strict=True)
    ]


def _queued(intent: Intent, now: datetime, due_at: datetime, *, is_last: bool, unsure_at: datetime | None) -> OutboxRow:
    return OutboxRow(
        id=0,
        intent=intent,
        state=IntentState.QUEUED if is_last else IntentState.SUPERSEDED,
        attempts=0,
        next_at=due_at,
        created_at=now,
        unsure_at=unsure_at if is_last else None,
        settled_at=None if is_last else now,
    )


def doubts(rows: Iterable[OutboxRow]) -> dict[Slot, datetime]:
    """Return when one of *rows* may have been sent last, by slot."""
    found: dict[Slot, datetime] = {}
    for row in rows:
        if row.unsure_at is not None:
            found[slot(row.intent)] = max(row.unsure_at, found.get(slot(row.intent), row.unsure_at))
    return found


def doubted(row: OutboxRow, at: datetime) -> OutboxRow:
    """Return the row that takes the place of one which may have been sent *at* that time."""
    return msgspec.structs.replace(row, unsure_at=max(row.unsure_at or at, at))


def superseded(row: OutboxRow, now: datetime) -> OutboxRow:
    """Return an unsent row whose place a newer one took."""
    return msgspec.structs.replace(row, state=IntentState.SUPERSEDED, settled_at=now)


def claimed(row: OutboxRow, lease_until: datetime) -> OutboxRow:
    """Return the row under a new lease; one whose lease ran out may have been sent until then."""
    lapsed = row.lease_until if row.state is IntentState.SENDING else None
    taken = row if lapsed is None else doubted(row, lapsed)
    return msgspec.structs.replace(taken, state=IntentState.SENDING, token=row.token + 1, lease_until=lease_until)


def choose(rows: Iterable[OutboxRow], now: datetime, limit: int) -> list[OutboxRow]:
    """
    Return up to *limit* of *rows* to send now: lapsed leases first, then those due longest, one of a case.

    Args:
        rows: Rows of cases that have no other one in ``sending``.
    """
    ready = [row for row in rows if _may_start(row) <= now]
    ready.sort(key=lambda row: (row.state is not IntentState.SENDING, row.next_at, row.id))
    firsts: dict[str, OutboxRow] = {}
    for row in ready:
        firsts.setdefault(row.intent.case_id, row)
    return list(firsts.values())[:limit]


def _may_start(row: OutboxRow) -> datetime:
    if row.state is IntentState.QUEUED:
        return row.next_at
    return row.lease_until if row.state is IntentState.SENDING and row.lease_until else _NEVER


def freed(row: OutboxRow, now: datetime) -> OutboxRow:
    """Return a ``sending`` row whose sender is known to be gone: claimable now, and unsure."""
    return msgspec.structs.replace(doubted(row, now), token=row.token + 1, lease_until=now)


def settled(row: OutboxRow, how: Settlement, *, newer_waits: bool) -> OutboxRow:
    """
    Return the row after an attempt.

    Args:
        newer_waits: A newer intent of its slot is queued, so this level intent need not be tried again.
    """
    state = how.state
    if newer_waits and row.intent.kind in LEVEL_KINDS and state in UNSENT:
        state = IntentState.SUPERSEDED
    return msgspec.structs.replace(
        row,
        state=state,
        attempts=row.attempts + how.spent,
        next_at=how.next_at or row.next_at,
        lease_until=None,
        unsure_at=how.unsure_at,
        code=maybe_clean(how.code),
        reason=maybe_clean(how.reason),
        written=maybe_clean(how.written) or row.written,
        written_version=maybe_clean(how.written_version) or row.written_version,
        settled_at=how.at if state in FINAL else None,
    )


def found(row: OutboxRow, written: str, version: str | None, now: datetime) -> OutboxRow:
    """Return *row* as confirmed by what was found on the EHR."""
    return msgspec.structs.replace(
        row,
        state=IntentState.CONFIRMED,
        settled_at=now,
        lease_until=None,
        code=None,
        reason=None,
        written=written,
        written_version=version,
    )


class Ended(NamedTuple):
    """What of a row decides whether a later one says all that it does; ``slot`` is its case's."""

    id: int
    slot: tuple[object, str]
    is_level: bool
    state: IntentState
    written: str | None
    unsure: bool
    kind: str


def outlived(rows: Iterable[Ended]) -> list[int]:
    """
    Return the ids of those rows that no one needs: a later row of the same slot is there, and says as much.

    Args:
        rows: Every row of some cases, by ascending id.

    One that was confirmed needs a later one that was, of the same resource; that one also says since when Bridge knows
    that the resource is its own. Messages and retractions, and what may have been sent without an answer, stay.
    """
    gone, later, written = [], set[object](), set[object]()
    for row in sorted(rows, key=lambda one: -one.id):
        is_over = row.state is IntentState.SUPERSEDED and row.written is None and row.slot in later
        is_repeat = row.state is IntentState.CONFIRMED and (row.slot, row.written) in written
        if row.is_level and row.kind in _OUTLIVED and not row.unsure and (is_over or is_repeat):
            gone.append(row.id)
            continue
        later.add(row.slot)
        if row.state is IntentState.CONFIRMED:
            written.add((row.slot, row.written))
    return gone


def is_ended(row: OutboxRow) -> bool:
    """Whether this is a level intent that came to an end by itself."""
    return row.intent.kind in LEVEL_KINDS and row.state in (IntentState.CONFIRMED, IntentState.SUPERSEDED)


def as_ended(row: OutboxRow) -> Ended:
    """Return what of *row* decides whether it is needed."""
    return Ended(
        row.id or 0,
        slot(row.intent),
        is_level=row.intent.kind in LEVEL_KINDS,
        state=row.state,
        written=row.written,
        unsure=row.unsure_at is not None,
        kind=row.intent.kind.value,
    )


_OUTLIVED = frozenset({IntentKind.COORDINATION_TASK.value, IntentKind.SOURCE_TASK.value})


def requeued(row: OutboxRow, now: datetime) -> OutboxRow:
    """Return a given-up row queued again with a fresh count of attempts."""
    return msgspec.structs.replace(
        row, state=IntentState.QUEUED, attempts=0, next_at=now, code=None, reason=None, settled_at=None
    )


def holds_lease(row: OutboxRow, how: Settlement) -> bool:
    """Return whether the settlement comes from the holder of the row's lease."""
    return row.state is IntentState.SENDING and row.token == how.token
