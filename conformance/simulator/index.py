"""What searches and histories see: current versions by id, by time and by value, and the log of versions."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from conformance.simulator.parameters import Parameter, exact_values_of, values_of
from conformance.simulator.store import Version


class TypeIndex:
    """The searchable state of one resource type."""

    def __init__(self) -> None:
        self.current: dict[str, Version] = {}
        self._order: list[tuple[int, str]] = []
        self._log: list[tuple[int, int, Version]] = []
        self._postings: dict[str, tuple[Parameter, dict[object, dict[str, None]]]] = {}

    def add(self, version: Version) -> None:
        """Make *version* visible; a version older than the visible one only enters the log."""
        insort(self._log, (version.at_micros, version.sequence, version))
        known = self.current.get(version.id)
        if known is not None and known.number > version.number:
            return
        if known is not None:
            self._remove(known)
        if version.deleted:
            self.current.pop(version.id, None)
        else:
            self.current[version.id] = version
            insort(self._order, (version.at_micros, version.id))
            for name, (search, posting) in self._postings.items():
                _post(posting, version, values(version, name, search))

    def _remove(self, version: Version) -> None:
        place = bisect_left(self._order, (version.at_micros, version.id))
        del self._order[place]
        for name, (search, posting) in self._postings.items():
            for value in set(values(version, name, search)):
                posting[value].pop(version.id, None)

    def between(self, first: int, last: int) -> list[Version]:
        """Return the current versions last updated in [first, last] (microseconds), by time, then by id."""
        start = bisect_left(self._order, (first, ""))
        end = bisect_right(self._order, (last, "\U0010ffff"))
        return [self.current[id_] for _, id_ in self._order[start:end]]

    def having(self, name: str, search: Parameter, asked: Iterable[str]) -> list[Version]:
        """Return the current versions with one of the *asked* values, in no particular order."""
        if name not in self._postings:
            posting: dict[object, dict[str, None]] = {}
            for version in self.current.values():
                _post(posting, version, values(version, name, search))
            self._postings[name] = (search, posting)
        posting = self._postings[name][1]
        ids = dict.fromkeys(id_ for value in asked for id_ in posting.get(value, ()))
        return [self.current[id_] for id_ in ids]

    def log(self, since: int) -> Iterator[tuple[int, int, Version]]:
        """Yield (time, sequence, version) from *since* (microseconds) on, newest first."""
        start = bisect_left(self._log, since, key=lambda line: line[0])
        return reversed(self._log[start:])


class Index:
    """All types' indexes, and the versions that are committed but not visible yet."""

    def __init__(self) -> None:
        self._types: dict[str, TypeIndex] = {}
        self._late: list[tuple[int, int, Version]] = []

    def of(self, type_: str) -> TypeIndex:
        """Return the index of one type, empty when nothing of that type was ever stored."""
        return self._types.setdefault(type_, TypeIndex())

    def add(self, version: Version, visible_at: int) -> None:
        """Make *version* visible at *visible_at* (microseconds)."""
        heapq.heappush(self._late, (visible_at, version.sequence, version))

    def settle(self, now: int) -> None:
        """Make visible everything whose time has come."""
        while self._late and self._late[0][0] <= now:
            version = heapq.heappop(self._late)[2]
            self.of(version.type).add(version)

    def log(self, since: int) -> Iterator[tuple[int, int, Version]]:
        """Yield the versions of all types from *since* on, newest first."""
        logs = [index.log(since) for index in self._types.values()]
        return heapq.merge(*logs, key=lambda line: line[:2], reverse=True)


def values(version: Version, name: str, search: Parameter) -> tuple[object, ...]:
    """Return the values of *search* in *version*, worked out once; the name may carry a modifier."""
    found = version.values.get(name)
    if found is None:
        extract = exact_values_of if name.endswith(":exact") else values_of
        found = version.values[name] = extract(search, version.resource())
    return found


def _post(posting: dict[object, dict[str, None]], version: Version, found: tuple[object, ...]) -> None:
    for value in found:
        posting.setdefault(value, {})[version.id] = None
