"""The three stores that one suite runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.store.memory import MemoryStore
from bridge.store.migrations import migrate
from bridge.store.opening import create_or_open, open_store
from bridge.store.port import Store

from . import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A server, once for all tests."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database."""
    with postgres.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """A migrated database to copy, which takes a fifth of the time that migrating takes."""
    with postgres.fresh_database(postgres_server) as url:
        migrate(url)
        yield url


@pytest.fixture
def migrated_postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A database at the newest revision."""
    with postgres.fresh_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    opened: Store
    if request.param == "memory":
        opened = MemoryStore()
    elif request.param == "sqlite":
        opened = create_or_open(f"sqlite:///{tmp_path / 'bridge.db'}")
    else:
        opened = open_store(request.getfixturevalue("migrated_postgres_url"))
    yield opened
    opened.close()
