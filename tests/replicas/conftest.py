"""A PostgreSQL server for all replicas, and what one undisturbed process made of the same EHR."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract import postgres
from tests.contract.conftest import postgres_server, postgres_template
from tests.kill.standing import standing

from .site import Reference, site

__all__ = ["database", "postgres_server", "postgres_template", "reference"]


@pytest.fixture
def database(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A database at the newest revision."""
    with postgres.fresh_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(scope="module")
def reference(postgres_server: str, postgres_template: str, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What a whole ``sync --once`` of one process comes to."""
    filled_at = datetime.now(UTC) - timedelta(hours=1)
    folder = tmp_path_factory.mktemp("undisturbed")
    new = postgres.fresh_database(postgres_server, template=postgres_template)
    with new as url, site(folder, url, filled_at) as alone:
        alone.replica("one", "sync", "--once").end_well()
        return Reference(filled_at, standing(alone.workplace("one"), alone.ehr))
