"""A clinic in turmoil: work is changed, linked anew, taken back, deleted and ordered, at random but repeatably."""

from __future__ import annotations

from collections import Counter
from random import Random

import httpx

from conformance.generator.elements import reference
from conformance.generator.work import service_request, task

from .line import Ehr, ref_of
from .picture import IS_OVER, IS_WORK
from .plain import Json


class Upheaval:
    """
    Does random things to the work on a server, each of them one that a clinic does.

    ``done`` counts what was done and ``refused`` what the server did not allow: one that minds its references
    keeps what others refer to.
    """

    def __init__(self, ehr: Ehr, seed: int) -> None:
        self._ehr = ehr
        self._rng = Random(seed)
        self._seed = seed
        self._work = ehr.work()
        self._removed: list[Json] = []
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def go_on(self, times: int) -> None:
        """Do *times* things."""
        acts = (
            *[self._move] * 6,
            self._void,
            self._delete,
            self._delete,
            self._link,
            self._link,
            self._unlink,
            self._order,
            self._hand_on,
            self._bring_back,
        )
        for _ in range(times):
            act = self._rng.choice(acts)
            name = act.__name__.lstrip("_")
            (self.done if act() else self.refused)[name] += 1

    # What can happen --------------------------------------------------------------------------------------

    def _move(self) -> bool:
        resource = self._any()
        kind = resource["resourceType"]
        return self._store({**resource, "status": self._rng.choice(sorted(IS_WORK[kind] | IS_OVER[kind]))})

    def _void(self) -> bool:
        return self._store({**self._any(), "status": "entered-in-error"})

    def _delete(self) -> bool:
        resource = self._any()
        if not self._ehr.delete(ref_of(resource)).is_success:
            return False
        self._removed.append(self._work.pop(ref_of(resource)))
        return True

    def _bring_back(self) -> bool:
        return bool(self._removed) and self._store(self._removed.pop(self._rng.randrange(len(self._removed))))

    def _link(self) -> bool:
        """A Task turns out to be about another order of the same patient."""
        resource = self._any("Task")
        order = service_request(self._new_id("order"), {"resourceType": "Patient", "id": _patient(resource)})
        return self._store(order) and self._store({**resource, "focus": reference(order)})

    def _unlink(self) -> bool:
        resource = self._any("Task")
        links = ("focus", "basedOn", "partOf", "restriction")
        return self._store({name: value for name, value in resource.items() if name not in links})

    def _order(self) -> bool:
        patient = {"resourceType": "Patient", "id": _patient(self._any())}
        order = service_request(self._new_id("order"), patient, priority="urgent")
        asked = task(self._new_id("task"), patient, focus=reference(order))
        return self._store(order) and self._store(asked)

    def _hand_on(self) -> bool:
        return self._store({**self._any("Task"), "owner": {"display": "Whoever is on call"}})

    # Small things -----------------------------------------------------------------------------------------

    def _any(self, kind: str = "") -> Json:
        return self._work[self._rng.choice([ref for ref in self._work if ref.startswith(kind)])]

    def _store(self, resource: Json) -> bool:
        answer = self._ehr.client.put(ref_of(resource), json=resource)
        if answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            return False
        self._work[ref_of(resource)] = answer.raise_for_status().json()
        return True

    def _new_id(self, kind: str) -> str:
        return f"late-{self._seed}-{kind}-{self._rng.randrange(10**9)}"


def _patient(resource: Json) -> str:
    named = resource.get("for") or resource.get("subject")
    if named is None:
        named = next(one["actor"] for one in resource["participant"] if one["actor"]["reference"].startswith("Patient"))
    return str(named["reference"]).partition("/")[2]
