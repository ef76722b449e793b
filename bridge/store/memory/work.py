"""What every room of the store in memory has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from bridge.cases.model import Case
from bridge.cases.sources import SourceRow
from bridge.store.codec import clean
from bridge.store.memory.state import State

T = TypeVar("T")


class Work:
    """A transaction on a state."""

    def __init__(self, state: State) -> None:
        """Work on *state*."""
        self._now = state

    def _live(self, connection: str | None) -> list[Case]:
        return [
            case
            for _, case in self._now.cases.values()
            if case.merged_into is None and connection in (None, case.connection)
        ]

    def _sources(self, connection: str) -> list[SourceRow]:
        return [row for row in self._now.sources.values() if row.connection == connection]


def those(kept: Mapping[tuple[str, str], T], connection: str, refs: Iterable[str]) -> dict[str, T]:
    return {ref: kept[connection, clean(ref)] for ref in refs if (connection, clean(ref)) in kept}
