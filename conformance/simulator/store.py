"""Every version of every resource, in memory.

The store is the truth that a read by id sees at once. What searches and histories see is the index
(``index.py``), which learns of a version when its transaction ends, or later on a server told to be late.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from conformance.simulator.clock import http_date, instant, micros
from conformance.simulator.wire import Json, decode, encode

SearchValues = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Version:
    """One version of one resource; ``raw`` is its JSON as served, empty for a deletion."""

    type: str
    id: str
    number: int
    sequence: int
    at: datetime
    at_micros: int
    method: str
    raw: bytes
    values: dict[str, SearchValues] = field(default_factory=dict)
    """Search values by parameter, filled in when a search first asks for them."""

    @property
    def deleted(self) -> bool:
        return not self.raw

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def versioned(self) -> str:
        return f"{self.type}/{self.id}/_history/{self.number}"

    @property
    def etag(self) -> str:
        return f'W/"{self.number}"'

    @property
    def last_modified(self) -> str:
        return http_date(self.at)

    def resource(self) -> Json:
        """Decode the resource anew; the caller may change what it gets."""
        body: Json = decode(self.raw)
        return body


Stamp = Callable[[Version | None, Json | None], datetime]
"""Returns the ``meta.lastUpdated`` of the version after the first argument, whose content is the second."""


class Store:
    """Thread-safe versions, with transactions that undo everything on an error."""

    def __init__(self, stamp: Stamp, on_commit: Callable[[Version], None]) -> None:
        self.lock = threading.RLock()
        self._stamp = stamp
        self._on_commit = on_commit
        self._chains: dict[str, dict[str, list[Version]]] = {}
        self._sequence = 0
        self._next_id = 1
        self._journal: list[Version] | None = None

    def new_id(self) -> str:
        """Return the next server-assigned id: a plain number, like HAPI's."""
        with self.lock:
            self._next_id += 1
            return str(self._next_id - 1)

    def head(self, type_: str, id_: str) -> Version | None:
        """Return the newest version, which may be a deletion, or None if the id was never used."""
        chain = self._chains.get(type_, {}).get(id_)
        return chain[-1] if chain else None

    def version(self, type_: str, id_: str, number: str) -> Version | None:
        """Return one version by its number as text, or None."""
        chain = self._chains.get(type_, {}).get(id_, [])
        return next((version for version in chain if str(version.number) == number), None)

    def heads(self) -> Iterator[Version]:
        """Yield the newest version of every resource that is not deleted."""
        for chains in self._chains.values():
            for chain in chains.values():
                if not chain[-1].deleted:
                    yield chain[-1]

    def save(self, type_: str, id_: str, resource: Json | None, method: str) -> Version:
        """Store a new version of *resource*, or a deletion for None, and return it.

        ``id``, ``meta.versionId`` and ``meta.lastUpdated`` are the server's; the rest of ``meta`` is kept.
        """
        with self.transaction() as journal:
            chain = self._chains.setdefault(type_, {}).setdefault(id_, [])
            self._sequence += 1
            at = self._stamp(chain[-1] if chain else None, resource)
            number = chain[-1].number + 1 if chain else 1
            raw = _stamped(resource, id_, number, at) if resource is not None else b""
            version = Version(type_, id_, number, self._sequence, at, micros(at), method, raw)
            chain.append(version)
            journal.append(version)
        return version

    @contextmanager
    def transaction(self) -> Iterator[list[Version]]:
        """Hold the lock; publish what was saved when the outermost block ends, take it back on an error."""
        with self.lock:
            if self._journal is not None:
                yield self._journal
                return
            journal = self._journal = []
            try:
                yield journal
            except BaseException:
                for version in reversed(journal):
                    self._undo(version)
                raise
            finally:
                self._journal = None
            for version in journal:
                self._on_commit(version)

    def _undo(self, version: Version) -> None:
        chains = self._chains[version.type]
        chains[version.id].pop()
        if not chains[version.id]:
            del chains[version.id]


def _stamped(resource: Json, id_: str, number: int, at: datetime) -> bytes:
    meta = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": instant(at)}
    rest = {key: value for key, value in resource.items() if key not in {"resourceType", "id", "meta"}}
    return encode({"resourceType": resource["resourceType"], "id": id_, "meta": meta, **rest})
