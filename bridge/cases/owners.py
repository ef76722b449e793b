"""Who can own a case: the people and role queues of the configuration, and how the EHR names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from bridge.cases.model import Owner
from bridge.cases.snapshot import Party
from bridge.cases.terms import OwnerKind

_CAN_COORDINATE = frozenset({"Practitioner", "PractitionerRole", "Organization", "CareTeam", "HealthcareService"})
"""Task owners who can be responsible for coordination; a patient, relative or device cannot (rule ours)."""

LICENSED_ROLES = frozenset({"clinician", "refill-nurse"})
"""The shipped role queues to which clinical questions may be put."""


@dataclass(frozen=True)
class Absence:
    """Civil days, both included, on which somebody is away."""

    first: date
    last: date


@dataclass(frozen=True)
class OwnerEntry:
    """
    One owner of the configuration.

    ``references`` are the ways the EHR names this owner: ``Practitioner/1``, or an identifier as
    ``system|value``. ``backup`` is the name of another entry.
    """

    name: str
    kind: OwnerKind
    display: str
    references: tuple[str, ...] = ()
    backup: str | None = None
    licensed: bool = False
    """Whether clinical questions may be put to them; who works a licensed role queue by name needs no more."""
    roles: tuple[str, ...] = ()
    """The role queues that a person works; without any they may take from each."""
    away: tuple[Absence, ...] = ()


class OwnerBook:
    """Finds owners by name, and recognises them where the EHR names them."""

    def __init__(self, entries: Iterable[OwnerEntry], we_are: Iterable[str] = ()) -> None:
        self._entries: Mapping[str, OwnerEntry] = {entry.name: entry for entry in entries}
        self._known = {reference: entry.name for entry in self._entries.values() for reference in entry.references}
        self._owners = {
            entry.name: Owner(entry.kind, entry.name, entry.display, _party(entry)) for entry in self._entries.values()
        }
        self._we_are = frozenset(we_are)
        queues = frozenset(name for name, entry in self._entries.items() if entry.licensed)
        self._licensed = queues.union(name for name, entry in self._entries.items() if queues & set(entry.roles))

    def names(self) -> tuple[str, ...]:
        """Return every owner's name, as configured."""
        return tuple(self._entries)

    def entries(self) -> tuple[OwnerEntry, ...]:
        """Return every owner."""
        return tuple(self._entries.values())

    def owner(self, name: str) -> Owner:
        """
        Return the owner called *name*.

        Raises:
            KeyError: No owner has that name.
        """
        return self._owners[name]

    def backup_of(self, name: str) -> Owner | None:
        """Return who stands in for *name*, if anybody is configured."""
        entry = self._entries.get(name)
        return self.owner(entry.backup) if entry and entry.backup else None

    def works(self, name: str, role: str) -> bool:
        """Whether a person takes cases from a role queue."""
        entry = self._entries.get(name)
        return entry is not None and entry.kind is OwnerKind.PERSON and (not entry.roles or role in entry.roles)

    def is_away(self, name: str, day: date) -> bool:
        """Whether *name* is away on a day."""
        entry = self._entries.get(name)
        return entry is not None and any(gone.first <= day <= gone.last for gone in entry.away)

    def stand_in(self, owner: Owner, otherwise: Owner | None, day: date) -> Owner:
        """
        Return who acts for *owner* on a day: the owner, or while they are away their backup, and so on.

        Args:
            otherwise: Who acts where the last of them is away too; the owner, where nobody does.
        """
        acting, seen = owner, set[str]()
        while self.is_away(acting.id, day) and acting.id not in seen:
            seen.add(acting.id)
            acting = self.backup_of(acting.id) or acting
        if not self.is_away(acting.id, day):
            return acting
        return otherwise if otherwise is not None and not self.is_away(otherwise.id, day) else owner

    def is_licensed(self, name: str) -> bool:
        """Whether clinical questions may be put to *name*: licensed, or of a role queue that is and that they name."""
        return name in self._licensed

    def licensed(self) -> tuple[str, ...]:
        """Return the names of all to whom clinical questions may be put, as configured."""
        return tuple(name for name in self._entries if name in self._licensed)

    def find(self, party: Party | None) -> Owner | None:
        """Return the configured owner that *party* is, if it is one."""
        for key in _keys(party):
            if key in self._known:
                return self.owner(self._known[key])
        return None

    def is_us(self, party: Party | None) -> bool:
        """Whether a Task owned by *party* asks us to do the work."""
        return self.find(party) is not None or any(key in self._we_are for key in _keys(party))


def owner_in_ehr(party: Party | None) -> Owner | None:
    """Return the owner that the EHR names, if it is somebody who can coordinate."""
    if party is None or (party.type is not None and party.type not in _CAN_COORDINATE):
        return None
    keys = _keys(party)
    name = keys[0] if keys else party.display
    if name is None:
        return None
    return Owner(OwnerKind.EHR, name, party.display or name, party)


def _keys(party: Party | None) -> tuple[str, ...]:
    if party is None:
        return ()
    found = (party.ref,) if party.ref else ()
    if party.identifier is not None:
        found = (*found, f"{party.identifier.system or ''}|{party.identifier.value}")
    return found


def _party(entry: OwnerEntry) -> Party | None:
    for reference in entry.references:
        if "|" not in reference:
            return Party(type=reference.partition("/")[0], ref=reference, display=entry.display)
    return None
