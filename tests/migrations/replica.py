"""A replica of this release over a database of either kind, and whether what it holds is sound."""

from __future__ import annotations

import threading
from functools import reduce

from sqlalchemy import select

from bridge.cases.changes import Change, fold
from bridge.cases.model import Case
from bridge.store.opening import create_or_open
from bridge.store.sql import SqlStore
from bridge.store.tables import care_case
from tests.unit.sync.world import World, order, patient

PATIENCE_SECONDS = 120.0


class DatabaseWorld(World):
    """A world over the database at *url*."""

    store: SqlStore  # type: ignore[assignment]

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.reopen()

    def reopen(self) -> None:
        """Open the database, as a start of the process does."""
        self.store = create_or_open(self.url)
        self.bridge = self.new_bridge()


class Replica:
    """Reads what is ordered and writes what is to be said, round after round, in a thread of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rounds = 0
        self._problem: Exception | None = None
        self._moved = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work)
        world.ehr.put(patient())
        self._thread.start()

    def _work(self) -> None:
        while not self._stopped.is_set() and self._problem is None:
            try:
                self.world.ehr.put(order(f"o{self.rounds}"))
                self.world.sync(1)
            except Exception as problem:  # noqa: BLE001 - told to who waits
                self._problem = problem
            with self._moved:
                self.rounds += 1
                self._moved.notify_all()

    def goes_on(self, rounds: int = 2) -> None:
        """Wait until it has done so many rounds more; raises what ended it, if anything did."""
        with self._moved:
            goal = self.rounds + rounds
            reached = self._moved.wait_for(lambda: self.rounds >= goal or self._problem, PATIENCE_SECONDS)
        if self._problem is not None:
            raise self._problem
        assert reached, "it does nothing any more"

    def end(self) -> None:
        """Let it end its round."""
        self._stopped.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        if self._problem is not None:
            raise self._problem


def folded(history: list[Change]) -> Case | None:
    """Return the case that a history tells of."""
    return reduce(fold, history, None)


def unlike_their_histories(store: SqlStore) -> list[str]:
    """Return the cases, merged ones too, that are not what their histories tell."""
    with store.reading() as tx:
        ids = tx.conn.execute(select(care_case.c.id)).scalars().all()
        return [one for one in ids if tx.case(one) != folded(tx.history(one))]
