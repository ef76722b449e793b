"""
F34: PostgreSQL breaks off, restarts, fails over to a server that only reads, or refuses a transaction.

What the database did not take is not acknowledged: notifications are refused, to be sent again, and all else
is tried again with the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from bridge.cases.intents import IntentState
from bridge.errors import StoreUnavailable
from bridge.store.migrations import migrate
from bridge.store.opening import open_store
from bridge.store.queries import CaseFilter
from bridge.sync.notify import Doorbell, NotKept
from bridge.wiring import utc_now
from tests.contract import postgres
from tests.faults.test_f30_fairness import named, served, until, written
from tests.unit.sync.world import World, order, patient

pytestmark = pytest.mark.postgres

ORDERS = 12
ROUNDS = 4
"""So many rounds at most until it is at rest again."""


class Database(World):
    """A world over a PostgreSQL database, with a superuser beside it."""

    def __init__(self, server: str, url: str) -> None:
        super().__init__(page_size=5)
        self.store = open_store(url, pool_size=4)  # type: ignore[assignment]
        self.bridge = self.new_bridge()
        self.name = url.rpartition("/")[2]
        self._superuser = psycopg.connect(server, autocommit=True)
        self.ehr.put(patient())
        for number in range(ORDERS):
            self.ehr.put(order(f"o{number}"))

    def break_off(self) -> None:
        """End every connection to the database."""
        self._run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'")

    def set(self, what: str) -> None:
        """Change the database for those who connect from now on, and that is everybody."""
        self._run(f"ALTER DATABASE {self.name} {what}")
        self.break_off()

    def inside(self, *statements: str) -> None:
        """Run statements in the database itself."""
        with psycopg.connect(self._superuser.info.dsn, dbname=self.name, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement)

    def close(self) -> None:
        self.store.close()
        self._superuser.close()

    def _run(self, statement: str) -> None:
        self._superuser.execute(statement)

    def go_on(self) -> int:
        """Do rounds until one is complete; returns how many the database broke off."""
        for broken in range(ROUNDS):
            self.clock.advance(minutes=5)
            try:
                if self.bridge.sync_once().complete:
                    return broken
            except StoreUnavailable:
                continue
        raise AssertionError(f"not at rest after {ROUNDS} rounds")

    def assert_whole(self) -> None:
        """Check that nothing is lost and nothing doubled."""
        with self.store.reading() as tx:
            cases = tx.list_cases(CaseFilter(), limit=1000).cases
            totals = tx.totals("main").values()
            rows = tx.outbox(limit=1000)
        assert {case.root for case in cases} == {f"ServiceRequest/o{number}" for number in range(ORDERS)}
        assert len(self.ours("Task", "urn:bridge:case")) == ORDERS
        assert {row.state for row in rows} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}
        assert all(one.received == one.applied + one.duplicate + one.ignored + one.parked for one in totals)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def world(server: str) -> Iterator[Database]:
    with postgres.fresh_database(server) as url:
        migrate(url)
        world = Database(server, url)
        yield world
        world.close()


@contextmanager
def before_statement(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Do something before the so-and-so-many-th statement."""
    statements = count(1)

    def pass_by(*_: Any, **__: Any) -> None:
        if next(statements) == number:
            act()

    event.listen(Engine, "before_cursor_execute", pass_by)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", pass_by)


@pytest.mark.parametrize("statement", [7, 90, 240])
def test_a_connection_that_breaks_off_in_the_midst_of_anything_loses_and_doubles_nothing(
    world: Database, statement: int
) -> None:
    with before_statement(statement, world.break_off):
        world.go_on()

    world.assert_whole()


def test_a_failover_to_a_server_that_only_reads_refuses_and_goes_on_by_itself(world: Database) -> None:
    bell = Doorbell(world.store, world.clock)
    world.set("SET default_transaction_read_only = on")

    with pytest.raises(StoreUnavailable):
        world.bridge.read()
    with pytest.raises(NotKept, match="refused"):
        bell.ring("main", ["ServiceRequest/o1"], patience_seconds=60)
    with world.store.reading() as tx:
        assert tx.hints("main", 10) == []

    world.set("RESET default_transaction_read_only")
    bell.ring("main", ["ServiceRequest/o1"], patience_seconds=60)
    bell.close()
    world.go_on()
    assert world.bridge.answer().asked == 1
    world.assert_whole()


@pytest.mark.parametrize("code", ["40001", "40P01"], ids=["serialization failure", "deadlock"])
def test_a_transaction_that_is_refused_for_anothers_sake_is_done_again(world: Database, code: str) -> None:
    world.inside(
        "CREATE SEQUENCE tried",
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tried') <= 2 THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END IF;
            RETURN NULL; END $$""",
        "CREATE TRIGGER refuse AFTER INSERT OR UPDATE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
    )

    assert world.go_on() == 2

    world.assert_whole()


def test_the_service_goes_on_by_itself_when_the_server_is_back(world: Database) -> None:
    connector = named("quiet", world, world.store)
    service = served([connector], world.store)
    service.start()
    try:
        until(lambda: written(world.store) == ORDERS)
        world.set("ALLOW_CONNECTIONS false")
        for number in range(3):
            world.ehr.put(order(f"o{number}", status="on-hold"))
        with pytest.raises(StoreUnavailable), world.store.transaction() as tx:
            tx.note_hints("quiet", ["Task/1"], utc_now(), 1)
        world.set("ALLOW_CONNECTIONS true")
        until(lambda: written(world.store) == ORDERS + 3)
    finally:
        service.stop()
