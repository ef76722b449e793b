"""Pauses: what a person told Bridge to leave alone, in the database, so that every process does."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import HeldBack
from bridge.store.port import Store
from bridge.store.rows import Pause


@dataclass(frozen=True)
class Pauses:
    """What of one connection is paused now."""

    rows: tuple[Pause, ...]

    @property
    def whole(self) -> Pause | None:
        """The pause of the whole connection, if there is one."""
        return next((row for row in self.rows if row.type is None), None)

    @property
    def types(self) -> frozenset[str]:
        """The types that are not to be read."""
        return frozenset(row.type for row in self.rows if row.type is not None)

    def check(self, type_: str | None = None) -> None:
        """
        Return quietly where the connection, and *type_* of it, may be asked.

        Raises:
            HeldBack: It is paused; the message says by whom and since when.
        """
        for row in self.rows:
            if row.type in (None, type_):
                raise HeldBack(f"{row.connection}: {in_words(row)}")


def in_words(row: Pause) -> str:
    """Return by whom and since when something is paused."""
    return f"{row.type or 'it'} is paused, by {row.by} since {row.at:%Y-%m-%d %H:%M} UTC"


def pauses_of(store: Store, connection: str) -> Pauses:
    """Return what of *connection* is paused now."""
    with store.reading() as tx:
        return Pauses(tuple(tx.pauses(connection)))
