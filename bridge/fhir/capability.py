"""
CapabilityStatement: what a server says it can do, per resource type (FHIR R4 capabilitystatement.html).

What is declared is believed until it is disproved; what is not declared is not used.
"""

from __future__ import annotations

import msgspec

from bridge.errors import SourceError

_FAMILY = {"4.0": "R4", "4.1": "R4B", "4.3": "R4B", "5.0": "R5"}


class TypeCapability(msgspec.Struct, frozen=True):
    """What a server declares for one resource type."""

    interactions: frozenset[str] = frozenset()
    search_params: frozenset[str] = frozenset()
    update_create: bool = False
    conditional_create: bool = False
    versioning: str | None = None


class Capability(msgspec.Struct, frozen=True):
    """
    What a server declares.

    ``family`` is R4, R4B or R5, or the version text of anything else.
    """

    family: str
    software: str | None = None
    types: dict[str, TypeCapability] = {}
    system: frozenset[str] = frozenset()

    def of(self, kind: str) -> TypeCapability:
        """Return what is declared for *kind*; nothing, where the type is not mentioned."""
        return self.types.get(kind, _NOTHING)

    def supports(self, kind: str, interaction: str) -> bool:
        """Whether *interaction* (``read``, ``create``, ``update`` ...) is declared for *kind*."""
        return interaction in self.of(kind).interactions


_NOTHING = TypeCapability()


class _Named(msgspec.Struct):
    name: str | None = None
    code: str | None = None


class _Resource(msgspec.Struct):
    type: str | None = None
    interaction: list[_Named] | None = None
    searchParam: list[_Named] | None = None
    updateCreate: bool | None = None
    conditionalCreate: bool | None = None
    versioning: str | None = None


class _Rest(msgspec.Struct):
    mode: str | None = None
    resource: list[_Resource] | None = None
    interaction: list[_Named] | None = None


class _Statement(msgspec.Struct):
    resourceType: str
    fhirVersion: str | None = None
    software: _Named | None = None
    rest: list[_Rest] | None = None


def parse_capability(raw: bytes) -> Capability:
    """
    Read a CapabilityStatement.

    Raises:
        SourceError: *raw* is none (``unreadable-capability``).
    """
    try:
        found = msgspec.json.decode(raw, type=_Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SourceError("unreadable-capability", "the answer to /metadata is not a CapabilityStatement") from None
    if found.resourceType != "CapabilityStatement":
        raise SourceError("unreadable-capability", "the answer to /metadata is not a CapabilityStatement")
    version = found.fhirVersion or ""
    server = [rest for rest in found.rest or () if rest.mode in ("server", None)]
    return Capability(
        family=_FAMILY.get(version[:3], version),
        software=found.software.name if found.software is not None else None,
        types={item.type: _declared(item) for rest in server for item in rest.resource or () if item.type},
        system=frozenset(item.code for rest in server for item in rest.interaction or () if item.code),
    )


def _declared(item: _Resource) -> TypeCapability:
    return TypeCapability(
        interactions=frozenset(each.code for each in item.interaction or () if each.code),
        search_params=frozenset(each.name for each in item.searchParam or () if each.name),
        update_create=bool(item.updateCreate),
        conditional_create=bool(item.conditionalCreate),
        versioning=item.versioning,
    )
