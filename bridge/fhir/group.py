"""Group: whom a list of patients that somebody keeps in the EHR names (FHIR R4 group.html)."""

from __future__ import annotations

import msgspec

from bridge.errors import SourceError
from bridge.fhir.reference import parse_reference


class _Entity(msgspec.Struct):
    reference: object = None


class _Member(msgspec.Struct):
    entity: _Entity | None = None
    inactive: object = None


class _Group(msgspec.Struct):
    resourceType: str
    member: list[_Member | None] | None = None


_group = msgspec.json.Decoder(_Group)


def members(raw: bytes, base_url: str) -> tuple[str, ...]:
    """
    Return whom a Group names (``Type/id``), those who left it apart.

    Raises:
        SourceError: *raw* is no Group (``unreadable``).
    """
    try:
        found = _group.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SourceError("unreadable", "the Group cannot be read") from None
    if found.resourceType != "Group":
        raise SourceError("unreadable", "it is not a Group")
    named = [
        member.entity.reference
        for member in found.member or ()
        if member is not None and member.entity is not None and member.inactive is not True
    ]
    refs = (parse_reference(name, base_url).ref for name in named if isinstance(name, str))
    return tuple(ref for ref in refs if ref is not None)
