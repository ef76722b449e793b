"""
Many rows in one statement, on both databases.

SQLAlchemy builds each statement once; the driver runs it with ready parameters, as ``executemany`` on SQLite
and with one array per column (``unnest``, written by ``arrays``) on PostgreSQL. Measured 2026-11 per row: see
benchmarks. Lists in conditions are one parameter too (``json_each`` or ``ANY``), so no batch meets a limit on
parameters and every statement is prepared once whatever its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    Connection,
    Dialect,
    FunctionElement,
    Integer,
    LargeBinary,
    Table,
    TableValuedAlias,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    func,
    literal_column,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine, UserDefinedType

from bridge.store.arrays import array_of, bytes_array

Row = tuple[Any, ...]

_json = msgspec.json.Encoder()


class _Literal(UserDefinedType[str]):
    """
    The literal of a PostgreSQL array.

    The driver must not say that it is text: cast from text it would be read anew for every row it is compared with.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "TEXT"


class _List(TypeDecorator[Sequence[Any]]):
    """A list as one parameter: JSON text on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def __init__(self, item: type[TypeEngine[Any]]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(_Literal() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return array_of(self.item)(value) if dialect.name == "postgresql" else _json.encode(value).decode()


class among(FunctionElement[bool]):
    """``among(column, texts("refs"))``: whether the column's value is in a list given as one parameter."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """Return the condition as it is: SQLite would otherwise be asked whether it equals 1."""
        return self


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, listed = element.clauses
    values = f"SELECT value FROM json_each({compiler.process(listed, **kw)})"  # noqa: S608 - a bound parameter
    return f"{compiler.process(column, **kw)} IN ({values})"


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, listed = element.clauses
    assert isinstance(listed.type, _List)
    kind = compiler.dialect.type_compiler_instance.process(listed.type.item())
    return f"{compiler.process(column, **kw)} = ANY (CAST({compiler.process(listed, **kw)} AS {kind}[]))"


def texts(name: str) -> BindParameter[Sequence[str]]:
    """Return the parameter *name* that takes a list of texts."""
    return bindparam(name, type_=_List(Text))


def numbers(name: str) -> BindParameter[Sequence[int]]:
    """Return the parameter *name* that takes a list of integers."""
    return bindparam(name, type_=_List(BigInteger))


class Batch:
    """
    One prepared statement for any number of rows; a row is a tuple in the order of *columns*.

    Made by ``insert``, ``upsert`` and ``change``; ``run`` returns how many rows it wrote.
    """

    def __init__(self, table: Table, columns: Sequence[str], on_sqlite: Any, on_postgresql: Any) -> None:
        """Compile both statements on first use."""
        self._names = tuple(f"new_{name}" for name in columns)
        self._arrays = tuple(array_of(type(_plain(table.c[name]))) for name in columns)
        self._on_sqlite = on_sqlite
        self._on_postgresql = on_postgresql
        self._variants: dict[tuple[bool, ...], tuple[str, list[int]]] = {}

    def run(self, conn: Connection, rows: Sequence[Row]) -> int:
        """Write *rows*; nothing happens for none."""
        if not rows:
            return 0
        columns = list(zip(*rows, strict=True))
        if conn.dialect.name == "sqlite":
            empty = [column[0] is None and column.count(None) == len(rows) for column in columns]
            sql, order = self._with_nulls(tuple(empty))
            return conn.exec_driver_sql(sql, list(zip(*[columns[at] for at in order], strict=True))).rowcount
        filled = zip(self._names, self._arrays, columns, strict=True)
        arrays = {name: array(values) for name, array, values in filled}
        return conn.exec_driver_sql(self._postgresql, arrays).rowcount

    def _with_nulls(self, empty: tuple[bool, ...]) -> tuple[str, list[int]]:
        """
        Return the statement in which the columns that are *empty* in all rows are NULL, and the order of the others.

        A NULL that is a parameter costs as much as a number; of most pages' columns every third is empty.
        """
        found = self._variants.get(empty)
        if found is None:
            (first, *rest), order = self._sqlite
            filled = ["NULL" + part if empty[at] else "?" + part for at, part in zip(order, rest, strict=True)]
            found = self._variants[empty] = first + "".join(filled), [at for at in order if not empty[at]]
        return found

    @cached_property
    def _sqlite(self) -> tuple[list[str], list[int]]:
        """Return the parts of the statement between its parameters, and which columns these are."""
        compiled = self._on_sqlite.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        return str(compiled).split("?"), [self._names.index(name) for name in compiled.positiontup]

    @cached_property
    def _postgresql(self) -> str:
        dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
        sql = str(self._on_postgresql.compile(dialect=dialect))
        for name, array in zip(self._names, self._arrays, strict=True):
            sql = sql.replace(f"%({name})s", f"%({name}){'b' if array is bytes_array else 't'}")
        return sql


def insert(table: Table, *columns: str, ignore: bool = False) -> Batch:
    """Return a batch that inserts rows; with *ignore* those that break a unique rule are left out."""

    def finished(statement: Any) -> Any:
        return statement.on_conflict_do_nothing() if ignore else statement

    one = sqlite.insert(table).values(_values(table, columns))
    many = postgresql.insert(table).from_select(columns, _new_rows(table, columns).select())
    return Batch(table, columns, finished(one), finished(many))


def upsert(table: Table, *columns: str, add: bool = False) -> Batch:
    """Return a batch that inserts rows or, where the primary key exists, replaces (or adds to) the rest."""
    keys = [column.name for column in table.primary_key]
    rest = [name for name in columns if name not in keys]

    def finished(statement: Any) -> Any:
        new = statement.excluded
        values = {name: table.c[name] + new[name] if add else new[name] for name in rest}
        return statement.on_conflict_do_update(index_elements=keys, set_=values)

    one = sqlite.insert(table).values(_values(table, columns))
    many = postgresql.insert(table).from_select(columns, _new_rows(table, columns).select())
    return Batch(table, columns, finished(one), finished(many))


def change(table: Table, *columns: str, by: str, step: str | None = None) -> Batch:
    """
    Return a batch that updates the rows found *by* one of its columns.

    With *step* only a row whose column of that name is one less than the new value is changed.
    """
    changed = [name for name in columns if name != by]

    def finished(new: Mapping[str, Any]) -> Any:
        found = [table.c[by] == new[by]]
        if step is not None:
            found.append(table.c[step] == new[step] - literal_column("1"))
        return update(table).values({name: new[name] for name in changed}).where(*found)

    new = dict(_new_rows(table, columns).c.items())
    return Batch(table, columns, finished(_values(table, columns)), finished(new))


def _values(table: Table, names: Sequence[str]) -> dict[str, Any]:
    return {name: bindparam(f"new_{name}", type_=_plain(table.c[name])) for name in names}


def _new_rows(table: Table, names: Sequence[str]) -> TableValuedAlias:
    kinds = [_plain(table.c[name]) for name in names]
    arrays = [cast(bindparam(f"new_{n}"), ARRAY(kind)) for n, kind in zip(names, kinds, strict=True)]
    columns = [Column(n, kind) for n, kind in zip(names, kinds, strict=True)]
    return func.unnest(*arrays).table_valued(*columns, name="new").render_derived()


def _plain(column: Column[Any]) -> TypeEngine[Any]:
    """Return the column's type without variants and collation, which arrays cannot have."""
    for kind in (Boolean, LargeBinary, BigInteger, Integer):
        if isinstance(column.type, kind):
            return kind()
    return Text()
