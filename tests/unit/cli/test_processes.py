"""Commands in processes of their own: pipes, Ctrl-C, SIGTERM."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from pathlib import Path

import httpx
import pytest

from bridge.cli import working
from conformance.demo import LiveEhr
from tests.unit.cli.running import Answering, Configure, Local, Run, process

# Processes ------------------------------------------------------------------------------------------------


def test_output_to_a_pipe_is_results_alone(configure: Configure, ehr: LiveEhr, tmp_path: Path) -> None:
    configure(ehr.base_url, "[log]", "level = 'debug'")

    out, err = process("sync", "--once", "--json", folder=tmp_path, NO_COLOR="1").communicate(timeout=60)

    assert json.loads(out)[0]["complete"] is True
    assert "\x1b" not in out + err
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_fault_of_ours(tmp_path: Path) -> None:
    running = process("config", "show", folder=tmp_path)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()

    running.wait(timeout=60)

    assert "Traceback" not in running.stderr.read()
    running.stderr.close()


class Holding(Local):
    """Stands before an EHR and keeps the *nth* page of two waiting until it is told to go on."""

    def __init__(self, behind: str, nth: int) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        searches = iter(range(1, 1_000_000))
        server = self

        class Handler(Answering):
            def do_GET(self) -> None:
                if "_count=2" in self.path and next(searches) == nth:
                    server.asked.set()
                    server.go_on.wait(60)
                found = httpx.get(behind.removesuffix("/fhir") + self.path)
                body = found.content.replace(behind.encode(), server.base_url.encode())
                self.answer(found.status_code, "application/fhir+json", body)

        super().__init__(Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever was interrupted does not wait for the answer."""

    def __exit__(self, *error: object) -> None:
        self.go_on.set()
        super().__exit__(*error)


def test_ctrl_c_while_reading_leaves_a_sound_database_and_the_next_run_goes_on(
    run: Run, configure: Configure, ehr: LiveEhr, tmp_path: Path
) -> None:
    with Holding(ehr.base_url, nth=4) as between:
        configure(between.base_url, "page_size = 2")
        running = process("backfill", folder=tmp_path)
        assert between.asked.wait(60)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        between.go_on.set()

        assert running.returncode == 130
        assert out == ""
        assert "Interrupted. What was read is stored; the next run goes on from there." in err
        assert "Traceback" not in err
        assert _sound(tmp_path) > 0

        assert run("backfill").code == 0

    configure(ehr.base_url, "[database]", "url = 'sqlite:///undisturbed.sqlite3'")
    run("backfill")
    assert _sound(tmp_path) == _sound(tmp_path, "undisturbed.sqlite3")


def test_ctrl_c_that_goes_under_ends_the_work_at_the_next_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Python drops a KeyboardInterrupt that meets it in a finalizer."""

    def work() -> None:
        with working.resumable() as check:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            check()

    with pytest.raises(KeyboardInterrupt):
        work()

    assert "What was read is stored" in capsys.readouterr().err


def _sound(folder: Path, name: str = "bridge.sqlite3") -> int:
    """Check the file and return how many versions it holds."""
    database = sqlite3.connect(folder / name)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        return int(database.execute("SELECT count(*) FROM source_version").fetchone()[0])
    finally:
        database.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_in_order_when_told_to(configure: Configure, ehr: LiveEhr, tmp_path: Path, number: int) -> None:
    configure(ehr.base_url, "[web]", "port = 0")
    running = process("serve", folder=tmp_path)
    assert running.stdout is not None
    address = running.stdout.readline().split()[3]
    assert httpx.get(f"{address}/health/live", timeout=30).status_code == 200

    running.send_signal(number)
    _, err = running.communicate(timeout=60)

    assert running.returncode == 0
    assert "Traceback" not in err
