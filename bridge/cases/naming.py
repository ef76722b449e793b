"""The people whom a case names, by the names they are known by."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from bridge.cases.derive import View
from bridge.cases.facts import Answer
from bridge.cases.people import Person
from bridge.cases.snapshot import Party
from bridge.cases.terms import OwnerKind


def with_names(view: View, people: Mapping[str, Person]) -> View:
    """Give the requester, and an owner whom the EHR named, the name they are known by."""
    requester = _named(view.requester, people)
    owner = view.owner.value
    party = _named(owner.party, people)
    if owner.kind is OwnerKind.EHR and party is not owner.party and party is not None:
        owner = replace(owner, display=party.display or owner.display, party=party)
    if requester is view.requester and owner is view.owner.value:
        return view
    return replace(view, requester=requester, owner=Answer(owner, view.owner.rule))


def _named(party: Party | None, people: Mapping[str, Person]) -> Party | None:
    """Return *party* with a name, where it came without one and is known by one."""
    person = people.get(party.ref or "") if party is not None else None
    if party is None or party.display or person is None or not person.display:
        return party
    return replace(party, display=person.display)
