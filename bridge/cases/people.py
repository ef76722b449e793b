"""People, teams and places by name, as a case shows them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bridge.cases.snapshot import BusinessIdentifier


class Person(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    What a case shows of a Patient, Practitioner, Organization or the like.

    ``language`` is a BCP-47 code, the preferred one where the source says so. ``contact_preference`` is the
    system of the contact point ranked first (``phone``, ``email`` ...). ``birth_on`` is the FHIR date text.
    ``replaced_by`` is the resource that took this one's place (``Patient.link`` replaced-by).
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
    active: bool = True
    replaced_by: str | None = None
    updated_at: datetime | None = None
