"""Transactions: all or nothing, no lost update, one winner, readers that do not wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import msgspec
import pytest

from bridge.cases.intents import IntentState
from bridge.errors import BridgeError
from bridge.store.port import Store, Tx
from bridge.store.rows import Counts, Cursor

from .builders import (
    EHR,
    NOW,
    a_case,
    a_change,
    a_level,
    a_message,
    a_person,
    a_source,
    a_version,
    claim,
    minutes,
    settlement,
    states,
    with_cases,
    with_intents,
)


class Stop(Exception):
    """What a test raises to break off a transaction."""


def break_off(store: Store, work: Callable[[Tx], object]) -> None:
    """Do some work in a transaction that then fails."""
    with store.transaction() as tx:
        work(tx)
        raise Stop


def at_once(count: int, work: Callable[[int], object]) -> list[Any]:
    """Run *work* in threads that start together; return what each gave or raised."""
    barrier = Barrier(count)

    def one(number: int) -> object:
        barrier.wait(timeout=10)
        try:
            return work(number)
        except BridgeError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return [future.result(timeout=60) for future in [pool.submit(one, n) for n in range(count)]]


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with_intents(store, a_message("kept"))

    def everything(tx: Tx) -> None:
        tx.lock("new-connection")
        tx.add_versions([a_version()])
        tx.count(EHR, "Task", Counts(1, 1))
        tx.save_cursor(Cursor(connection=EHR, stream="Task", read=1))
        tx.save_sources([a_source()])
        tx.save_cases([a_case()], [a_change(a_case())])
        tx.want_people(EHR, ["Patient/1"], NOW)
        tx.save_people(EHR, [a_person("Patient/2")], NOW)
        tx.add_intents([a_message()], NOW)
        tx.claim(EHR, NOW, minutes(1), 10)
        tx.win_tick("poll", NOW, minutes(1))

    with pytest.raises(Stop):
        break_off(store, everything)

    with store.transaction() as tx:
        assert tx.inbox() == []
        assert tx.totals(EHR) == {}
        assert tx.cursors(EHR) == []
        assert tx.sources(EHR, ["Task/1"]) == {}
        assert tx.case("c1") is None
        assert tx.history("c1") == []
        assert tx.wanted_people(EHR, minutes(9), 10) == []
        assert tx.people(EHR, ["Patient/2"]) == {}
        assert [(row.intent.key, row.state) for row in tx.outbox()] == [("kept/1", IntentState.QUEUED)]
        assert tx.win_tick("poll", NOW, minutes(1))


def test_a_new_connection_of_a_broken_off_transaction_is_not_remembered(store: Store) -> None:
    with pytest.raises(Stop):
        break_off(store, lambda tx: tx.add_versions([a_version(connection="first")]))

    with store.transaction() as tx:
        tx.add_versions([a_version(connection="second")])
        tx.add_versions([a_version(connection="first")])

    with store.reading() as tx:
        assert [row.connection for row in tx.inbox()] == ["second", "first"]


def test_a_reader_sees_one_moment_and_waits_for_nobody(store: Store) -> None:
    with_cases(store, a_case("c1"))
    with store.transaction() as writer:
        writer.save_cases([a_case("c2")], [])
        with store.reading() as reader:
            assert reader.case("c2") is None
    with store.reading() as reader:
        assert reader.case("c2") is not None


def test_a_reader_keeps_its_moment_while_others_commit(store: Store) -> None:
    with_cases(store, a_case("c1"))
    with store.reading() as reader:
        before = reader.case("c1")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(with_cases, store, a_case("c2")).result(timeout=30)
        assert reader.case("c2") is None
        assert reader.case("c1") == before


def test_no_update_is_lost_when_four_read_then_write(store: Store) -> None:
    """pysqlite's default lost 871 of 1,200 of these silently."""
    with_cases(store, a_case("c1"))

    def work(_: int) -> None:
        for _ in range(15):
            with store.transaction() as tx:
                case = tx.case_for_update("c1")
                assert case is not None
                moved = msgspec.structs.replace(case, version=case.version + 1)
                tx.save_cases([moved], [a_change(moved, tx.change_counts(["c1"])["c1"] + 1)])

    assert at_once(4, work) == [None] * 4

    with store.reading() as tx:
        case = tx.case("c1")
        assert case is not None
        assert case.version == 61
        assert [change.seq for change in tx.history("c1")] == list(range(1, 62))


def test_intake_of_one_connection_runs_one_at_a_time(store: Store) -> None:
    """Two pollers with the same page: what the second adds is what the first did not."""
    versions = [a_version(f"Task/{n}") for n in range(50)]

    def work(_: int) -> int:
        with store.transaction() as tx:
            tx.lock(EHR)
            known = tx.known_versions(EHR, [(row.ref, row.version) for row in versions])
            fresh = [row for row in versions if (row.ref, row.version) not in known]
            tx.add_versions(fresh)
            tx.count(EHR, "Task", Counts(50, len(fresh), len(known)))
            return len(fresh)

    assert sorted(at_once(4, work)) == [0, 0, 0, 50]

    with store.reading() as tx:
        assert tx.totals(EHR) == {"Task": Counts(200, 50, 150)}


def test_concurrent_claims_never_share_a_row_or_a_case(store: Store) -> None:
    with_intents(store, *(a_message(f"c{n % 12}", n) for n in range(36)))

    def work(_: int) -> list[str]:
        sent: list[str] = []
        while rows := claim(store, limit=3):
            sent += [row.intent.key for row in rows]
            with store.transaction() as tx:
                assert tx.settle([settlement(row, IntentState.CONFIRMED) for row in rows]) == len(rows)
        return sent

    sent = [key for keys in at_once(4, work) for key in keys]

    while rows := claim(store):
        with store.transaction() as tx:
            tx.settle([settlement(row, IntentState.CONFIRMED) for row in rows])
        sent += [row.intent.key for row in rows]
    assert len(sent) == len(set(sent)) == 36
    assert {state for _, state in states(store)} == {IntentState.CONFIRMED}


def test_settling_and_queueing_the_same_slot_at_once_keeps_one_unsent(store: Store) -> None:
    with_intents(store, *(a_level(f"c{n}") for n in range(20)))
    sent = claim(store, limit=20)

    def work(number: int) -> None:
        for row in sent[:: 1 if number else -1]:
            case_id = row.intent.case_id
            with store.transaction() as tx:
                if number:
                    tx.settle([settlement(row, IntentState.QUEUED, next_at=minutes(1))])
                else:
                    case = tx.case_for_update(case_id)
                    assert case is not None
                    tx.add_intents([a_level(case_id, version=2)], NOW)

    assert at_once(2, work) == [None, None]

    unsent = {key: state for key, state in states(store) if state is not IntentState.SUPERSEDED}
    assert unsent == {f"c{n}/task/2": IntentState.QUEUED for n in range(20)}


def test_one_of_many_wins_each_tick(store: Store) -> None:
    def work(_: int) -> list[bool]:
        wins = []
        for n in range(3):
            with store.transaction() as tx:
                wins.append(tx.win_tick("poll", minutes(n), minutes(n + 1)))
        return wins

    results = at_once(4, work)

    assert sum(sum(wins) for wins in results) == 3


def test_a_tick_is_won_once_per_due_time_and_timer(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.win_tick("poll", NOW, minutes(5))
        assert not tx.win_tick("poll", minutes(4), minutes(9))
        assert tx.win_tick("sweep", NOW, minutes(5))
        assert tx.win_tick("poll", minutes(5), minutes(10))
        assert not tx.win_tick("poll", minutes(5), minutes(10))


def test_many_threads_read_while_one_writes(store: Store) -> None:
    with_cases(store, a_case("c1"))
    done = Event()

    def work(number: int) -> int:
        if number == 0:
            for n in range(20):
                with_cases(store, a_case(f"x{n}"))
            done.set()
            return 0
        reads = 0
        while True:
            last = done.is_set()
            with store.reading() as tx:
                assert tx.case("c1") is not None
                reads += 1
            if last:
                return reads

    assert all(reads > 0 for reads in at_once(4, work)[1:])
