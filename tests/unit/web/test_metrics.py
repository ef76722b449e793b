"""What a scrape costs, and what it tells while the database does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bridge.errors import StoreUnavailable
from bridge.store.memory import MemoryStore
from bridge.store.port import Tx
from bridge.web.context import Disk
from bridge.web.metrics import AT_ONCE_SECONDS, SHARE, Counted, Totals
from tests.unit.web.builders import MAIN, Clinic


class Slow:
    """Counts, and takes a while for it."""

    def __init__(self, seconds: float) -> None:
        self.now, self.times, self._seconds = 100.0, 0, seconds

    def __call__(self) -> Totals:
        self.times += 1
        self.now += self._seconds
        return Totals({("referral", "new"): self.times}, {})


@pytest.fixture
def counting() -> Callable[[float], tuple[Slow, Counted]]:
    def make(seconds: float) -> tuple[Slow, Counted]:
        slow = Slow(seconds)
        return slow, Counted(timer=lambda: slow.now)

    return make


def test_what_takes_long_to_count_is_kept_for_many_times_as_long(counting: Callable[..., tuple[Slow, Counted]]) -> None:
    slow, counted = counting(2.0)

    first = counted.of(MAIN, slow)
    slow.now = 100.0 + SHARE * 2.0 - 0.1
    assert counted.of(MAIN, slow) is first
    slow.now += 0.2
    assert counted.of(MAIN, slow) is not first
    assert slow.times == 2


def test_what_is_counted_at_once_is_counted_at_every_scrape(counting: Callable[..., tuple[Slow, Counted]]) -> None:
    slow, counted = counting(AT_ONCE_SECONDS / 2)

    counted.of(MAIN, slow)
    counted.of(MAIN, slow)

    assert slow.times == 2


def test_each_connection_is_counted_by_itself(counting: Callable[..., tuple[Slow, Counted]]) -> None:
    slow, counted = counting(2.0)

    assert counted.of("one", slow) is not counted.of("two", slow)


class _Away(MemoryStore):
    @contextmanager
    def reading(self) -> Iterator[Tx]:
        raise StoreUnavailable("database: connection refused")
        yield


def test_without_a_database_the_process_still_tells_of_itself() -> None:
    clinic = Clinic(store=_Away(), more={"disk": lambda: Disk(5, 10, 1), "asked": lambda: {(MAIN, "failed"): 3}})

    text = clinic.client().get("/metrics").text

    assert "bridge_database_up 0.0" in text
    assert "bridge_disk_free_bytes 5.0" in text
    assert f'bridge_requests_total{{connection="{MAIN}",outcome="failed"}} 3.0' in text
    assert "process_resident_memory_bytes" in text
    assert "bridge_cases{" not in text
