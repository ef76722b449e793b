"""A search request, parsed and checked against what this server knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from conformance.simulator.dates import Span, split_prefix
from conformance.simulator.options import Options
from conformance.simulator.parameters import PARAMETERS, Kind, Parameter, fold, parameter
from conformance.simulator.surface import TypeSurface
from conformance.simulator.wire import FhirError, Json, outcome

Pairs = Iterable[tuple[str, str]]

_ZONED = re.compile(r"T.*(Z|[+-]\d\d:\d\d)$")
_PRESENTATION = frozenset({"_format", "_pretty"})
_MODIFIERS = {
    Kind.TOKEN: frozenset({"", "missing", "not"}),
    Kind.STRING: frozenset({"", "missing", "exact"}),
    Kind.DATE: frozenset({"", "missing"}),
    Kind.URI: frozenset({"", "missing"}),
    Kind.REFERENCE: frozenset({"", "missing"}) | PARAMETERS.keys(),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: any of the *asked* values, as the parameter's kind and the modifier compare them."""

    name: str
    search: Parameter
    modifier: str
    asked: tuple[str, ...] = ()
    spans: tuple[tuple[str, Span], ...] = ()


@dataclass(frozen=True, slots=True)
class Include:
    """One ``_include`` or ``_revinclude``: resources of *source* and their parameter *name*."""

    source: str
    name: str
    target: str | None
    reverse: bool


@dataclass(slots=True)
class Query:
    """What a search asks for; filters are combined with AND, the values inside one with OR."""

    type: str
    ids: list[frozenset[str]] = field(default_factory=list)
    last_updated: list[tuple[str, Span]] = field(default_factory=list)
    filters: list[Filter] = field(default_factory=list)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    elements: frozenset[str] = frozenset()
    count: int = 20
    count_only: bool = False
    total: bool = False
    """Whether to state the total of several pages; that of a single page is always stated, as on HAPI."""
    warnings: list[str] = field(default_factory=list)
    notes: list[Json] = field(default_factory=list)
    """OperationOutcomes that come with each page."""
    used: list[tuple[str, str]] = field(default_factory=list)
    """The parameters that took effect, for the ``self`` link."""


def parse_query(type_: str, pairs: Pairs, options: Options, surface: TypeSurface | None = None) -> Query:
    """
    Read the parameters of a search on *type_*.

    Args:
        surface: What of it a client from outside may ask; None for everything.

    Raises:
        FhirError: 400 for an unknown parameter (unless the server is lenient), modifier or value, or where the
            surface wants other parameters.
    """
    query = Query(type_, count=options.page_size)
    for name, value in pairs:
        if name in _PRESENTATION or value == "":
            continue
        if _is_ignored(query, name, options):
            continue
        try:
            if surface is not None and not surface.knows(name):
                raise KeyError(name)
            _read(query, "_count" if name == options.count_parameter else name, value, options)
        except KeyError:
            _unknown(query, name, options)
        except ValueError as error:
            raise FhirError(400, "invalid", f"Search parameter {name}: {error}") from error
        else:
            query.used.append((name, value))
    query.count = min(query.count, options.page_limit)
    if surface is not None:
        surface.check_search(type_, {name.partition(":")[0] for name, _ in query.used})
    return query


def _is_ignored(query: Query, name: str, options: Options) -> bool:
    """Tell whether the server passes over *name*, with a warning inside the 200 or without."""
    plain = name.partition(":")[0]
    if plain in options.ignored_parameters:
        query.notes.append(outcome("warning", "not-supported", f"Parameter {plain} is unknown or not allowed"))
        return True
    return plain in options.silently_ignored_parameters


def _unknown(query: Query, name: str, options: Options) -> None:
    text = f'Unknown search parameter "{name}" for resource type "{query.type}"'
    if not options.lenient:
        known = [*sorted(PARAMETERS[query.type]), "_id", "_lastUpdated"]
        raise FhirError(400, "invalid", f"{text}. Valid search parameters are: {', '.join(known)}")
    query.warnings.append(f"{text}: it was ignored")


def _read(query: Query, name: str, value: str, options: Options) -> None:
    match name:
        case "_id":
            query.ids.append(frozenset(_split(value)))
        case "_lastUpdated":
            _refuse_last_updated(query.type, options)
            _check_last_updated(value, options)
            query.last_updated.append(_date(value, options))
        case "_sort":
            query.sort.extend(_sort_key(query.type, key, options) for key in value.split(","))
        case "_count":
            query.count = _natural(value)
            query.count_only = query.count_only or query.count == 0
        case "_include" | "_revinclude" | "_include:iterate":
            query.includes.append(_include(query.type, name, value))
        case "_elements":
            query.elements |= frozenset(value.split(","))
        case "_summary":
            query.count_only = query.count_only or _is_count(value)
        case "_total":
            query.total = _one_of(value, {"none", "estimate", "accurate"}) != "none"
        case _:
            query.filters.append(_filter(query.type, name, value, options))


def _filter(type_: str, name: str, value: str, options: Options) -> Filter:
    plain, _, modifier = name.partition(":")
    search = parameter(type_, plain)
    if search is None:
        raise KeyError(name)
    if modifier not in _MODIFIERS[search.kind]:
        raise ValueError(f"the modifier :{modifier} is not supported")
    asked = tuple(_split(value))
    if modifier == "missing":
        return Filter(plain, search, modifier, (_one_of(value, {"true", "false"}),))
    if search.kind is Kind.DATE:
        return Filter(plain, search, modifier, spans=tuple(_date(text, options) for text in asked))
    if search.kind is Kind.STRING and modifier != "exact":
        asked = tuple(fold(text) for text in asked)
    if search.kind is Kind.REFERENCE and modifier in PARAMETERS:
        return Filter(plain, search, "", tuple(f"{modifier}/{text.rpartition('/')[2]}" for text in asked))
    if modifier == "exact":
        return Filter(f"{plain}:exact", search, modifier, asked)
    return Filter(plain, search, modifier, asked)


def _include(type_: str, name: str, value: str) -> Include:
    source, _, rest = value.partition(":")
    element, _, target = rest.partition(":")
    if value == "*" or element == "*":
        return Include(type_, "*", None, reverse=False)
    search = parameter(source, element) if source in PARAMETERS else None
    if search is None or search.kind is not Kind.REFERENCE:
        raise ValueError(f"{value} names no reference parameter")
    return Include(source, element, target or None, reverse=name == "_revinclude")


def _sort_key(type_: str, key: str, options: Options) -> tuple[str, bool]:
    name = key.removeprefix("-")
    if name == "_lastUpdated" and options.searches_last_updated(type_):
        return name, key.startswith("-")
    if name != "_id" and parameter(type_, name) is None:
        if options.lenient:
            raise KeyError(key)
        raise ValueError(f"cannot sort by {name}")
    return name, key.startswith("-")


def _refuse_last_updated(type_: str, options: Options) -> None:
    if not options.searches_last_updated(type_):
        raise ValueError("this server does not search or sort by _lastUpdated")


def _split(value: str) -> list[str]:
    """Split at commas and undo FHIR's own escapes (FHIR R4 search.html#escaping)."""
    return [re.sub(r"\\([,|$\\])", r"\1", part) for part in re.findall(r"(?:\\.|[^,\\])+", value)]


def _instant(value: str) -> str:
    """Refuse a date whose ``+`` was not percent-encoded: it arrives as a space."""
    if " " in value:
        raise ValueError(f"{value!r} has a space; percent-encode the + of a time zone as %2B")
    return value


def _date(value: str, options: Options) -> tuple[str, Span]:
    """Read a date and its prefix; one without a zone is meant in the server's."""
    prefix, (first, last) = split_prefix(_instant(value))
    if options.date_prefixes is not None and prefix not in options.date_prefixes:
        raise ValueError(f"the prefix {prefix} is not supported")
    shift = 0 if _ZONED.search(value) else options.zone_shift // timedelta(microseconds=1)
    return prefix, (first - shift, last - shift)


def _check_last_updated(value: str, options: Options) -> None:
    allowed = options.last_updated_prefixes
    if allowed is not None and (value[:2] not in allowed or "T" not in value):
        raise ValueError(f"{value!r} needs one of the prefixes {', '.join(sorted(allowed))} and a time of day")


def _natural(value: str) -> int:
    if not value.isdecimal():
        raise ValueError(f"{value!r} is not a number")
    return int(value)


def _one_of(value: str, allowed: set[str]) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(allowed))}")
    return value


def _is_count(value: str) -> bool:
    return _one_of(value, {"count", "false"}) == "count"
