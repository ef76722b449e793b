"""Names as a person reads them, of anything that has one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bridge.cases.snapshot import BusinessIdentifier
from bridge.fhir import wire
from bridge.mappers.common import business_identifier, label_of

_PAST = frozenset({"old", "maiden"})
_BY_USE = {"official": 0, "usual": 1}


def name_of(named: wire.Named) -> str | None:
    """
    Return the name: a person's official, else usual, else first; a place's name; a role's or thing's words.

    A PractitionerRole has no name of its own: its practitioner's and organization's displays stand for it.
    """
    if isinstance(named.name, str):
        return named.name or None
    names = named.name or named.deviceName
    if names:
        return _spoken(min(names, key=_rank))
    parts = [party.display for party in (named.practitioner, named.organization) if party is not None]
    return ", ".join(part for part in parts if part) or label_of(coded_as(named.code))


def first_identifier(found: wire.Identifier | Sequence[wire.Identifier] | None) -> BusinessIdentifier | None:
    """Return the first identifier that has a value."""
    several = [found] if isinstance(found, wire.Identifier) else found or ()
    return next((one for one in map(business_identifier, several) if one is not None), None)


def _rank(name: wire.Name) -> int:
    return 3 if name.use in _PAST else _BY_USE.get(name.use or "", 2)


def _spoken(name: wire.Name) -> str | None:
    whole = name.text or name.name or name.value
    if whole:
        return whole
    return " ".join(part for part in (*(name.given or ()), name.family) if part) or None


def coded_as(code: object) -> wire.Coded | None:
    """Return ``code`` as a concept where it is one, the first where there are several, else ``None``."""
    try:
        coded = msgspec.convert(code, wire.Coded | list[wire.Coded] | None)
    except (msgspec.ValidationError, RecursionError):
        return None
    return coded if not isinstance(coded, list) else next(iter(coded), None)
