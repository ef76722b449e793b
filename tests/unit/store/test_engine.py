"""How databases are reached, and who may own an SQLite file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from bridge.errors import ConfigError
from bridge.store.engine import engines, own, parse, told

OWNER = """
import sys
from bridge.store.engine import own
with own(sys.argv[1]):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///bridge.db", "sqlite"),
        ("sqlite+pysqlite:////var/bridge.db", "sqlite"),
        ("postgresql://user@db/bridge", "postgresql+psycopg"),
        ("postgresql+psycopg://user@db/bridge", "postgresql+psycopg"),
    ],
)
def test_urls_are_given_the_driver_that_is_used(url: str, driver: str) -> None:
    assert parse(url).drivername == driver


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bridge:hunter2@db/bridge",
        "postgresql://bridge@db/bridge?password=hunter2",
        "postgresql://bridge@db/bridge?sslpassword=hunter2",
    ],
)
def test_a_database_is_told_without_its_password_wherever_that_stands(url: str) -> None:
    parsed = parse(url)

    assert told(parsed).removeprefix("postgresql+psycopg://") in ("bridge:***@db/bridge", "bridge@db/bridge")
    assert parsed.password == ("hunter2" if "hunter2@" in url or "?password" in url else None)


@pytest.mark.parametrize("url", ["", "bridge.db", "sqlite://", "sqlite:///:memory:", "mysql://db/bridge"])
def test_a_database_that_cannot_be_used_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="database: "):
        parse(url)


def test_sqlite_is_durable_and_checks_references(tmp_path: Path) -> None:
    both = engines(f"sqlite:///{tmp_path / 'a.db'}")
    with both.writing.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "mmap_size")
        }
    both.dispose()

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "mmap_size": 0}


def test_a_reading_connection_cannot_write(tmp_path: Path) -> None:
    both = engines(f"sqlite:///{tmp_path / 'a.db'}")
    with both.writing.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")

    with pytest.raises(OperationalError, match="readonly"), both.reading.begin() as conn:
        conn.exec_driver_sql("INSERT INTO t VALUES (1)")
    both.dispose()


def test_one_process_owns_an_sqlite_file_and_the_next_is_told_which(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"

        with pytest.raises(ConfigError, match=rf"bridge\.db is in use by process {other.pid}"), own(url):
            pass
        other.communicate(timeout=10)

    with own(url):
        assert (tmp_path / "bridge.db.lock").read_text() == f"{os.getpid()}\n"


def test_an_owner_that_was_killed_leaves_the_file_free(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()

    with own(url):
        pass


def test_a_process_does_not_own_one_file_twice(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    with own(url), pytest.raises(ConfigError, match="one process owns"), own(url):
        pass


def test_postgresql_is_shared() -> None:
    with own("postgresql://db/bridge"), own("postgresql://db/bridge"):
        pass
