"""What every mapper does the same way: decode, refuse what must not be guessed, references, codes, times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from bridge.cases.snapshot import BusinessIdentifier, Code, Concept, Effect, Party, Priority, Remark, When
from bridge.cases.status_table import EFFECTS
from bridge.errors import SourceError
from bridge.fhir import wire
from bridge.fhir.reference import ParsedReference, parse_reference
from bridge.fhir.source import SourceVersion
from bridge.fhir.times import parse_instant, parse_moment

IN_SCOPE = frozenset(EFFECTS)

_W = TypeVar("_W", bound=wire.Resource)
_PATH = re.compile(r"at `\$\.([A-Za-z0-9_]+)")
_NEEDED = frozenset({"resourceType", "status", "for", "subject", "participant", "modifierExtension", "implicitRules"})
"""Elements that must be readable: without them the resource could be taken for something it is not."""

_MOST_DROPPED = 24


class Why(StrEnum):
    """Why a version is parked: a closed set, for grouping."""

    UNREADABLE = "unreadable"
    WRONG_SHAPE = "wrong-shape"
    MISSING_STATUS = "missing-status"
    UNKNOWN_STATUS = "unknown-status"
    UNKNOWN_MODIFIER = "unknown-modifier-extension"
    IMPLICIT_RULES = "implicit-rules"
    OVERSIZED = "oversized"


UNDERSTOOD_MODIFIERS: frozenset[str] = frozenset()
"""URLs of modifier extensions Bridge understands: none yet. Any other may negate the resource (FHIR R4
extensibility.html#modifierExtension: do not process without understanding it)."""


@dataclass
class Reading(Generic[_W]):
    """A decoded resource with what is needed to map it, and what turned out odd while doing so."""

    resource: _W
    version: SourceVersion
    base_url: str
    oddities: list[str] = field(default_factory=list)

    # References -------------------------------------------------------------------------------------------

    def party(self, reference: wire.Reference | None) -> Party | None:
        """Return whom a reference names: literal, logical, contained, on another server, or display only."""
        if reference is None:
            return None
        identifier = business_identifier(reference.identifier)
        if reference.reference is None:
            if identifier is None and not reference.display:
                return None
            return Party(reference.type, None, identifier, reference.display)
        parsed = self.parsed(reference.reference)
        if parsed.kind == "relative":
            return Party(parsed.type, parsed.ref, identifier, reference.display)
        if parsed.kind == "contained":
            return self._contained_party(parsed, reference, identifier)
        if identifier is None:
            identifier = BusinessIdentifier(parsed.text[:512], "urn:ietf:rfc:3986")
        return Party(reference.type or parsed.type, None, identifier, reference.display)

    def local(self, references: Iterable[wire.Reference | None]) -> list[str]:
        """Return those references that lead to resources of this server, as ``Type/id``."""
        found: list[str] = []
        for reference in references:
            if reference is not None and reference.reference is not None:
                ref = self.parsed(reference.reference).ref
                if ref is not None and ref != self.version.ref:
                    found.append(ref)
                elif ref is not None:
                    self.odd("refers to itself")
        return found

    def parsed(self, text: str) -> ParsedReference:
        """Take a reference apart; one under the connection's own base is relative."""
        return parse_reference(text, base_url=self.base_url)

    def _contained_party(
        self, parsed: ParsedReference, reference: wire.Reference, identifier: BusinessIdentifier | None
    ) -> Party | None:
        inner = self.contained(parsed.id or "")
        kind, display = reference.type, reference.display
        if inner is not None:
            kind = kind or inner.resourceType
            display = display or name_of(inner)
            identifier = identifier or first_identifier(inner.identifier)
        else:
            self.odd("refers to a contained resource that is not there")
        if identifier is None and display is None:
            display = f"{kind or 'Someone'} without a name"
        return Party(kind, None, identifier, display)

    def contained(self, own_id: str) -> wire.Named | None:
        """Return the contained resource with that id, as far as it names itself."""
        for raw in self.resource.contained or ():
            try:
                inner = _named.decode(raw)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                continue
            if inner.id is not None and inner.id.removeprefix("#") == own_id:
                return inner
        return None

    def patient(self, reference: wire.Reference | None) -> Party | None:
        """Return the patient a reference names; a Group, Device or Location is none."""
        found = self.party(reference)
        if found is not None and found.type not in (None, "Patient"):
            self.odd(f"is about a {found.type}, not a patient")
            return None
        return found

    # Times ------------------------------------------------------------------------------------------------

    def instant(self, text: str | None, element: str) -> datetime | None:
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

    # Codes ------------------------------------------------------------------------------------------------

    def priority(self, text: str | None) -> Priority | None:
        """Return a request priority; an unknown one is noted and left out."""
        if text is None:
            return None
        try:
            return Priority(text)
        except ValueError:
            self.odd("has an unknown priority")
            return None

    def odd(self, words: str) -> None:
        """Note something unusual, in fixed words."""
        if words not in self.oddities:
            self.oddities.append(words)


_named = msgspec.json.Decoder(wire.Named)
_loose = msgspec.json.Decoder(float_hook=str)


def read(version: SourceVersion, decoder: msgspec.json.Decoder[_W], base_url: str) -> Reading[_W]:
    """
    Decode a version and refuse what must not be guessed.

    An element of a wrong type that Bridge can do without is dropped and noted.

    Raises:
        SourceError: It cannot be read, or carries modifiers that Bridge does not understand.
    """
    if version.issue is not None:
        raise SourceError(Why.UNREADABLE, version.issue)
    try:
        reading = Reading(decoder.decode(version.raw), version, base_url)
    except msgspec.ValidationError:
        reading = _read_what_can_be(version, decoder, base_url)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise SourceError(Why.UNREADABLE, f"not readable as JSON ({type(error).__name__})") from None
    _refuse_modifiers(reading.resource)
    return reading


def _read_what_can_be(
    version: SourceVersion, decoder: msgspec.json.Decoder[_W], base_url: str
) -> Reading[_W]:
    try:
        document = _loose.decode(version.raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise SourceError(Why.UNREADABLE, f"not readable as JSON ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise SourceError(Why.WRONG_SHAPE, "not a JSON object")
    dropped: list[str] = []
    while True:
        try:
            resource = decoder.decode(msgspec.json.encode(document))
        except msgspec.ValidationError as error:
            match = _PATH.search(str(error))
            element = match[1] if match is not None else ""
            if element in _NEEDED or element not in document or len(dropped) >= _MOST_DROPPED:
                raise SourceError(Why.WRONG_SHAPE, f"{element or 'the resource'} has a wrong type") from None
            del document[element]
            dropped.append(element)
        except (RecursionError, ValueError) as error:
            raise SourceError(Why.UNREADABLE, f"cannot be read ({type(error).__name__})") from None
        else:
            return Reading(resource, version, base_url, [f"{name} has a wrong type" for name in dropped])


def _refuse_modifiers(resource: wire.Resource) -> None:
    if resource.implicitRules:
        raise SourceError(Why.IMPLICIT_RULES, "implicitRules names rules that Bridge does not know")
    parts: list[wire.Backbone] = [resource]
    for name in _BACKBONES.get(type(resource), ()):
        value = getattr(resource, name)
        parts += value if isinstance(value, list) else [value] if value is not None else []
    for part in parts:
        for extension in part.modifierExtension or ():
            url = extension.get("url") if isinstance(extension, dict) else None
            if url not in UNDERSTOOD_MODIFIERS:
                where = "" if part is resource else f" in {type(part).__name__.lower()}"
                raise SourceError(Why.UNKNOWN_MODIFIER, f"carries a modifierExtension{where} Bridge does not know")


_BACKBONES: dict[type, Sequence[str]] = {
    wire.Task: ("restriction", "output", "performer"),
    wire.Appointment: ("participant",),
    wire.MedicationRequest: ("dispenseRequest",),
}


def effect_of(kind: str, status: str | None) -> tuple[str, Effect]:
    """
    Return the status and its one effect.

    Raises:
        SourceError: There is no status (a ``_status`` extension is none either), or it is unknown.
    """
    if not status:
        raise SourceError(Why.MISSING_STATUS, f"{kind}.status is missing")
    effect = EFFECTS[kind].get(status)
    if effect is None:
        raise SourceError(Why.UNKNOWN_STATUS, f"{kind}.status has a code that FHIR does not define")
    return status, effect


def codes(coded: Iterable[wire.Coded | None]) -> tuple[Code, ...]:
    """Return every coding that has a code."""
    found = []
    for each in coded:
        concept = _concept_of(each)
        for coding in (concept.coding or ()) if concept is not None else ():
            if coding.code:
                found.append(Code(coding.code, coding.system, coding.display))
    return tuple(found)


def concept(coded: wire.Coded | None) -> Concept | None:
    """Return a concept, or ``None`` where it says nothing."""
    inner = _concept_of(coded)
    if inner is None:
        return None
    found = Concept(codes((inner,)), inner.text)
    return found if found.codes or found.text else None


def concepts(coded: Iterable[wire.Coded | None]) -> tuple[Concept, ...]:
    """Return every concept that says something."""
    return tuple(found for found in map(concept, coded) if found is not None)


def words(coded: Iterable[wire.Coded | None]) -> str | None:
    """Return the first label among several concepts."""
    return next((label for label in (found.label() for found in concepts(coded)) if label), None)


def references(coded: Iterable[wire.Coded | None]) -> list[wire.Reference]:
    """Return the references of R5 CodeableReferences."""
    return [each.reference for each in coded if each is not None and each.reference is not None]


def _concept_of(coded: wire.Coded | None) -> wire.Coded | None:
    return coded.concept if coded is not None and coded.concept is not None else coded


def business_identifier(identifier: wire.Identifier | None) -> BusinessIdentifier | None:
    """Return an identifier that has a value."""
    if identifier is None or not identifier.value:
        return None
    return BusinessIdentifier(identifier.value, identifier.system)


def identifiers(found: Sequence[wire.Identifier] | None) -> tuple[BusinessIdentifier, ...]:
    """Return every identifier that has a value."""
    return tuple(one for one in map(business_identifier, found or ()) if one is not None)


def first_identifier(found: Sequence[wire.Identifier] | None) -> BusinessIdentifier | None:
    """Return the first identifier that has a value."""
    return next(iter(identifiers(found)), None)


def remarks(reading: Reading[Any], notes: Sequence[wire.Annotation] | None) -> tuple[Remark, ...]:
    """Return the notes that have a text."""
    found = []
    for note in notes or ():
        if note.text:
            author = reading.party(note.authorReference)
            name = note.authorString or (author.display or author.ref if author is not None else None)
            found.append(Remark(note.text, reading.instant(note.time, "note.time"), name))
    return tuple(found)


def security(meta: wire.Meta | None) -> tuple[str, ...]:
    """Return the security labels as ``system|code``."""
    labels = (meta.security or ()) if meta is not None else ()
    return tuple(f"{label.system or ''}|{label.code}" for label in labels if label.code)


def name_of(named: wire.Named) -> str | None:
    """Return a name as a person reads it: official, else usual, else the first."""
    if isinstance(named.name, str):
        return named.name or None
    names = named.name or ()
    if not names:
        return None
    by_use = {name.use: name for name in reversed(names)}
    chosen = by_use.get("official") or by_use.get("usual") or names[0]
    if chosen.text:
        return chosen.text
    parts = [*(chosen.given or ()), chosen.family]
    return " ".join(part for part in parts if part) or None
