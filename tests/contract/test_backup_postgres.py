"""A PostgreSQL database is dumped and put back into an empty one by PostgreSQL's own tools."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.backup import back_up, mark, put_back
from bridge.errors import ConfigError
from bridge.store.opening import open_store

from . import postgres
from .builders import EHR, NOW, a_case, with_cases

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(shutil.which("pg_dump") is None, reason="pg_dump is not installed"),
]


@pytest.fixture
def filled(migrated_postgres_url: str) -> str:
    """A database with a case in it."""
    with closing(open_store(migrated_postgres_url)) as store:
        with_cases(store, a_case())
    return migrated_postgres_url


@pytest.fixture
def empty(postgres_server: str) -> Iterator[str]:
    """A database with nothing in it."""
    with postgres.fresh_database(postgres_server) as url:
        yield url


def test_a_dump_is_put_back_into_an_empty_database(filled: str, empty: str, tmp_path: Path) -> None:
    back_up(filled, tmp_path / "copy")

    put_back(empty, tmp_path / "copy", [EHR], NOW)

    with closing(open_store(empty)) as store, store.reading() as tx:
        assert tx.case("c1") is not None
        restored = tx.restored(EHR)
    assert restored is not None
    assert restored.restored_at == NOW
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0


def test_a_database_in_which_something_is_stays_as_it_is(filled: str, tmp_path: Path) -> None:
    back_up(filled, tmp_path / "copy")

    with pytest.raises(ConfigError, match="not empty"):
        put_back(filled, tmp_path / "copy", [EHR], NOW)


def test_what_is_no_dump_of_bridge_is_refused(empty: str, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("not a dump")

    with pytest.raises(ConfigError, match="pg_restore failed"):
        put_back(empty, tmp_path / "copy", [EHR], NOW)


def test_a_database_that_replicas_work_on_is_not_marked(filled: str) -> None:
    with closing(open_store(filled)) as store, store.transaction() as tx:
        tx.workers("one", NOW, NOW - timedelta(minutes=1))

    with pytest.raises(ConfigError, match="stop every one"):
        mark(filled, [EHR], NOW + timedelta(seconds=60))
    mark(filled, [EHR], NOW + timedelta(seconds=180))

    with closing(open_store(filled)) as store, store.reading() as tx:
        assert tx.restored(EHR) is not None
