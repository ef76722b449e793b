"""When a measurement is made anew, and when a known one still holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pytest

from bridge.store.memory import MemoryStore
from bridge.store.port import Tx
from bridge.web import measuring
from bridge.web.measuring import FRESH, KEPT, SETTLED, Measuring
from bridge.web.problems import ApiError
from tests.unit.web.builders import NOW, Clinic, a_snapshot

OCTOBER = (date(2026, 10, 1), date(2026, 10, 31))


class Counting(MemoryStore):
    """Counts how often it was read."""

    reads = 0

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        self.reads += 1
        with super().reading() as tx:
            yield tx


@pytest.fixture
def store() -> Counting:
    return Counting()


@pytest.fixture
def counted(store: Counting) -> Clinic:
    return Clinic(store)


def test_a_period_that_is_over_is_measured_once(counted: Clinic, store: Counting) -> None:
    measures = Measuring(counted.context())

    first = measures.report(*OCTOBER, None)
    counted.now += timedelta(days=300)

    assert measures.report(*OCTOBER, None) is first
    assert store.reads == 1


def test_a_period_that_goes_on_is_measured_again_after_a_minute(counted: Clinic, store: Counting) -> None:
    measures = Measuring(counted.context())

    first = measures.report(None, None, None)
    counted.now += FRESH / 2
    soon = measures.report(None, None, None)
    counted.now += FRESH
    later = measures.report(None, None, None)

    assert soon is first
    assert later.until == counted.now
    assert store.reads == 2


def test_a_period_that_has_just_ended_is_not_yet_kept_for_good(counted: Clinic, store: Counting) -> None:
    """Another replica's clock may be a little behind: what it records now may still belong to yesterday."""
    counted.now = NOW.replace(hour=5) + SETTLED / 2
    yesterday = (date(2026, 11, 22), date(2026, 11, 22))
    measures = Measuring(counted.context())

    for _ in range(3):
        assert measures.report(*yesterday, None).complete
        counted.now += SETTLED
    assert store.reads == 2


def test_only_so_many_reports_are_remembered(counted: Clinic, store: Counting) -> None:
    measures = Measuring(counted.context())
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(KEPT + 1)]

    for day in days:
        measures.report(day, day, None)
    measures.report(days[-1], days[-1], None)
    measures.report(days[0], days[0], None)

    assert store.reads == KEPT + 2


def test_histories_are_read_page_by_page(counted: Clinic, store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PAGE", 2)
    counted.arrive(*(a_snapshot(f"ServiceRequest/{number}") for number in range(5)))
    counted.now += timedelta(minutes=1)

    assert Measuring(counted.context()).report(None, None, None).cases == 5
    assert store.reads == 3


def test_who_waits_too_long_for_another_measurement_is_told_so(
    counted: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "PATIENCE_SECONDS", 0)
    measures = Measuring(counted.context())

    with measures._busy, pytest.raises(ApiError) as refused:
        measures.report(*OCTOBER, None)

    assert (refused.value.problem.status, refused.value.headers) == (503, {"Retry-After": "60"})
