"""What a command says of a set-up that is broken, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest

from bridge.store.engine import own
from conformance.demo import LiveEhr, start_live_ehr
from tests.unit.cli.running import NOBODY, Answering, Configure, Local, Run

# Broken set-ups -------------------------------------------------------------------------------------------


class Stub(Local):
    """A server that gives one answer to everything."""

    def __init__(self, status: int, kind: str, body: bytes) -> None:
        class Handler(Answering):
            def do_GET(self) -> None:
                self.answer(status, kind, body)

        super().__init__(Handler)


@pytest.mark.parametrize(
    ("status", "kind", "body", "code", "said"),
    [
        (401, "text/plain", b"", 1, "the EHR asks who we are; no credentials are configured"),
        (403, "text/plain", b"", 1, "ask its administrator what this account may do"),
        (404, "text/html", b"<h1>", 1, "base_url ends where /metadata begins"),
        (503, "text/html", b"<h1>", 3, "is down or fails"),
        (200, "text/html", b"<h1>Welcome to nginx</h1>", 3, "is that a FHIR server"),
        (200, "application/fhir+json", b'{"resourceType":"Patient"}', 3, "is that a FHIR server"),
        (
            200,
            "application/fhir+json",
            b'{"resourceType":"CapabilityStatement","fhirVersion":"5.0.0","rest":[{"mode":"server"}]}',
            1,
            'set connections.main.fhir_version = "R5"',
        ),
    ],
)
def test_doctor_names_what_is_wrong_with_an_ehr(
    run: Run, configure: Configure, status: int, kind: str, body: bytes, code: int, said: str
) -> None:
    with Stub(status, kind, body) as stub:
        configure(stub.base_url)

        told = run("doctor")

    assert "!!  connection main" in told.out
    assert said in told.out
    assert told.code == code


def test_doctor_says_of_an_ehr_that_is_slow_that_it_is_slow(
    run: Run, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__TIMEOUT_SECONDS", "0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configure(f"http://127.0.0.1:{silent.getsockname()[1]}/fhir")

        told = run("doctor")

    assert "no answer in time" in told.out
    assert "timeout_seconds" in told.out
    assert told.code == 3


def test_doctor_wants_a_person_where_the_clocks_are_apart(run: Run, configure: Configure) -> None:
    with start_live_ehr(stories=1, faults=["clock-skew=600"]) as ahead:
        configure(ahead.base_url)

        told = run("doctor")

    assert re.search(r"!!  connection main clock: the EHR's clock is (59\d|60\d|61\d) s ahead of ours", told.out)
    assert told.code == 1


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        (NOBODY, "nothing listens at that host and port"),
        ("http://no-such-host.invalid/fhir", "base_url spelt right"),
        ("{https}", "begin base_url with http://"),
    ],
)
def test_doctor_names_why_an_ehr_is_out_of_reach(
    run: Run, configure: Configure, ehr: LiveEhr, base_url: str, said: str
) -> None:
    configure(base_url.replace("{https}", ehr.base_url.replace("http:", "https:")))

    told = run("doctor")

    assert told.code == 3
    assert said in told.out or "no name server answered" in told.out


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        (["[database]", "url = 'postgresql://bridge@127.0.0.1:1/bridge'"], 3, "is the server running"),
        (["[database]", "url = 'sqlite:///bridge.toml/x/b.sqlite3'"], 1, "is not a folder"),
        (["[database]", "url = 'sqlite:///bridge.toml'"], 3, "file is not a database"),
        (["auth = 'bearer'", "token_file = 'token'"], 1, "connections.main.token_file: "),
    ],
)
def test_doctor_names_what_is_wrong_here(
    run: Run, configure: Configure, ehr: LiveEhr, lines: list[str], code: int, said: str
) -> None:
    configure(ehr.base_url, *lines)

    told = run("doctor")

    assert said in told.out
    assert told.code == code


def test_doctor_names_a_wrong_lanes_file(run: Run, configure: Configure, tmp_path: Path) -> None:
    configure(NOBODY)
    text = (tmp_path / "bridge.toml").read_text()
    (tmp_path / "bridge.toml").write_text(f"lanes = 'own.toml'\n{text}")

    missing = run("doctor")
    (tmp_path / "own.toml").write_text("[referral\n")
    broken = run("doctor")

    for told in (missing, broken):
        assert told.code == 1
        assert "!!  lanes: " in told.out
        assert "own.toml" in told.out


def test_an_ehr_out_of_reach_is_3_and_named_once(run: Run, configure: Configure) -> None:
    configure(NOBODY, "read = ['Task', 'Appointment']")

    said, told = run("sync", "--once"), run("backfill", "--json")

    assert said.code == 3
    assert said.out.startswith("main: NOT complete\n")
    assert said.out.count("no connection to") == 1
    assert "Connection refused" in said.out
    assert told.code == 3
    assert json.loads(told.out)["main"]["problems"]


def test_a_database_out_of_reach_is_3(run: Run, configure: Configure) -> None:
    configure(NOBODY, "[database]", "url = 'postgresql://bridge@127.0.0.1:1/bridge'")

    for arguments in (["sync", "--once"], ["migrate"], ["explain", "x"]):
        said = run(*arguments)
        assert said.code == 3
        assert "cannot be used" in said.err


def test_a_second_process_is_refused_politely(run: Run, configure: Configure, tmp_path: Path) -> None:
    configure(NOBODY)
    with own(f"sqlite:///{tmp_path}/bridge.sqlite3"):
        for arguments in (["sync", "--once"], ["serve"], ["backfill"], ["migrate"]):
            said = run(*arguments)
            assert said.code == 2
            assert f"is in use by process {os.getpid()}" in said.err


def test_serving_on_a_taken_port_is_2(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    port = ehr.base_url.split(":")[2].partition("/")[0]
    configure(ehr.base_url, "[web]", f"port = {port}")

    said = run("serve")

    assert said.code == 2
    assert f"web.port: 127.0.0.1:{port} cannot be listened on" in said.err
