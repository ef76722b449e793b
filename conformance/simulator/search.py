"""Running a query against the index."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from conformance.simulator.dates import BEGINNING, END, PREFIXES, Span, bounds
from conformance.simulator.index import Index, TypeIndex, values
from conformance.simulator.parameters import PARAMETERS, Kind, parameter
from conformance.simulator.query import Filter, Include, Query
from conformance.simulator.store import Version

_POSTED = frozenset({Kind.TOKEN, Kind.REFERENCE, Kind.URI})
_TIME_ORDERS = ([("_lastUpdated", False)], [("_lastUpdated", False), ("_id", False)])


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Where a search starts: versions, the conditions still to check, whether they are in time order."""

    versions: list[Version]
    conditions: list[Filter]
    by_time: bool = False


def find(index: Index, query: Query, now: int) -> list[Version]:
    """Return the visible resources that match *query*, in the order it asks for."""
    candidates = _candidates(index.of(query.type), query)
    found = candidates.versions
    for prefix, asked in query.last_updated:
        compare = PREFIXES[prefix]
        found = [item for item in found if compare((item.at_micros, item.at_micros), asked, now)]
    for ids in query.ids:
        found = [item for item in found if item.id in ids]
    for condition in candidates.conditions:
        found = [item for item in found if _matches(item, condition, now)]
    if candidates.by_time and query.sort in _TIME_ORDERS:
        return found
    return _sorted(found, query.sort)


def fits(version: Version, query: Query, now: int) -> bool:
    """Tell whether *version* has the elements that *query* asks for; its id and its time are not asked."""
    return all(_matches(version, condition, now) for condition in query.filters)


def _candidates(index: TypeIndex, query: Query) -> _Candidates:
    """Start from the narrowest set at hand: by id, by posted values, by time, or all in order of creation."""
    if query.ids:
        wanted = (index.current.get(id_) for id_ in sorted(query.ids[0]))
        return _Candidates([version for version in wanted if version is not None], query.filters)
    for place, condition in enumerate(query.filters):
        if condition.search.kind in _POSTED and not condition.modifier:
            rest = query.filters[:place] + query.filters[place + 1 :]
            return _Candidates(index.having(condition.name, condition.search, condition.asked), rest)
    if query.last_updated or query.sort in _TIME_ORDERS:
        first, last = BEGINNING, END
        for prefix, asked in query.last_updated:
            low, high = bounds(prefix, asked)
            first, last = max(first, low), min(last, high)
        return _Candidates(index.between(first, last), query.filters, by_time=True)
    return _Candidates(list(index.current.values()), query.filters)


def _matches(version: Version, condition: Filter, now: int) -> bool:
    found = values(version, condition.name, condition.search)
    if condition.modifier == "missing":
        return (not found) == (condition.asked[0] == "true")
    if condition.search.kind is Kind.DATE:
        return any(_in_time(span, condition, now) for span in found)
    if condition.search.kind is Kind.STRING:
        return any(_text_matches(text, condition) for text in found)
    return any(value in found for value in condition.asked) != (condition.modifier == "not")


def _in_time(span: object, condition: Filter, now: int) -> bool:
    assert isinstance(span, tuple)
    return any(PREFIXES[prefix](span, asked, now) for prefix, asked in condition.spans)


def _text_matches(text: object, condition: Filter) -> bool:
    assert isinstance(text, str)
    return text in condition.asked if condition.modifier == "exact" else text.startswith(condition.asked)


def _sorted(found: list[Version], keys: list[tuple[str, bool]]) -> list[Version]:
    """Sort by the keys from the last to the first: Python's sort keeps the order of equals."""
    for name, descending in reversed(keys):
        found = sorted(found, key=partial(_sort_value, name=name, descending=descending), reverse=descending)
    return found


def _sort_value(version: Version, *, name: str, descending: bool) -> tuple[bool, object]:
    """Return a key that puts resources without a value last, whichever the direction."""
    if name == "_id":
        return (descending, version.id)
    if name == "_lastUpdated":
        return (descending, version.at_micros)
    search = parameter(version.type, name)
    assert search is not None
    found = values(version, name, search)
    return (descending, found[0]) if found else (not descending, _nothing(search.kind))


def _nothing(kind: Kind) -> Span | str:
    return (BEGINNING, BEGINNING) if kind is Kind.DATE else ""


def included(index: Index, includes: list[Include], page: list[Version]) -> list[Version]:
    """Return what the includes add to *page*: each resource once, and none that is on it."""
    seen = {version.reference for version in page}
    added: dict[str, Version] = {}
    for wanted in includes:
        for version in _reverse(index, wanted, page) if wanted.reverse else _forward(index, wanted, page):
            if version.reference not in seen:
                added[version.reference] = version
    return list(added.values())


def _forward(index: Index, wanted: Include, page: list[Version]) -> list[Version]:
    names = [wanted.name] if wanted.name != "*" else _reference_names(wanted.source)
    found = []
    for version in page:
        for name in names if version.type == wanted.source else ():
            for reference in _references(version, name):
                type_, _, id_ = reference.rpartition("/")
                target = index.of(type_).current.get(id_) if type_ in PARAMETERS else None
                if target is not None and wanted.target in {None, type_}:
                    found.append(target)
    return found


def _reverse(index: Index, wanted: Include, page: list[Version]) -> list[Version]:
    search = parameter(wanted.source, wanted.name)
    assert search is not None
    return index.of(wanted.source).having(wanted.name, search, [version.reference for version in page])


def _reference_names(type_: str) -> list[str]:
    return [name for name, search in PARAMETERS[type_].items() if search.kind is Kind.REFERENCE]


def _references(version: Version, name: str) -> list[str]:
    search = parameter(version.type, name)
    assert search is not None
    return [value for value in values(version, name, search) if isinstance(value, str) and "/" in value]
