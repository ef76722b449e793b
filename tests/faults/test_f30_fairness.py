"""F30: one connection has a hundred times the load of another, or its EHR does not answer at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from bridge.cases.intents import IntentState
from bridge.errors import StoreUnavailable
from bridge.store.opening import create_or_open
from bridge.store.port import Store
from bridge.store.turnstile import Turnstile
from bridge.sync.connector import Connector
from bridge.sync.service import Service
from bridge.sync.turns import Turns
from bridge.wiring import utc_now
from tests.faults.beside import SpoiltWorld
from tests.unit.sync.world import World, order, patient

BUSY = 6
"""Threads that have no end of work: as many as one connection with four senders may have at the database at a time."""

PATIENCE_SECONDS = 60
MANY = 100


@contextmanager
def busy(store: Store, done: list[int]) -> Iterator[None]:
    """Let threads note a hundred hints after the other, without a pause; *done* counts their transactions."""
    ended = threading.Event()

    def write(thread: int) -> None:
        while not ended.is_set():
            with store.transaction() as tx:
                tx.note_hints("busy", [f"Task/{thread}-{number}" for number in range(MANY)], utc_now(), done[thread])
            done[thread] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(BUSY)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_whoever_writes_a_little_waits_for_one_transaction_of_each_who_writes_a_lot(tmp_path: Path) -> None:
    """The lag is in transactions of others; with a pool of one connection instead of a line it was without end."""
    done, waited = [0] * BUSY, []
    with closing(create_or_open(f"sqlite:///{tmp_path / 'bridge.db'}")) as store, busy(store, done):
        for mark in range(20):
            before = sum(done)
            with store.transaction() as tx:
                waited.append(sum(done) - before)
                tx.note_hints("quiet", ["Task/1"], utc_now(), mark)

    assert sum(done) > MANY
    assert sorted(waited)[-2] <= 2 * BUSY


def test_they_go_through_in_the_order_in_which_they_came() -> None:
    turnstile, through = Turnstile(), list[int]()

    def go(number: int) -> None:
        with turnstile.through(PATIENCE_SECONDS):
            through.append(number)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(20)]
    with turnstile.through(PATIENCE_SECONDS):
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda behind=number + 1: turnstile.waiting == behind)  # type: ignore[misc]
    for thread in threads:
        thread.join()

    assert through == list(range(20))


def test_whoever_gives_up_leaves_the_line_as_it_was() -> None:
    turnstile, tried = Turnstile(), threading.Event()

    def give_up() -> None:
        with pytest.raises(StoreUnavailable, match="not our turn"), turnstile.through(0.01):
            pytest.fail("it is taken")
        tried.set()

    with turnstile.through(PATIENCE_SECONDS):
        thread = threading.Thread(target=give_up)
        thread.start()
        thread.join()

    assert tried.is_set()
    for _ in range(2):
        with turnstile.through(0):
            assert turnstile.waiting == 0


class Hanging(httpx.BaseTransport):
    """An EHR that answers nobody until it is told to."""

    def __init__(self, answering: threading.Event) -> None:
        self._answering = answering

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._answering.wait()
        raise httpx.ConnectError("gone", request=request)


def test_an_ehr_that_hangs_holds_up_nothing_of_another(tmp_path: Path) -> None:
    """Every connection has threads of its own for reading, comparing, answering and sending."""
    answering = threading.Event()
    quiet, stuck = World(), SpoiltWorld()
    stuck.go_by(lambda _: Hanging(answering))
    quiet.ehr.put(patient())
    quiet.ehr.put(order("o0"))
    with closing(create_or_open(f"sqlite:///{tmp_path / 'bridge.db'}")) as store:
        connectors = [named("stuck", stuck, store), named("quiet", quiet, store)]
        service = served(connectors, store)
        service.start()
        try:
            until(lambda: written(store) == 1)
            for number in range(1, 4):
                quiet.ehr.put(order(f"o{number}"))
                with store.transaction() as tx:
                    tx.note_hints("quiet", [f"ServiceRequest/o{number}"], utc_now(), number)
                service.wake("quiet")
                until(lambda number=number: written(store) == number + 1)  # type: ignore[misc]
        finally:
            answering.set()
            service.stop()

    assert len(quiet.ours("Task", "urn:bridge:case")) == 4


def named(name: str, world: World, store: Store) -> Connector:
    """Return the Bridge of *world* as the connection of that name, over *store*."""
    line = replace(world.line, name=name, rules=replace(world.line.rules, connection=name))
    client, channel = world.bridge.client, world.bridge.channel
    return Connector(line, client, store, utc_now, lambda: replace(channel(), line=line))


def served(connectors: list[Connector], store: Store) -> Service:
    often = {connector.line.name: timedelta(seconds=1) for connector in connectors}
    return Service(connectors, store, utc_now, poll=often, sweep=often, turns=Turns(store, utc_now))


def written(store: Store) -> int:
    with store.reading() as tx:
        return tx.outbox_counts("quiet").get(IntentState.CONFIRMED, 0)


def until(holds: Callable[[], bool]) -> None:
    """Return as soon as *holds* does."""
    never, tries = threading.Event(), int(PATIENCE_SECONDS / 0.01)
    assert any(holds() or never.wait(0.01) for _ in range(tries)), "this did not come about"
