"""
CapabilityStatement: what a server says it can do, per resource type (FHIR R4 capabilitystatement.html).

What is declared is believed until it is disproved; what is not declared is not used.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bridge.errors import SourceError

_FAMILY = {"4.0": "R4", "4.1": "R4B", "4.3": "R4B", "5.0": "R5"}


class TypeCapability(msgspec.Struct, frozen=True):
    """What a server declares for one resource type."""

    interactions: frozenset[str] = frozenset()
    search_params: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    """Names without ``$``."""
    update_create: bool = False
    conditional_create: bool = False


class Capability(msgspec.Struct, frozen=True):
    """
    What a server declares.

    ``family`` is R4, R4B or R5, or the version text of anything else. ``common_params`` are the search
    parameters declared for all types at once (R4 ``CapabilityStatement.rest.searchParam``).
    """

    family: str
    software: str | None = None
    types: dict[str, TypeCapability] = {}
    common_params: frozenset[str] = frozenset()

    def of(self, kind: str) -> TypeCapability:
        """Return what is declared for *kind*; nothing, where the type is not mentioned."""
        return self.types.get(kind, _NOTHING)

    def supports(self, kind: str, interaction: str) -> bool:
        """Whether *interaction* (``read``, ``create``, ``update`` ...) is declared for *kind*."""
        return interaction in self.of(kind).interactions


_NOTHING = TypeCapability()


class _Named(msgspec.Struct):
    name: object = None
    code: object = None


class _Resource(msgspec.Struct):
    type: str
    interaction: list[_Named | None] | None = None
    searchParam: list[_Named | None] | None = None
    operation: list[_Named | None] | None = None
    updateCreate: object = None
    conditionalCreate: object = None


class _Rest(msgspec.Struct):
    mode: object = None
    resource: list[msgspec.Raw] | None = None
    searchParam: list[_Named | None] | None = None


class _Statement(msgspec.Struct):
    resourceType: str
    fhirVersion: str | None = None
    software: _Named | None = None
    rest: list[_Rest | None] | None = None


_statement = msgspec.json.Decoder(_Statement)
_resource = msgspec.json.Decoder(_Resource)
_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_capability(raw: bytes) -> Capability:
    """
    Read a CapabilityStatement.

    Raises:
        SourceError: *raw* is none (``unreadable-capability``).
    """
    try:
        found = _statement.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except _BAD_JSON:
        raise SourceError("unreadable-capability", "the answer to /metadata is not a CapabilityStatement") from None
    if found.resourceType != "CapabilityStatement":
        raise SourceError("unreadable-capability", "the answer to /metadata is not a CapabilityStatement")
    version = found.fhirVersion or ""
    server = [rest for rest in found.rest or () if rest is not None and rest.mode in ("server", None)]
    declared = [_read(item) for rest in server for item in rest.resource or ()]
    return Capability(
        family=_FAMILY.get(version[:3], version),
        software=_text(found.software.name) if found.software is not None else None,
        types={item.type: _declared(item) for item in declared if item is not None},
        common_params=_names(one.name for rest in server for one in rest.searchParam or () if one is not None),
    )


def _read(raw: msgspec.Raw) -> _Resource | None:
    """Return what is declared for one type; what cannot be read is not declared."""
    try:
        return _resource.decode(raw)
    except _BAD_JSON:
        return None


def _declared(item: _Resource) -> TypeCapability:
    return TypeCapability(
        interactions=_names(one.code for one in item.interaction or () if one is not None),
        search_params=_names(one.name for one in item.searchParam or () if one is not None),
        operations=frozenset(
            name.removeprefix("$") for name in _names(one.name for one in item.operation or () if one is not None)
        ),
        update_create=item.updateCreate is True,
        conditional_create=item.conditionalCreate is True,
    )


def _names(found: Iterable[object]) -> frozenset[str]:
    return frozenset(name for name in found if isinstance(name, str) and name)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
