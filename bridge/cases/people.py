"""People, teams and places by name, as a case shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from bridge.cases.snapshot import BusinessIdentifier

REDIRECTED = "redirected"
"""Stands for the version of a record that is shown no longer, but by a redirect to the one that took its place."""

MOST_LINKS = 8
"""How many records in a row are followed from one that was replaced to the one that stands (rule ours)."""


class Person(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    What a case shows of a Patient, Practitioner, Organization or the like.

    ``language`` is a BCP-47 code, the preferred one where the source says so. ``contact_preference`` is the
    system of the contact point ranked first (``phone``, ``email`` ...). ``birth_on`` is the FHIR date text.
    ``deceased_at`` is when somebody ``deceased`` died where that is told to the second, else when the record first
    said so. ``replaced_by`` is the resource that took this one's place (``Patient.link`` replaced-by, or a redirect
    there). ``gone`` is whether the EHR said twice that it is deleted.
    """

    ref: str
    type: str
    version: str
    display: str | None = None
    identifiers: tuple[BusinessIdentifier, ...] = ()
    language: str | None = None
    contact_preference: str | None = None
    birth_on: str | None = None
    deceased: bool = False
    deceased_at: datetime | None = None
    active: bool = True
    replaced_by: str | None = None
    updated_at: datetime | None = None
    gone: bool = False


def heir(ref: str, people: Mapping[str, Person]) -> str:
    """
    Return the record that stands for whom *ref* names: itself, or the one that took its place.

    Followed is ``Patient.link`` of type ``replaced-by`` alone, from the record that says so of itself, link by link; a
    redirect to the other record says the same (Epic 4107).
    It is the only type by which a record says that it must not be used any more; ``replaces`` on the other record is
    a claim about this one, ``refer`` and ``seealso`` leave both in use (FHIR R4 patient.html#links, value set
    link-type). Where the way leads in a circle, over more than ``MOST_LINKS`` records or to one that was not read,
    nothing is followed: whom *ref* names is not guessed.
    """
    if ref not in people:
        return ref
    way = [ref]
    while (found := people.get(way[-1])) is not None:
        if found.replaced_by is None:
            return ref if found.gone else way[-1]
        if found.replaced_by in way or len(way) > MOST_LINKS or _kind(found.replaced_by) != _kind(ref):
            return ref
        way.append(found.replaced_by)
    return ref


def links(ref: str, people: Mapping[str, Person]) -> tuple[Person, ...]:
    """Return the records that were replaced on the way from *ref* to its heir, each with the version that says so."""
    found, last = [], heir(ref, people)
    while ref != last:
        found.append(people[ref])
        ref = people[ref].replaced_by or last
    return tuple(found)


def _kind(ref: str) -> str:
    return ref.partition("/")[0]
