"""
F37: SIGTERM before the first, the second, the third ... call at a seam of ``bridge serve``: it ends in order and soon.
Told again, it ends on the spot.

The fast suite tries a few calls, ``TERM_EVERY=1`` each of those that a whole round takes; and a few moments of the
start of a process of its own, ``TERM_MOMENTS=20`` so many.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event

import psycopg
import pytest

from bridge.cases.intents import IntentState
from bridge.errors import HeldBack
from bridge.store.migrations import migrate
from bridge.wiring import resting, until_stopped
from tests.contract import postgres
from tests.hapi.line import Ehr, Workplace

from .process import BridgeProcess, sync
from .standing import Standing, standing
from .test_kill_simulator import kept_up, told
from .test_kill_sweep import SETTINGS, Stage

CALLS = range(1, 700, int(os.environ.get("TERM_EVERY", "300")))
"""The calls before which it is told to stop: in the start, the first read, the deliveries, and when all is done."""

MOMENTS = int(os.environ.get("TERM_MOMENTS", "2"))
"""At so many moments of its start a process of its own is told to stop."""

SOON = 10.0
"""Seconds until a container that was told to stop is killed (the default of Docker); Bridge gives itself 8."""

QUICKER = SETTINGS + "\npoll_seconds = 1"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def expected(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Standing:
    """What an undisturbed run comes to."""
    stage.reset()
    place = workplace(tmp_path_factory.mktemp("undisturbed"), stage)
    assert sync(place)["complete"]
    return standing(place, Ehr(stage.client))


def workplace(folder: Path, stage: Stage, more: str = "") -> Workplace:
    return Workplace(folder, stage.handle.base_url, connection=QUICKER, more=f"{more}\n[web]\nport = 0\n")


def told_to_stop(place: Workplace, call: int, command: str = "serve") -> BridgeProcess:
    """Run ``bridge COMMAND``, told to stop before that call; it ends well and soon."""
    process = BridgeProcess(place.folder, command, last=call, by=signal.SIGTERM)
    process.watch(lambda: process.signalled_at() is not None)
    at = process.signalled_at()
    process.end_well()
    assert at is not None
    assert time.monotonic() - at < SOON
    return process


@contextmanager
def hanging(asked: Event, answering: Event) -> Iterator[str]:
    """Serve an EHR that takes a request and does not answer it."""

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            answering.wait()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/fhir"
    finally:
        answering.set()
        server.shutdown()
        server.server_close()


def no_lease_is_left(place: Workplace) -> bool:
    return all(row.state is not IntentState.SENDING for row in place.outbox())


def as_undisturbed(place: Workplace, stage: Stage, expected: Standing) -> None:
    """Check that the next round ends where an undisturbed run does; it also tells what was seen in between."""
    report = sync(place)
    assert report["complete"], report
    found = standing(place, Ehr(stage.client))
    assert (found.unfinished, found.parked) == ((), ())
    assert (found.cases, found.work) == (expected.cases, expected.work)
    assert {case: kept_up(found.tasks[case]) for case in expected.tasks} == {
        case: kept_up(task) for case, task in expected.tasks.items()
    }
    assert told(found) >= told(expected)
    assert sync(place)["writes"] == 0


@pytest.mark.parametrize("call", CALLS)
def test_told_to_stop_before_any_call_it_ends_soon_and_the_next_start_ends_there(
    call: int, stage: Stage, expected: Standing, tmp_path: Path
) -> None:
    stage.reset()
    place = workplace(tmp_path, stage)

    process = told_to_stop(place, call)

    assert "Traceback" not in process.said()
    if (tmp_path / "bridge.sqlite3").exists():
        assert no_lease_is_left(place)
    as_undisturbed(place, stage, expected)


@pytest.mark.parametrize("first", [False, True], ids=["a process", "the first process"])
def test_told_to_stop_at_any_moment_of_its_start_it_ends_with_0(
    first: bool, stage: Stage, expected: Standing, tmp_path: Path
) -> None:
    """For a container's first process the kernel drops a SIGTERM that nobody handles."""
    stage.reset()
    place = workplace(tmp_path, stage)
    moments = random.Random(6)

    for seconds in [0.0, *(moments.uniform(0, 3) for _ in range(MOMENTS - 1))]:
        process, pid = started(place.folder, first)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGTERM)
            assert process.wait(60) == 0, seconds
        else:
            raise AssertionError((tmp_path / "out.log").read_text())

    assert "Traceback" not in (tmp_path / "out.log").read_text()
    as_undisturbed(place, stage, expected)


def started(folder: Path, first: bool) -> tuple[subprocess.Popen[bytes], int]:
    """Start ``bridge serve``, the first process of its namespace or like any; return as soon as it can be told."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"] if first else []
    if first and subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a namespace of processes")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    with (folder / "out.log").open("ab") as out:
        command = [*alone, sys.executable, "-m", "bridge", "serve"]
        process = subprocess.Popen(command, cwd=folder, env=settings, stdout=out, stderr=out)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        pid = child_of(process.pid) if first else process.pid
        if pid is not None and hears_sigterm(pid):
            return process, pid
        time.sleep(0.001)  # A glance: the kernel tells nobody when a process begins to hear a signal.
    process.kill()
    raise AssertionError((folder / "out.log").read_text())


def child_of(pid: int) -> int | None:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


def hears_sigterm(pid: int) -> bool:
    """Whether *pid* runs Python, which has begun with Bridge, and handles SIGTERM (proc(5), ``SigCgt``)."""
    try:
        runs, status = Path(f"/proc/{pid}/exe").resolve(), Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    handled = re.search(r"^SigCgt:\s*(\w+)$", status, re.M)
    assert handled is not None
    return runs == Path(sys.executable).resolve() and bool(int(handled[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.postgres
def test_a_replica_that_is_told_to_stop_gives_its_turns_and_leases_back(
    stage: Stage, expected: Standing, tmp_path: Path
) -> None:
    with postgres.server() as server, postgres.fresh_database(server) as url:
        migrate(url)
        stage.reset()
        place = workplace(tmp_path, stage, f'[database]\nurl = "{url}"')

        told_to_stop(place, 400)

        assert no_lease_is_left(place)
        assert turns_left(url) == []
        as_undisturbed(place, stage, expected)


@pytest.mark.postgres
def test_a_replica_whose_ehr_does_not_answer_gives_its_turns_back(tmp_path: Path) -> None:
    asked, answering = Event(), Event()
    with (
        postgres.server() as server,
        postgres.fresh_database(server) as url,
        hanging(asked, answering) as base_url,
    ):
        migrate(url)
        place = Workplace(tmp_path, base_url, more=f'[web]\nport = 0\n[database]\nurl = "{url}"')
        process = BridgeProcess(place.folder, "serve")
        assert asked.wait(60)
        assert turns_left(url) != []
        process.tell()
        process.end_well()

        assert "taken up by the next start" in process.said()
        assert turns_left(url) == []


def turns_left(url: str) -> list[str]:
    """Return what others would have to wait for; a sweep that was done is not due for a while."""
    with psycopg.connect(url) as conn:
        now = time.time() * 1_000_000
        found = conn.execute("SELECT name FROM turn WHERE until > %s AND name NOT LIKE 'sweep/%%'", (now,)).fetchall()
    return [name for (name,) in found]


def test_an_ehr_that_does_not_answer_keeps_nobody_from_ending(tmp_path: Path) -> None:
    """What hangs is left behind: the next start looks up what became of it."""
    asked, answering = Event(), Event()
    with hanging(asked, answering) as base_url:
        place = Workplace(tmp_path, base_url, more="[web]\nport = 0\n")
        process = BridgeProcess(place.folder, "serve")
        assert asked.wait(60)
        began = time.monotonic()
        process.tell()
        process.end_well()
        assert time.monotonic() - began < SOON
        answering.set()


def test_nothing_more_is_asked_once_it_is_known_that_the_process_ends() -> None:
    stopping = Event()
    turn = until_stopped(nullcontext, stopping)
    with turn():
        stopping.set()

    with pytest.raises(HeldBack, match="stopping"), turn():
        pytest.fail("it was asked")
    with pytest.raises(HeldBack, match="stopping"):
        resting(stopping)(60)
