"""How an EHR is to be asked, and who asks: the same for every process."""

from __future__ import annotations

import threading

import msgspec
import pytest

from bridge.errors import DomainError
from bridge.store.port import Store
from bridge.store.rows import Budget

from .builders import EHR, minutes


def test_a_connection_that_was_never_asked_has_an_empty_budget(store: Store) -> None:
    with store.reading() as tx:
        assert tx.budget(EHR) == Budget(connection=EHR)
    with store.transaction() as tx:
        assert tx.budget(EHR) == Budget(connection=EHR)


def test_a_budget_comes_back_whole_and_is_of_one_connection(store: Store) -> None:
    row = Budget(
        connection=EHR,
        next_at=minutes(1),
        asked_until=minutes(2),
        away_since=minutes(-3),
        open_until=minutes(4),
        trips=5,
        recovered_at=minutes(-60),
        reason="search of Task: answered 503",
    )
    with store.transaction() as tx:
        tx.save_budget(Budget(connection=EHR, next_at=minutes(9)))
        tx.save_budget(row)
        tx.save_budget(Budget(connection="other"))

    with store.reading() as tx:
        assert tx.budget(EHR) == row
        assert tx.budget("other") == Budget(connection="other")


@pytest.mark.parametrize("wrong", [{"open_until": minutes(1)}, {"away_since": minutes(1), "trips": 1}, {"trips": 1}])
def test_a_budget_is_either_away_with_all_that_belongs_to_it_or_not(store: Store, wrong: dict[str, object]) -> None:
    with pytest.raises(DomainError), store.transaction() as tx:
        tx.save_budget(msgspec.structs.replace(Budget(connection=EHR), **wrong))


def test_who_changes_a_budget_keeps_others_from_reading_it_meanwhile(store: Store) -> None:
    def count() -> None:
        for _ in range(20):
            with store.transaction() as tx:
                found = tx.budget(EHR)
                since = found.next_at or minutes(0)
                tx.save_budget(msgspec.structs.replace(found, next_at=since + (minutes(1) - minutes(0))))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    with store.reading() as tx:
        assert tx.budget(EHR).next_at == minutes(60)


def test_workers_are_counted_while_they_are_seen(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.workers("a", minutes(0), minutes(-1)) == 1
        assert tx.workers("b", minutes(1), minutes(0)) == 2
        assert tx.workers("b", minutes(2), minutes(1)) == 1
        assert tx.workers("a", minutes(2), minutes(1)) == 2
