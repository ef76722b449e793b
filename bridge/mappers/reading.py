"""A decoded version while it is mapped: its references, its times, and what turned out odd about it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Generic, TypeVar
from urllib.parse import unquote

import msgspec

from bridge.cases.snapshot import BusinessIdentifier, Party, Priority, When
from bridge.cases.status_table import EFFECTS
from bridge.errors import SourceError
from bridge.fhir import wire
from bridge.fhir.reference import parse_reference
from bridge.fhir.source import SourceVersion
from bridge.fhir.times import parse_instant, parse_moment
from bridge.fhir.wire_decode import decode
from bridge.mappers.common import business_identifier
from bridge.mappers.modifiers import refuse_modifiers
from bridge.mappers.names import first_identifier, name_of
from bridge.mappers.verdict import Why

IN_SCOPE = frozenset(EFFECTS)

VITAL = frozenset(
    {
        "resourceType",
        "meta",
        "meta.security",
        "meta.security.system",
        "meta.security.code",
        "meta.tag",
        "implicitRules",
        "status",
        "intent",
        "doNotPerform",
    }
)
"""Elements that must be readable: identity, privacy labels, and FHIR's modifier elements (R4 isModifier)."""

MOST_LINKS = 64
"""Further links of one resource are left out of its Snapshot and noted (rule ours)."""

_URI = "urn:ietf:rfc:3986"
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{1,63})\?identifier=(?:([^|&]*)(?:\||%7C))?([^|&]{1,1024})")
_SUBSETTED = "SUBSETTED"
_PRIORITIES = {priority.value: priority for priority in Priority}
_named = msgspec.json.Decoder(wire.Named)
_W = TypeVar("_W", bound=wire.Resource)


class Reading(Generic[_W]):
    """
    A decoded resource with what is needed to map it.

    ``oddities`` collects, in fixed words, what is unusual but accepted.
    """

    __slots__ = ("_contained", "base_url", "fhir_version", "oddities", "own_ref", "resource")

    def __init__(self, resource: _W, own_ref: str, base_url: str, fhir_version: str, oddities: list[str]) -> None:
        self.resource, self.own_ref = resource, own_ref
        self.base_url, self.fhir_version = base_url, fhir_version
        self.oddities = oddities
        self._contained: dict[str, wire.Named] | None = None

    # References -------------------------------------------------------------------------------------------

    def party(self, reference: wire.Reference | None) -> Party | None:
        """Return whom a reference names: literal, logical, contained, on another server, or display only."""
        if reference is None:
            return None
        identifier = None if reference.identifier is None else business_identifier(reference.identifier)
        text = reference.reference
        if not text:
            return _party(_type_of(reference), identifier, reference.display)
        target = parse_reference(text, self.base_url)
        if target.kind == "relative":
            return Party(target.type, target.ref, identifier, reference.display)
        if target.kind == "contained":
            return self._contained_party(target.id or "", reference, identifier)
        if target.kind == "invalid":
            return self._unusual_party(text, reference, identifier)
        kind = target.type or _type_of(reference)
        return Party(kind, None, identifier or BusinessIdentifier(text[:1024], _URI), reference.display)

    def _contained_party(
        self, own_id: str, reference: wire.Reference, identifier: BusinessIdentifier | None
    ) -> Party | None:
        inner = self.contained(own_id)
        if inner is None:
            self.odd("refers to a contained resource that is not there")
            return _party(_type_of(reference), identifier, reference.display)
        kind = inner.resourceType or _type_of(reference)
        display = reference.display or name_of(inner)
        identifier = identifier or first_identifier(inner.identifier)
        if identifier is None and not display:
            display = f"{kind or 'Somebody'} without a name"
        return Party(kind, None, identifier, display)

    def _unusual_party(
        self, text: str, reference: wire.Reference, identifier: BusinessIdentifier | None
    ) -> Party | None:
        """Read a conditional reference (FHIR R4 http.html#trules) as the identifier it looks for."""
        match = _CONDITIONAL.fullmatch(text)
        if match is None:
            self.odd("has a reference that cannot be read")
            return _party(_type_of(reference), identifier, reference.display)
        found = identifier or BusinessIdentifier(unquote(match[3]), unquote(match[2] or "") or None)
        return Party(match[1], None, found, reference.display)

    def contained(self, own_id: str) -> wire.Named | None:
        """
        Return the contained resource with that id, as far as it names itself.

        Raises:
            SourceError: It carries a modifier that Bridge does not understand.
        """
        if self._contained is None:
            self._contained = _by_id(self.resource.contained or ())
        inner = self._contained.get(own_id)
        if inner is not None:
            refuse_modifiers(inner, " of a contained resource")
        return inner

    def patient(self, reference: wire.Reference | None) -> Party | None:
        """Return the patient a reference names; a Group, Device or Location is none."""
        found = self.party(reference)
        if found is None:
            return None
        if found.type not in (None, "Patient"):
            self.odd("is about somebody or something that is no patient")
            return None
        if found.ref is None:
            self.odd("its patient is named, but is no resource of this server")
        return found

    def follow(self, reference: wire.Reference | None) -> str | None:
        """Return ``Type/id`` where a reference leads to another resource of this server."""
        if reference is None or not reference.reference:
            return None
        ref = parse_reference(reference.reference, self.base_url).ref
        if ref is not None and ref == self.own_ref:
            self.odd("refers to itself")
            return None
        return ref

    def lineage(
        self,
        candidates: Iterable[wire.Reference | None],
        others: Iterable[wire.Reference | None],
        patient: Party | None,
    ) -> tuple[str | None, tuple[str, ...]]:
        """
        Return the parent, which is the first candidate of a type in scope, and everything else that is named.

        A patient is not repeated among the others.
        """
        parent, lost = None, False
        about: dict[str, None] = {}
        for reference in candidates:
            ref = self.follow(reference)
            if ref is None:
                lost = lost or (reference is not None and _names_elsewhere(reference))
            elif parent is None and ref[: ref.index("/")] in IN_SCOPE:
                parent = ref
            else:
                about[ref] = None
        if lost and parent is None:
            self.odd("names what it belongs to in a way that cannot be followed")
        return parent, self.links(others, about, parent, patient)

    def links(
        self,
        references: Iterable[wire.Reference | None],
        about: dict[str, None] | None = None,
        parent: str | None = None,
        patient: Party | None = None,
    ) -> tuple[str, ...]:
        """Return the resources of this server that are named, each once, at most ``MOST_LINKS``."""
        found = {} if about is None else about
        for reference in references:
            if reference is not None and reference.reference:
                ref = self.follow(reference)
                if ref is not None:
                    found[ref] = None
        found.pop(parent or "", None)
        if patient is not None:
            found.pop(patient.ref or "", None)
        if len(found) > MOST_LINKS:
            self.odd(f"names more than {MOST_LINKS} resources; the rest is left out")
        return tuple(found)[:MOST_LINKS]

    # Times ------------------------------------------------------------------------------------------------

    def instant(self, text: str | None, element: str) -> datetime | None:
        """Return an instant; what has no time of day, or is unreadable, is noted and left out."""
        if text is None:
            return None
        try:
            return parse_instant(text)
        except (ValueError, OverflowError):
            self.odd(f"{element} has no time with an offset")
            return None

    def moment(self, text: str | None, element: str) -> datetime | None:
        """Return an instant; a partial date gives its first moment in UTC; what is unreadable is noted."""
        if text is None:
            return None
        try:
            return parse_instant(text)
        except (ValueError, OverflowError):
            pass
        try:
            return parse_moment(text).bounds(UTC)[0]
        except (ValueError, OverflowError):
            self.odd(f"{element} is not a FHIR date")
            return None

    def when(self, text: str | None, element: str) -> When | None:
        """Return a time as precise as it is given; a time without an offset keeps only its day."""
        if text is None:
            return None
        try:
            moment = parse_moment(text)
        except (ValueError, OverflowError):
            self.odd(f"{element} is not a FHIR date")
            return None
        return When(moment.text, moment.at)

    # The rest ---------------------------------------------------------------------------------------------

    def priority(self, text: str | None) -> Priority | None:
        """Return a request priority; an unknown one is noted and left out."""
        if text is None:
            return None
        found = _PRIORITIES.get(text)
        if found is None:
            self.odd("has an unknown priority")
        return found

    def newer(self, *elements: object) -> None:
        """Note elements that only R5 has where the connection is said to be R4 or R4B."""
        if self.fhir_version != "R5" and elements.count(None) < len(elements):
            self.odd("has elements of FHIR R5")

    def odd(self, words: str) -> None:
        """Note something unusual, in fixed words."""
        if words not in self.oddities:
            self.oddities.append(words)


def read(
    version: SourceVersion,
    decoder: msgspec.json.Decoder[_W],
    vital: Collection[str],
    base_url: str,
    fhir_version: str,
) -> Reading[_W]:
    """
    Decode a version and refuse what must not be guessed.

    Raises:
        SourceError: It cannot be read, is not whole, or carries modifiers that Bridge does not understand.
    """
    resource, repairs = decode(version.raw, decoder, vital)
    if resource.resourceType != version.type:
        raise SourceError(Why.WRONG_SHAPE, f"resourceType is not {version.type}")
    tags = resource.meta.tag if resource.meta is not None else None
    if tags and any(tag.code == _SUBSETTED for tag in tags):
        raise SourceError(Why.INCOMPLETE, "the server sent only part of it (meta.tag SUBSETTED)")
    refuse_modifiers(resource)
    return Reading(
        resource,
        version.ref,
        base_url,
        fhir_version,
        repairs,
    )


def _by_id(contained: Iterable[msgspec.Raw]) -> dict[str, wire.Named]:
    """Return contained resources by their ids, the first of each; what cannot be read is left out."""
    found: dict[str, wire.Named] = {}
    for raw in contained:
        try:
            inner, _ = decode(bytes(raw), _named, frozenset())
        except SourceError:
            continue
        if inner.id is not None:
            found.setdefault(inner.id.removeprefix("#"), inner)
    return found


def _party(kind: str | None, identifier: BusinessIdentifier | None, display: str | None) -> Party | None:
    return Party(kind, None, identifier, display) if identifier is not None or display else None


def _type_of(reference: wire.Reference) -> str | None:
    """Return Reference.type, a type's name or its canonical URL (FHIR R4 references.html#Reference)."""
    return reference.type.rpartition("/")[2] or None if reference.type else None


def _names_elsewhere(reference: wire.Reference) -> bool:
    return bool(reference.reference) or reference.identifier is not None
