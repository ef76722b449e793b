"""What every mapper reads the same way: status, intent, codes, identifiers, notes, labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.cases.snapshot import BusinessIdentifier, Code, Concept, Effect, Remark
from bridge.cases.status_table import EFFECTS
from bridge.errors import SourceError
from bridge.fhir import wire
from bridge.mappers.verdict import Why

if TYPE_CHECKING:
    from bridge.mappers.reading import Reading

_LIKE_A_CODE = re.compile(r"[a-z][a-z-]{0,23}", re.ASCII)

MOST = 64
"""Of any list, no more than this goes into a Snapshot (rule ours)."""

LONGEST_TITLE = 300
LONGEST_REMARK = 8000

INTENTS = frozenset(
    {
        "unknown",
        "proposal",
        "plan",
        "directive",
        "order",
        "original-order",
        "reflex-order",
        "filler-order",
        "instance-order",
        "option",
    }
)
"""FHIR R4 and R5 request-intent, medicationrequest-intent and task-intent together."""


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
        raise SourceError(Why.UNKNOWN_STATUS, f"{kind}.status {_shown(status)} is no code of FHIR")
    return status, effect


def intent_of(reading: Reading[Any], intent: str | None) -> str | None:
    """
    Return the intent; that there is none is noted.

    Raises:
        SourceError: It is unknown: it may say that nobody is to act (FHIR R4 request.html, isModifier).
    """
    if intent is None:
        reading.odd("intent is missing")
    elif intent not in INTENTS:
        raise SourceError(Why.UNKNOWN_INTENT, f"intent {_shown(intent)} is no code of FHIR")
    return intent


def codes(coded: Iterable[wire.Coded | None]) -> tuple[Code, ...]:
    """Return every coding that has a code."""
    found: list[Code] = []
    for each in coded:
        if each is not None:
            found += _codings(each.concept or each)
    return tuple(found[:MOST])


def concept(coded: wire.Coded | None) -> Concept | None:
    """Return a concept, or ``None`` where it says nothing; a coding with words only gives its text."""
    if coded is None:
        return None
    inner = coded.concept or coded
    found = tuple(_codings(inner))
    text = inner.text
    if not found and not text and inner.coding:
        text = next((coding.display for coding in inner.coding if coding.display), None)
    return Concept(found, text) if found or text else None


def concepts(coded: Iterable[wire.Coded | None]) -> tuple[Concept, ...]:
    """Return every concept that says something."""
    found = [said for said in map(concept, coded) if said is not None]
    return tuple(found[:MOST])


def label_of(coded: wire.Coded | None) -> str | None:
    """Return the words of a concept, or of the resource that a CodeableReference names."""
    if coded is None:
        return None
    inner = coded.concept or coded
    if inner.text:
        return inner.text
    said = concept(inner)
    label = said.label() if said is not None else None
    return label or (coded.reference.display if coded.reference is not None else None)


def words(coded: Iterable[wire.Coded | None] | None) -> str | None:
    """Return the first label among several concepts."""
    for each in coded or ():
        label = label_of(each)
        if label:
            return label
    return None


def title_of(*candidates: str | None) -> str:
    """Return the first candidate that says something, on one line, shortened where it is long."""
    for candidate in candidates:
        line = " ".join(candidate[: 2 * LONGEST_TITLE].split()) if candidate else ""
        if line:
            return line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1] + "…"
    return ""


def references(coded: Sequence[wire.Coded] | None) -> list[wire.Reference]:
    """Return the references of R5 CodeableReferences."""
    return [each.reference for each in coded or () if each.reference is not None]


def business_identifier(identifier: wire.Identifier | None) -> BusinessIdentifier | None:
    """Return an identifier that has a value."""
    if identifier is None or not identifier.value:
        return None
    return BusinessIdentifier(identifier.value, identifier.system)


def identifiers(
    found: wire.Identifier | Sequence[wire.Identifier] | None,
) -> tuple[BusinessIdentifier, ...]:
    """Return every identifier that has a value."""
    if not found:
        return ()
    several = [found] if isinstance(found, wire.Identifier) else found[:MOST]
    return tuple([BusinessIdentifier(one.value, one.system) for one in several if one.value])


def remarks(reading: Reading[Any], notes: Sequence[wire.Annotation] | None, *plain: str | None) -> tuple[Remark, ...]:
    """Return *plain* texts without author and time first, then the notes that have a text."""
    found = [Remark(text[:LONGEST_REMARK]) for text in plain if text]
    for note in notes[:MOST] if notes else ():
        if note.text:
            author = reading.party(note.authorReference)
            name = note.authorString or (author.display or author.ref if author is not None else None)
            found.append(Remark(note.text[:LONGEST_REMARK], reading.moment(note.time, "note.time"), name))
    return tuple(found)


def security(meta: wire.Meta | None) -> tuple[str, ...]:
    """Return every security label as ``system|code``."""
    labels = meta.security if meta is not None else None
    return tuple([f"{label.system or ''}|{label.code}" for label in labels if label.code]) if labels else ()


def _shown(code: str) -> str:
    """Return a code for a reason, unless it does not look like one: it might be anything."""
    return repr(code) if _LIKE_A_CODE.fullmatch(code) else "(not shown)"


def _codings(inner: wire.Coded) -> list[Code]:
    if not inner.coding:
        return []
    return [Code(one.code, one.system, one.display) for one in inner.coding[:MOST] if one.code]
