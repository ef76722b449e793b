"""The store on SQLite and PostgreSQL: one room per kind of thing, one transaction over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from bridge.errors import DomainError, StoreUnavailable
from bridge.store.engine import BUSY_MS, Engines
from bridge.store.sql.budgets import BudgetsRoom
from bridge.store.sql.figures import FiguresRoom
from bridge.store.sql.hints import HintsRoom
from bridge.store.sql.inbox import InboxRoom
from bridge.store.sql.outbox import OutboxRoom
from bridge.store.sql.pauses import PausesRoom
from bridge.store.sql.people import PeopleRoom
from bridge.store.sql.restores import RestoresRoom
from bridge.store.sql.retention import RetentionRoom
from bridge.store.sql.sources import SourcesRoom
from bridge.store.sql.subscriptions import SubscriptionsRoom
from bridge.store.sql.timers import TimersRoom
from bridge.store.sql.work import Names
from bridge.store.sql.worklist import WorklistRoom
from bridge.store.turnstile import Turnstile


class SqlTx(
    InboxRoom,
    HintsRoom,
    SubscriptionsRoom,
    SourcesRoom,
    WorklistRoom,
    PeopleRoom,
    OutboxRoom,
    FiguresRoom,
    BudgetsRoom,
    PausesRoom,
    RestoresRoom,
    RetentionRoom,
    TimersRoom,
):
    """One transaction (``port.Tx``)."""


class SqlStore:
    """A database (``port.Store``); safe to use from any number of threads."""

    def __init__(self, engines: Engines) -> None:
        """Work on the databases behind *engines*."""
        self._engines = engines
        self._names = Names()
        self._problem: str | None = None
        self._one_writer = Turnstile() if engines.writing.dialect.name == "sqlite" else None

    @contextmanager
    def transaction(self) -> Iterator[SqlTx]:
        """Open a transaction that may write; not to be opened inside another one of the same thread."""
        try:
            with self._turn(), self._begun(self._engines.writing, writing=True) as tx:
                yield tx
        except StoreUnavailable as error:
            self._problem = str(error)
            raise
        self._problem = None
        tx.committed()

    @property
    def problem(self) -> str | None:
        """Why the last transaction that was to write was not saved, if that was the database's doing."""
        return self._problem

    def _turn(self) -> AbstractContextManager[None]:
        return self._one_writer.through(BUSY_MS / 1000) if self._one_writer is not None else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[SqlTx]:
        """Open a read-only snapshot."""
        with self._begun(self._engines.reading, writing=False) as tx:
            yield tx

    @contextmanager
    def _begun(self, engine: Engine, *, writing: bool) -> Iterator[SqlTx]:
        try:
            with engine.begin() as conn:
                yield SqlTx(conn, self._names, writing=writing)
        except IntegrityError as error:
            raise DomainError(f"the database refused to save: {_rule(error)}") from error
        except (OperationalError, InternalError) as error:
            raise StoreUnavailable(f"database: {_words(error)}") from error
        except NoConnection as error:
            raise StoreUnavailable("database: every connection to it was in use for too long") from error

    def close(self) -> None:
        """Give back every connection."""
        self._engines.dispose()


def _rule(error: IntegrityError) -> str:
    """Return the broken rule's name, without the values that broke it."""
    named = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return named or str(error.orig).splitlines()[0]


def _words(error: DBAPIError) -> str:
    """Return what the database said, in one line."""
    return next(iter(str(error.orig).splitlines()), "no answer")
