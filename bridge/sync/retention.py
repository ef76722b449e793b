"""
Retention: a timer that drops, a bounded step at a time, what neither work nor proof needs any more.

Dropped are the bodies of old versions (that a version was received, when, by which way and what became of it stays for
ever, so that one that comes again is a repeat), and writes whose place a later one took. Never dropped: what is parked,
what an open case rests on, a write that may have been sent without an answer, the last word on each resource that was
written, messages, and histories: they are the record of what was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.store.port import Store, Tx
from bridge.store.rows import Forgotten

EVERY = timedelta(hours=6)
"""How often it is looked what may go (rule ours)."""

PAGES_AT_ONCE = 10
"""Stored pages, of a megabyte at most each, that one transaction unpacks: about a tenth of a second (rule ours)."""

WRITES_AT_ONCE = 500


@dataclass(frozen=True)
class Keeping:
    """For how long what nobody needs is kept all the same; ``None`` for ever."""

    bodies: timedelta | None = timedelta(days=90)
    writes: timedelta | None = timedelta(days=90)


@dataclass(frozen=True)
class Dropped:
    """How many bodies went, of how many bytes as they were received, and how many writes."""

    bodies: int = 0
    size: int = 0
    writes: int = 0


def forget(
    store: Store,
    keeping: Keeping,
    now: datetime,
    *,
    keep: Callable[[], None] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> Dropped:
    """
    Drop all that may go, each step in a transaction of its own, until none is left or *stop* says so.

    Args:
        keep: Called after each step; raises where another process has taken over.
    """
    bodies = _drop(
        store,
        keeping.bodies,
        now,
        lambda tx, before, after: tx.forget_bodies(before, after=after, limit=PAGES_AT_ONCE),
        keep,
        stop,
    )
    writes = _drop(
        store,
        keeping.writes,
        now,
        lambda tx, before, after: tx.forget_writes(before, after=after, limit=WRITES_AT_ONCE),
        keep,
        stop,
    )
    return Dropped(bodies.rows, bodies.size, writes.rows)


def _drop(
    store: Store,
    kept_for: timedelta | None,
    now: datetime,
    step: Callable[[Tx, datetime, int], Forgotten],
    keep: Callable[[], None],
    stop: Callable[[], bool],
) -> Forgotten:
    total, after = Forgotten(), 0
    while kept_for is not None and not stop():
        with store.transaction() as tx:
            done = step(tx, now - kept_for, after)
        total = Forgotten(rows=total.rows + done.rows, size=total.size + done.size)
        if done.next is None:
            break
        after = done.next
        keep()
    return total
