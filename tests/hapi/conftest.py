"""
Real HAPI servers for the tests of this folder.

Starting one costs 20 to 50 seconds and over a gigabyte, so those of a kind are shared by the whole run and every
test keeps to resources of its own, told apart by the `unique` value. ``BRIDGE_REQUIRE_HAPI=1`` turns the skip of
a machine without Java and Maven into a failure, so that a build server cannot leave this folder out unnoticed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from .launcher import HapiFactory, HapiServer, HapiUnavailable, RunningHapi, Switches

HERE = Path(__file__).parent
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that every test of this folder carries."""
    config.addinivalue_line("markers", "hapi: needs a real HAPI FHIR server (Java 17 and Maven)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that ``-m 'not hapi'`` leaves them out wherever pytest was started."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.hapi)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers of a failed test printed last, and where the whole log is."""
    report = yield
    if report.failed:
        used = getattr(item, "funcargs", {}).values()
        for server in (value for value in used if isinstance(value, HapiServer)):
            report.sections.append((f"HAPI log, all of it in {server.log_path}", server.log_tail()))
    return report


@pytest.fixture(scope="session")
def hapi_running(tmp_path_factory: pytest.TempPathFactory) -> RunningHapi:
    """Start a server of any kind in a scratch folder of its own; the other fixtures and module fixtures use this."""

    @contextmanager
    def run(**switches: Any) -> Iterator[HapiServer]:
        wanted = Switches(**switches)
        scratch = tmp_path_factory.mktemp(f"hapi-{wanted.fhir_version.lower()}")
        server = HapiServer(wanted, scratch)
        try:
            server.start()
        except HapiUnavailable as missing:
            _leave_out(missing)
        try:
            yield server
        finally:
            server.stop()

    return run


def _leave_out(missing: HapiUnavailable) -> NoReturn:
    if os.environ.get("BRIDGE_REQUIRE_HAPI") == "1":
        pytest.fail(f"BRIDGE_REQUIRE_HAPI=1, but HAPI cannot run here: {missing}")
    pytest.skip(f"HAPI cannot run here: {missing}")


@pytest.fixture(scope="session")
def hapi(hapi_running: RunningHapi) -> Iterator[HapiServer]:
    """The shared R4 server, in memory, set up as HAPI ships (referential integrity on)."""
    with hapi_running() as server:
        yield server


@pytest.fixture(scope="session")
def hapi_lenient(hapi_running: RunningHapi) -> Iterator[HapiServer]:
    """The shared R4 server with referential integrity and the search cache off, in memory."""
    with hapi_running(referential_integrity=False, search_cache_ms=0) as server:
        yield server


@pytest.fixture(scope="session")
def hapi_r4b(hapi_running: RunningHapi) -> Iterator[HapiServer]:
    """The shared R4B server, in memory, set up as HAPI ships."""
    with hapi_running(fhir_version="R4B") as server:
        yield server


@pytest.fixture(scope="session")
def hapi_r5(hapi_running: RunningHapi) -> Iterator[HapiServer]:
    """The shared R5 server, in memory, set up as HAPI ships."""
    with hapi_running(fhir_version="R5") as server:
        yield server


@pytest.fixture
def hapi_factory(hapi_running: RunningHapi, tmp_path: Path) -> Iterator[HapiFactory]:
    """
    Start servers of this test's own, on a database file unless told otherwise; all stop when the test ends.

    Pass ``database=None`` for one in memory; each costs its start-up, so a module with several tests for the same
    private server makes a module fixture from `hapi_running` instead.
    """
    with ExitStack() as stack:

        def start(**switches: Any) -> HapiServer:
            on_file = {"database": tmp_path / f"database-{next(_numbers)}"}
            return stack.enter_context(hapi_running(**(on_file | switches)))

        yield start


@pytest.fixture
def unique() -> str:
    """A short value no other test of this run has, fit for resource ids and identifiers."""
    return f"t{next(_numbers)}"


@pytest.fixture
def fhir(hapi: HapiServer) -> Iterator[httpx.Client]:
    """A plain HTTP client of the shared R4 server; paths are relative to its base."""
    with hapi.client() as client:
        yield client
