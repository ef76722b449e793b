"""Patients, practitioners and the like: what is known, and what is still to be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, select

from bridge.cases.people import Person
from bridge.store.batch import among, insert, texts, upsert
from bridge.store.codec import clean, micros, pack
from bridge.store.sql.work import Work
from bridge.store.tables import person

_person = msgspec.msgpack.Decoder(Person)

_NOTED = select(person.c.ref, person.c.body).where(
    person.c.connection_id == bindparam("connection"), among(person.c.ref, texts("refs"))
)
_WANTED = (
    select(person.c.ref)
    .where(
        person.c.connection_id == bindparam("connection"),
        person.c.wanted_at.is_not(None),
        person.c.wanted_at <= bindparam("now"),
    )
    .order_by(person.c.wanted_at, person.c.ref)
    .limit(bindparam("limit"))
)
_WANT = insert(person, "connection_id", "ref", "wanted_at", ignore=True)
_WANT_AGAIN = upsert(person, "connection_id", "ref", "wanted_at")
_SAVE = upsert(person, "connection_id", "ref", "body", "read_at", "wanted_at")


class PeopleRoom(Work):
    """Whom the cases name."""

    def people(self, connection: str, refs: Iterable[str]) -> dict[str, Person]:
        asked, key = {clean(ref): ref for ref in refs}, self.connection_id(connection)
        found = self.rows(_NOTED, connection=key, refs=list(asked))
        self.noted_people.update((key, ref) for ref, _ in found)
        return {asked[ref]: _person.decode(body) for ref, body in found if body is not None}

    def want_people(self, connection: str, refs: Iterable[str], now: datetime) -> None:
        dated = self._dated(connection, refs, now)
        self.write(_WANT, [row for row in dated if row[:2] not in self.noted_people])

    def people_unreadable(self, connection: str, refs: Iterable[str], retry_at: datetime) -> None:
        self.write(_WANT_AGAIN, self._dated(connection, refs, retry_at))

    def _dated(self, connection: str, refs: Iterable[str], at: datetime) -> list[tuple[int, str, int]]:
        key, when = self.connection_id(connection), micros(at)
        return [(key, ref, when) for ref in sorted({clean(ref) for ref in refs})]

    def wanted_people(self, connection: str, now: datetime, limit: int) -> list[str]:
        key = self.connection_id(connection)
        return [row.ref for row in self.rows(_WANTED, connection=key, now=micros(now), limit=limit)]

    def save_people(self, connection: str, people: Sequence[Person], now: datetime) -> None:
        key, when = self.connection_id(connection), micros(now)
        newest = {clean(who.ref): who for who in people}
        self.write(_SAVE, [(key, ref, pack(who), when, None) for ref, who in newest.items()])
