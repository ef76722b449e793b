"""The registration desk: patients who turn out to be one person, or two, who die, and whose records are corrected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from conformance.simulator import FhirError, Simulator
from conformance.simulator.faults.patients import merge_patients
from conformance.simulator.store import Version
from conformance.simulator.wire import Request

Json = dict[str, Any]

PATIENTS = ("Patient/p1", "Patient/p2", "Patient/p3")


class Registry:
    """Who keeps the patients' records; ``store`` puts one in its place."""

    def __init__(self, ehr: Simulator, rng: Random, store: Callable[[Json], None]) -> None:
        self._ehr, self._rng, self._store = ehr, rng, store
        self.died: set[str] = set()
        for ref in PATIENTS:
            self._store({"resourceType": "Patient", "id": ref[-2:], "name": [{"family": f"Example {ref[-1]}"}]})

    def act(self) -> str:
        """Do one thing, and say what."""
        one, other = self._rng.sample(PATIENTS, 2)
        acts: list[tuple[int, Callable[[], str]]] = [
            (3, lambda: self._merge(one, other)),
            (2, lambda: self._link(one, other)),
            (3, lambda: self._unlink(one)),
            (5, lambda: self._die(one)),
            (1, lambda: self._live(one)),
            (1, lambda: self._rename(one)),
            (1, lambda: self._retire(one)),
            (1, lambda: self._delete(one)),
        ]
        try:
            return self._rng.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()
        except FhirError as error:
            return f"may not change {one} ({error})"

    def _merge(self, loser: str, survivor: str) -> str:
        """Two records become one, and what was in the one moves to the other."""
        for ref in (loser, survivor):
            self._again(ref)
        merge_patients(self._ehr.ehr, loser[-2:], survivor[-2:])
        return f"merges {loser} into {survivor}"

    def _link(self, loser: str, survivor: str) -> str:
        """The one record points to the other; nothing has moved yet."""
        self._again(survivor)
        link = [{"other": {"reference": survivor}, "type": "replaced-by"}]
        self._store({**self._again(loser), "active": False, "link": link})
        return f"says that {survivor} took the place of {loser}"

    def _unlink(self, ref: str) -> str:
        """It was a mistake: they are two people."""
        self._store({name: value for name, value in self._again(ref).items() if name not in ("link", "active")})
        return f"undoes the merge of {ref}"

    def _die(self, ref: str) -> str:
        self.died.add(ref)
        self._store({**self._again(ref), "deceasedBoolean": True})
        return f"notes that {ref} died"

    def _live(self, ref: str) -> str:
        self.died.discard(ref)
        self._store({name: value for name, value in self._again(ref).items() if name != "deceasedBoolean"})
        return f"notes that {ref} lives"

    def _rename(self, ref: str) -> str:
        self._store({**self._again(ref), "name": [{"family": f"Renamed {self._rng.randint(1, 9)}"}]})
        return f"renames {ref}"

    def _retire(self, ref: str) -> str:
        self._store({**self._again(ref), "active": False})
        return f"sets {ref} aside"

    def _delete(self, ref: str) -> str:
        self._ehr.handle_clinic(Request("DELETE", ref))
        return f"deletes {ref}"

    def _again(self, ref: str) -> Json:
        """Return the record, made anew where it was deleted."""
        found = self._ehr.get(ref)
        if found is None:
            found = {"resourceType": "Patient", "id": ref[-2:], "name": [{"family": f"Example {ref[-1]}"}]}
            self._store(found)
        return {name: value for name, value in found.items() if name != "meta"}


def heir(ehr: Simulator, ref: str) -> str:
    """Return the record that stands for *ref* now: by its own word, not in a circle, and to one that is there."""
    found = way(ehr, ref)
    last = ehr.get(found[-1])
    return ref if last is None or _following(last) else found[-1]


def way(ehr: Simulator, ref: str) -> list[str]:
    """Return *ref* and the records that took its place, each by the word of the one before it."""
    found = [ref]
    while (record := ehr.get(found[-1])) is not None:
        following = _following(record)
        if len(following) != 1 or following[0] in found:
            break
        found.append(following[0])
    return found


def _following(record: Json) -> list[str]:
    return [one["other"]["reference"] for one in record.get("link", ()) if one["type"] == "replaced-by"]


def linked(ehr: Simulator, ref: str) -> set[str]:
    """Return every record that links join with *ref*, whichever way they point; what is deleted said its before."""
    pairs = [
        {head.reference, link["other"]["reference"]}
        for head in (ehr.ehr.store.head("Patient", name.partition("/")[2]) for name in PATIENTS)
        if head is not None
        for link in (_last_words(ehr, head).get("link", ()))
    ]
    found = {ref}
    while more := set().union(*(pair for pair in pairs if pair & found)) - found:
        found |= more
    return found


def unspoken(ehr: Simulator, since: datetime) -> set[str]:
    """
    Return the records that are, or after *since* were, deleted without a word of who took their place.

    Bridge takes whoever has their work since for the same person (``is_same_person``): an EHR that deletes one of two
    merged records shows no link. A record that comes back later is not asked for what stood in it before.
    """
    store = ehr.ehr.store
    heads = [head for ref in PATIENTS if (head := store.head("Patient", ref.partition("/")[2])) is not None]
    found = set()
    for head in heads:
        versions = [store.version(head.type, head.id, str(number)) for number in range(1, head.number + 1)]
        ends = [one for one in versions if one is not None and one.deleted and not _following(_last_words(ehr, one))]
        if any(one.at > since or one.number == head.number for one in ends):
            found.add(head.reference)
    return found


def _last_words(ehr: Simulator, head: Version) -> Json:
    before = ehr.ehr.store.version(head.type, head.id, str(head.number - 1)) if head.deleted else head
    return before.resource() if before is not None and not before.deleted else {}


def deleted(ehr: Simulator) -> bool:
    """Whether some record is deleted: then nobody can see where its link led."""
    return any(ehr.get(ref) is None for ref in PATIENTS)
