"""What every room of the SQL store works with: the connection, batches, and the integer keys of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Row as SqlRow

from bridge.store.batch import Batch, Row, among, insert, texts
from bridge.store.codec import clean
from bridge.store.tables import care_case, connection, resource

_ID_OF = select(connection.c.id).where(connection.c.name == bindparam("name"))
_NAME_OF = select(connection.c.name).where(connection.c.id == bindparam("id"))
_ADD = {
    "sqlite": sqlite.insert(connection).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(connection).on_conflict_do_nothing(),
}
_PKS = select(care_case.c.id, care_case.c.pk).where(among(care_case.c.id, texts("ids")))
_FIND_RESOURCES = select(resource.c.ref, resource.c.id).where(
    resource.c.connection_id == bindparam("connection"), among(resource.c.ref, texts("refs"))
)
_ADD_RESOURCES = insert(resource, "id", "connection_id", "ref", ignore=True)

Found = SqlRow[*tuple[Any, ...]]
"""One row of a query's result."""

NOWHERE = -1
"""The key of a connection that the database has never heard of: matches no row."""


class Names:
    """The integer keys of connections; committed ones are remembered for the life of the store."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.ids: dict[str, int] = {}
        self.names: dict[int, str] = {}

    def learn(self, name: str, key: int) -> None:
        """Remember one connection."""
        self.ids[name] = key
        self.names[key] = name


class Work:
    """One open transaction and the helpers the rooms share."""

    def __init__(self, conn: Connection, names: Names, *, writing: bool) -> None:
        """Work on *conn*, whose transaction has begun."""
        self.conn = conn
        self.writing = writing
        self.on_postgresql = conn.dialect.name == "postgresql"
        self._committed = names
        self._names = Names()
        self._pks: dict[str, int] = {}
        self._resources: dict[int, dict[str, int]] = {}
        self._absent: dict[int, set[str]] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self.noted_people: set[tuple[int, str]] = set()
        """People seen by this transaction, known or wanted: they need not be noted again."""
        self.new_cases: set[str] = set()
        """Cases stored by this transaction: nothing else refers to them yet."""

    def committed(self) -> None:
        """Let the store remember what this transaction learned."""
        for name, key in self._names.ids.items():
            self._committed.learn(name, key)

    def rows(self, statement: Executable, **parameters: Any) -> Sequence[Found]:
        """Run a query and return all its rows."""
        return self.conn.execute(statement, parameters).all()

    def row(self, statement: Executable, **parameters: Any) -> Found | None:
        """Run a query and return its first row, if any."""
        return self.conn.execute(statement, parameters).first()

    def write(self, batch: Batch, rows: Sequence[Row]) -> int:
        """Run a batch and return how many rows it wrote."""
        return batch.run(self.conn, rows)

    def connection_id(self, name: str) -> int:
        """Return the key of a connection; a transaction that writes makes one for a new name."""
        key = self._committed.ids.get(name)
        if key is not None:
            return key
        name = clean(name)
        key = self._committed.ids.get(name) or self._names.ids.get(name)
        if key is not None:
            return key
        found = self.conn.execute(_ID_OF, {"name": name}).scalar()
        if found is None and self.writing:
            self.conn.execute(_ADD[self.conn.dialect.name], {"name": name})
            found = self.conn.execute(_ID_OF, {"name": name}).scalar_one()
        if found is None:
            return NOWHERE
        self._names.learn(name, found)
        return int(found)

    def connection_name(self, key: int) -> str:
        """Return the name of a connection by its key."""
        name = self._committed.names.get(key) or self._names.names.get(key)
        if name is None:
            name = str(self.conn.execute(_NAME_OF, {"id": key}).scalar_one())
            self._names.learn(name, key)
        return name

    def known_resources(self, connection: str, refs: Iterable[str]) -> dict[str, int]:
        """
        Return the keys of those resources that have one: nothing is kept of the others.

        Asked once in a transaction for each, so that a page of new resources costs one query, not one in each room.
        """
        here = self.connection_id(connection)
        absent, keys = self._absent.setdefault(here, set()), self._resources.setdefault(here, {})
        wanted = set(refs)
        if new := wanted - keys.keys() - absent:
            keys.update(self._find_resources(here, new))
            absent |= new - keys.keys()
        return {ref: keys[ref] for ref in wanted & keys.keys()}

    def keys_of(self, named: Iterable[tuple[str, str]]) -> list[int]:
        """
        Return the key of each (connection, ref) in the order given, made where there was none.

        A page's rows name the same resources in every room: they are looked up once.
        """
        pairs, keys = list(named), self._keys
        if new := {pair for pair in pairs if pair not in keys}:
            for connection in {connection for connection, _ in new}:
                refs = {ref: clean(ref) for other, ref in new if other == connection}
                made = self._made_keys(connection, set(refs.values()))
                keys.update(((connection, ref), made[cleaned]) for ref, cleaned in refs.items())
        return [keys[pair] for pair in pairs]

    def _made_keys(self, connection: str, refs: Set[str]) -> Mapping[str, int]:
        here = self.connection_id(connection)
        keys = self._resources.setdefault(here, {})
        if refs - keys.keys():
            self.known_resources(connection, refs)
        if missing := sorted(refs - keys.keys()):
            made = dict(zip(missing, self.next_keys(resource, len(missing)), strict=True))
            if self.write(_ADD_RESOURCES, [(key, here, ref) for ref, key in made.items()]) != len(made):
                made = self._find_resources(here, missing)  # Another process came first with some of them.
            keys.update(made)
        return keys

    def _find_resources(self, here: int, refs: Iterable[str]) -> dict[str, int]:
        return dict(map(tuple, self.rows(_FIND_RESOURCES, connection=here, refs=list(refs))))

    def knows_case(self, case_id: str, pk: int) -> None:
        """Remember the key of a case read in this transaction."""
        self._pks[case_id] = pk

    def case_pks(self, case_ids: Iterable[str]) -> dict[str, int]:
        """Return the keys of those cases that exist."""
        wanted = set(case_ids)
        missing = [case_id for case_id in wanted if case_id not in self._pks]
        if missing:
            self._pks.update((found.id, found.pk) for found in self.rows(_PKS, ids=missing))
        return {case_id: self._pks[case_id] for case_id in wanted if case_id in self._pks}

    def next_keys(self, table: Table, count: int) -> range | list[int]:
        """
        Return *count* unused keys of *table*, ascending.

        Knowing keys before the rows are written lets a page's rows and what refers to them go in as two
        batches. SQLite has one writer, so the largest key is enough; PostgreSQL has a sequence.
        """
        if not self.on_postgresql:
            top = self.conn.execute(_top_key(table)).scalar_one()
            return range(top + 1, top + 1 + count)
        return list(self.conn.execute(_next_keys(table), {"count": count}).scalars())


# Made once for each table: making a statement costs more than running these.
@cache
def _top_key(table: Table) -> Executable:
    return select(func.coalesce(func.max(next(iter(table.primary_key))), 0))


@cache
def _next_keys(table: Table) -> Executable:
    sequence = func.pg_get_serial_sequence(table.name, next(iter(table.primary_key)).name)
    return select(func.nextval(sequence)).select_from(func.generate_series(1, bindparam("count")).table_valued("n"))
