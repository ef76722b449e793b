"""A PostgreSQL server for the tests: the one named by ``BRIDGE_TEST_POSTGRES``, or one of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

URL = "BRIDGE_TEST_POSTGRES"
REQUIRED = "BRIDGE_REQUIRE_POSTGRES"


@contextmanager
def server() -> Iterator[str]:
    """Give the URL of a server on which databases can be made; skip (or fail, if required) without one."""
    given = os.environ.get(URL)
    if given:
        yield given
        return
    tools = _tools()
    if tools is None:
        _give_up(f"no PostgreSQL: {URL} is not set and initdb is not installed")
        return
    folder = Path(tempfile.mkdtemp(prefix="bridge-postgres-"))
    try:
        with _started(tools, folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give_up(reason: str) -> None:
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _tools() -> Path | None:
    """Return the folder of initdb and postgres; Debian keeps them off the path."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def _started(tools: Path, folder: Path) -> Iterator[str]:
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"
    make: list[str | Path] = [
        tools / "initdb",
        "-D",
        data,
        "-U",
        "bridge",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run([*make, "--locale=C.UTF-8"], check=True, user=user, capture_output=True, cwd=folder)
    port = _free_port()
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control: list[str | Path] = [tools / "pg_ctl", "-D", data, "-w"]
    start: list[str | Path] = [*control, "-l", log, "-o", settings, "start"]
    subprocess.run(start, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://bridge@127.0.0.1:{port}/postgres"
    finally:
        stop: list[str | Path] = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def fresh_database(url: str, *, template: str | None = None) -> Iterator[str]:
    """Give the URL of a new database, empty or a copy of *template*, that is dropped afterwards."""
    copied = make_url(template).database if template else "template1"
    name = f"bridge_test_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as conn:
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        conn.execute(make.format(sql.Identifier(name), sql.Identifier(copied or "template1")))
        try:
            yield make_url(url).set(database=name).render_as_string(hide_password=False)
        finally:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
