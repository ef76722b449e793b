"""
Turns: what only one process may be at, one at a time, and how the next one takes over from one that is gone.

A turn is a row with a number and an end. Who has it moves the end on as the work goes on. A process that was
killed, or is frozen, does not: another one takes the next turn when the end has come. The first, should it thaw,
finds a number that is not its own and stops; what it stored until then is as true as what the other one stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from bridge.errors import BridgeError, HeldBack
from bridge.store.port import Store

LEASE = timedelta(seconds=120)
"""How long a process may be silent until another takes over its work (rule ours)."""

AFTER_A_FAILURE = timedelta(minutes=1)
"""How long what failed rests, where it would rest longer if it had not (rule ours)."""


@dataclass(eq=False)
class Turn:
    """One turn at *name*, for as long as it is kept."""

    store: Store
    clock: Callable[[], datetime]
    name: str
    lease: timedelta
    number: int
    kept_at: datetime
    is_over: bool = False
    _lock: Lock = field(default_factory=Lock)

    def keep(self) -> None:
        """
        Go on; to be called after each step.

        Raises:
            HeldBack: It was too long since the last time: another process is at it now.
        """
        now = self.clock()
        if not self.is_over and now - self.kept_at < self.lease / 4:
            return
        if self.is_over or not self._move(now + self.lease):
            raise HeldBack(f"{self.name}: another process has taken over", retry_at=now + self.lease)
        self.kept_at = now

    def end(self, until: datetime) -> None:
        """Give it back; the next one may begin at *until*. To be told so again changes nothing."""
        self._move(until, over=True)

    def _move(self, until: datetime, *, over: bool = False) -> bool:
        with self._lock:
            if self.is_over:
                return False
            self.is_over = over
            with self.store.transaction() as tx:
                return tx.keep_turn(self.name, self.number, until)


@dataclass(frozen=True)
class Turns:
    """
    Gives out turns.

    Args:
        shared: Whether other processes work on the same database. Where none does, everybody may always begin.
    """

    store: Store
    clock: Callable[[], datetime]
    lease: timedelta = LEASE
    shared: bool = False
    _out: set[Turn] = field(default_factory=set)
    """Those that this process has."""

    @contextmanager
    def one_at(self, name: str) -> Iterator[Callable[[], None]]:
        """
        Have a turn at *name*; gives what is to be called after each step.

        Raises:
            HeldBack: Another process is at it.
        """
        if not self.shared:
            yield lambda: None
            return
        turn = self._take(name)
        if turn is None:
            raise HeldBack(f"{name}: another process is at it", retry_at=self.clock() + self.lease)
        try:
            yield turn.keep
        finally:
            self._end(turn, self.clock())

    @contextmanager
    def due(self, name: str, every: timedelta) -> Iterator[Callable[[], None] | None]:
        """
        Have a turn at what is to be done *every* so often by one process of all; gives ``None`` while it is not due.

        What fails is due again sooner; what a process dies over, when its lease has run out.
        """
        began = self.clock()
        turn = self._take(name)
        if turn is None:
            yield None
            return
        try:
            yield turn.keep
        except BridgeError:
            self._end(turn, self.clock() + min(every, AFTER_A_FAILURE))
            raise
        self._end(turn, began + every * 0.9)

    def hand_back(self) -> int:
        """
        Let others begin at once with what this process is at, since it ends before that does; returns how many it was.

        Raises:
            StoreUnavailable: The database does not answer.
        """
        turns = tuple(self._out)
        for turn in turns:
            self._end(turn, self.clock())
        return len(turns)

    def _take(self, name: str) -> Turn | None:
        now = self.clock()
        with self.store.transaction() as tx:
            number = tx.take_turn(name, now, now + self.lease)
        if number is None:
            return None
        turn = Turn(self.store, self.clock, name, self.lease, number, now)
        self._out.add(turn)
        return turn

    def _end(self, turn: Turn, until: datetime) -> None:
        self._out.discard(turn)
        turn.end(until)
