"""Who writes next, where only one can: whoever has waited longest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from bridge.errors import StoreUnavailable


class Turnstile:
    """
    Lets one thread through at a time, in the order in which they came.

    A lock, or a pool of one connection, is taken by whoever asks at the right moment, and that is mostly the thread
    that has just given it back: with one thread that wrote page after page, another one did not get to write for 30 s
    (seen 2026-11). So it is handed over to the next in line.
    """

    def __init__(self) -> None:
        """Let the first one through at once."""
        self._guard, self._taken, self._line = Lock(), False, deque[Lock]()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @contextmanager
    def through(self, patience_seconds: float) -> Iterator[None]:
        """
        Wait in line, and go through.

        Raises:
            StoreUnavailable: It was not our turn in time.
        """
        place = self._queue_up()
        if place is not None and not place.acquire(timeout=patience_seconds) and not self._came_late(place):
            raise StoreUnavailable(f"database: others wrote for {patience_seconds:g} s; it was not our turn")
        try:
            yield
        finally:
            self._hand_over()

    def _queue_up(self) -> Lock | None:
        """Return our place in line, ``None`` where there is nobody before us."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return None
            place = Lock()
            place.acquire()
            self._line.append(place)
            return place

    def _came_late(self, place: Lock) -> bool:
        """Leave the line; returns whether our turn came just then."""
        with self._guard:
            if place not in self._line:
                return True
            self._line.remove(place)
            return False

    def _hand_over(self) -> None:
        with self._guard:
            if self._line:
                self._line.popleft().release()
            else:
                self._taken = False
