"""The command line as whoever runs it sees it: what it prints where, and with which exit code it ends."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from bridge import cli
from bridge.cli import working
from bridge.store.engine import own
from conformance.demo import LiveEhr, start_live_ehr

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:1/fhir"
UNKNOWN_MODIFIER = [{"url": "http://example.org/not-today", "valueBoolean": True}]


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]
Configure = Callable[..., None]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["bridge", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Said(ended.value.code if isinstance(ended.value.code, int) else 0, printed.out, printed.err)

    return command


@pytest.fixture(scope="module")
def ehr() -> Iterator[LiveEhr]:
    with start_live_ehr(seed=3, stories=6, speed=1.0) as running:
        parked = {
            "resourceType": "ServiceRequest",
            "id": "odd",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/s3-patient-9000"},
            "modifierExtension": UNKNOWN_MODIFIER,
        }
        httpx.put(f"{running.base_url}/ServiceRequest/odd", json=parked).raise_for_status()
        yield running


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def write(base_url: str, *lines: str) -> None:
        text = f'[connections.main]\nbase_url = "{base_url}"\ntimeout_seconds = 5\n'
        (tmp_path / "bridge.toml").write_text("\n".join([text, *lines]))

    return write


def process(*arguments: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bridge", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# Help and usage -------------------------------------------------------------------------------------------

COMMANDS = (
    *("demo", "serve", "sync", "backfill", "doctor", "explain", "replay", "migrate", "map", "config"),
    *("subscriptions", "pause", "resume", "worker", "stories", "simulator", "backup", "restore", "retention"),
)


def test_help_names_every_command_and_the_exit_codes(run: Run) -> None:
    said = run("--help")

    assert said.code == 0
    assert {line.split()[0] for line in said.out.splitlines() if line.startswith("  ")} >= set(COMMANDS)
    assert "Exit codes: 0 all done; 1 done, but something needs a person; 2 wrong usage" in said.out
    assert "..." not in said.out.partition("Commands:")[2], "every command's line is whole"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    said = run(command, "--help")

    assert said.code == 0
    assert said.out.startswith(f"Usage: bridge {command}")
    assert said.err == ""


def test_help_imports_nothing_heavy() -> None:
    """It is to be there within a tenth of a second."""
    heavy = "sqlalchemy httpx pydantic fastapi rich alembic uvicorn fhir msgspec jinja2"
    script = (
        "import sys; sys.argv = ['bridge', '--help']\n"
        "from bridge.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in '{heavy}'.split() if name in sys.modules], file=sys.stderr)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stderr.strip() == "[]"


def test_version(run: Run) -> None:
    from bridge import __version__

    assert run("--version") == Said(0, f"bridge {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["synk"], "No such command 'synk'. Did you mean 'sync'?"),
        (["config", "chek"], "No such command 'chek'. Did you mean 'check'?"),
        (["sync", "--onec"], "No such option: --onec"),
        (["serve", "now"], "unexpected extra argument"),
        (["explain"], "Missing argument 'CASE'"),
        (["replay", "box", "1"], "expected inbox or outbox, found 'box'"),
        (["replay", "inbox"], "expected either row ids, or --all"),
        (["replay", "inbox", "1", "--all"], "expected either row ids, or --all"),
        (["replay", "inbox", "one"], "valid integer"),
        (["replay", "inbox", "1", "--code", "x"], "expected either row ids, or --all"),
        (["replay", "outbox", "--type", "Task"], "--type is for the inbox"),
        (["backfill", "--since", "soon"], "expected a day such as 2026-03-01, found 'soon'"),
        (["map", "nowhere"], "no such file: nowhere"),
        (["map", "."], "no .json or .ndjson file in it"),
    ],
)
def test_wrong_usage_is_2_with_the_way_to_help(run: Run, arguments: list[str], said: str) -> None:
    told = run(*arguments)

    assert told.code == 2
    assert told.out == ""
    assert said in told.err
    assert "Traceback" not in told.err


# Without a configuration ----------------------------------------------------------------------------------


def test_config_check_without_a_file_says_so(run: Run) -> None:
    said = run("config", "check")

    assert said.code == 0
    assert "no bridge.toml here" in said.out
    assert "no connection yet: add [connections.NAME]" in said.out


@pytest.mark.parametrize("arguments", [["sync", "--once"], ["sync"], ["backfill"]])
def test_reading_without_a_connection_is_2_and_says_what_to_add(run: Run, arguments: list[str]) -> None:
    said = run(*arguments)

    assert said.code == 2
    assert "no connection yet: add [connections.NAME] with base_url" in said.err


@pytest.mark.parametrize("arguments", [["explain", "ServiceRequest/1"], ["replay", "inbox", "--all"]])
def test_looking_into_no_database_makes_none(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    said = run(*arguments)

    assert said.code == 2
    assert "does not exist" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_configuration_stops_every_command_with_2(run: Run, configure: Configure) -> None:
    configure(NOBODY, "vendr = 'hapi'", "token = 's3cr3t'")

    for arguments in (["config", "check"], ["config", "show"], ["doctor"], ["sync", "--once"], ["serve"], ["migrate"]):
        said = run(*arguments)
        assert (said.code, said.out) == (2, "")
        assert "connections.main.vendr: no such setting; did you mean vendor?" in said.err
        assert "connections.main.token: a secret does not belong in this file" in said.err
        assert "s3cr3t" not in said.err


def test_an_unknown_connection_is_2_and_names_those_there_are(run: Run, configure: Configure) -> None:
    configure(NOBODY)

    for arguments in (["sync", "--once"], ["backfill"], ["doctor"]):
        said = run(*arguments, "--connection", "mian")
        assert said.code == 2
        assert "there is no connection called 'mian'; configured: main" in said.err


def test_config_check_names_a_secret_that_is_not_there(run: Run, configure: Configure) -> None:
    configure("https://ehr.example/fhir", "auth = 'bearer'", "token_file = 'token'")

    said = run("config", "check")

    assert said.code == 2
    assert "connections.main.token_file: " in said.err


def test_config_check_says_who_may_answer_clinical_questions(run: Run, configure: Configure) -> None:
    assert "clinical questions: Nobody may answer yet: add a person" in run("config", "check").out

    configure(NOBODY, "[owners.dana]", 'kind = "person"', 'display = "Dana, RN"', "licensed = true")

    assert "clinical questions: Who may answer: Dana, RN." in run("config", "check").out


def test_lanes_whose_clinical_questions_reach_nobody_licensed_stop_the_start(run: Run, configure: Configure) -> None:
    unlicensed = ("[owners.clinician]", 'kind = "role"', 'display = "Clinic doctors"')
    wanted = "lanes.referral.escalates_to: nobody licensed would hear of worsening-symptoms; asked are clinician"
    configure(NOBODY, *unlicensed)

    for arguments in (["config", "check"], ["sync", "--once"], ["serve"]):
        said = run(*arguments)
        assert said.code == 2
        assert wanted in said.err
        assert "or say licensed = true in [owners.clinician]" in said.err
    told = run("doctor")
    assert told.code == 1
    assert wanted in told.out

    configure(NOBODY, *unlicensed, "licensed = true")
    assert run("config", "check").code == 0


def test_config_show_is_json_without_secrets(run: Run, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(NOBODY, "auth = 'bearer'")
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__TOKEN", "s3cr3t")

    said = run("config", "show")

    assert json.loads(said.out)["connections"]["main"]["base_url"] == NOBODY
    assert "s3cr3t" not in said.out


# A round over a simulated EHR -----------------------------------------------------------------------------


def test_sync_accounts_for_everything_and_the_second_round_writes_nothing(
    run: Run, configure: Configure, ehr: LiveEhr
) -> None:
    configure(ehr.base_url)

    first, second = run("sync", "--once"), run("sync", "--once", "--json")

    assert first.code == 0
    assert first.out.startswith("main: complete\n")
    assert "1 parked, kept with their reasons: bridge replay inbox --all --dry-run lists them" in first.out
    (report,) = json.loads(second.out)
    assert second.code == 0
    assert (report["complete"], report["writes"], report["problems"]) == (True, 0, [])
    for stream in report["streams"].values():
        assert stream["received"] == sum(stream[name] for name in ("applied", "duplicate", "ignored", "parked"))


def test_backfill_reads_and_writes_nothing(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url)

    said, again = run("backfill"), run("backfill", "--since", "2020-01-01", "--json")

    assert (said.code, again.code) == (0, 0)
    assert said.out.startswith("main: complete\n  ServiceRequest")
    assert json.loads(again.out)["main"]["complete"] is True


def test_reconcile_proves_agreement_or_names_each_difference(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url)
    run("backfill")
    unwritten = json.loads(run("reconcile", "--json").out)[0]
    run("sync", "--once")
    run("sync", "--once")

    said, table, told = run("reconcile"), run("reconcile", "--csv"), run("reconcile", "--json")

    (found,) = json.loads(told.out)
    assert [one["what"] for one in found["differences"]] == ["ServiceRequest/odd"], "it is parked"
    assert found["differences"][0]["kind"] == "not-read"
    assert (said.code, table.code, told.code) == (1, 1, 1)
    assert said.out.startswith("main: 1 difference: ")
    assert f"{found['open_cases']} open cases; compared 20" in said.out
    assert ",not-read,ServiceRequest/odd,," in table.out.splitlines()[1]
    assert (found["agree"], found["ehr_at"] is None) == (False, False)
    assert sum(unwritten["resources"].values()) <= sum(found["resources"].values())
    assert run("reconcile", "--json", "--csv").code == 2


def test_explain_tells_versions_decisions_and_writes(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url)
    run("sync", "--once")

    said, told = run("explain", "ServiceRequest/s3-story-001-order"), run("explain", "Task/none")
    steps = json.loads(run("explain", "ServiceRequest/s3-story-001-order", "--json").out)

    assert said.code == 0
    assert "began with ServiceRequest/s3-story-001-order" in said.out
    assert {step["kind"] for step in steps} == {"received", "decided", "written"}
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    assert told.code == 1
    assert "There is no case Task/none" in told.err


def test_a_pause_holds_until_it_is_resumed(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url)

    paused, again = run("pause", "main"), run("pause", "main")
    held = run("sync", "--once")
    of_a_type = run("pause", "main", "--type", "Patient")
    resumed, not_paused = run("resume", "main"), run("resume", "main")

    assert (paused.code, paused.out) == (0, "main is paused; bridge resume ends it\n")
    assert again.out == "main was paused already\n"
    assert held.code == 3
    assert "at the command line since" in held.out
    assert (of_a_type.code, of_a_type.err[:32]) == (2, "connections.main.read: 'Patient'"[:32])
    assert (resumed.out, not_paused.out) == ("main goes on\n", "main was not paused\n")
    assert run("sync", "--once").code == 0


def test_a_connection_that_a_running_bridge_has_open_is_paused_by_it(
    configure: Configure, ehr: LiveEhr, run: Run, tmp_path: Path
) -> None:
    """An SQLite file is another process's then."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configure(ehr.base_url, "[web]", f"port = {port}")
    serving = process("serve", folder=tmp_path)
    try:
        assert serving.stdout is not None
        assert "Bridge is at" in serving.stdout.readline()
        paused = run("pause", "main", "--type", "Task")
        shown = httpx.get(f"http://127.0.0.1:{port}/api/v1/connections").json()["connections"][0]["pauses"]
    finally:
        serving.terminate()
        serving.communicate()

    assert paused.out == "Task of main is paused; bridge resume ends it\n"
    assert [(one["type"], one["by"]) for one in shown] == [("Task", "local user")]


def test_replay_lists_what_is_parked_and_why_and_tries_it_again(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url)
    run("sync", "--once")

    listed = run("replay", "inbox", "--all", "--dry-run")
    row_id = listed.out.split()[0]

    assert listed.code == 0
    assert "main  ServiceRequest/odd: " in listed.out
    assert "modifierExtension" in listed.out
    tried = run("replay", "inbox", row_id, "--json")
    assert (tried.code, json.loads(tried.out)["taken_up"]) == (1, 0), "its cause is not mended"
    unknown = run("replay", "outbox", "424242")
    assert (unknown.code, "424242  is not parked in the outbox" in unknown.out) == (1, True)
    assert run("replay", "outbox", "--all").code == 0


def test_doctor_is_content_with_a_good_set_up(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url)

    said = run("doctor")

    assert said.code == 0
    proof = "_lastUpdated is declared; the server gives what changed and nothing else"
    assert f"ok  connection main read Task: last-updated: {proof}" in said.out
    assert said.out.endswith("all is fine\n")
    assert all(finding["ok"] for finding in json.loads(run("doctor", "--json").out))


def test_a_support_bundle_is_for_its_owner_alone_and_never_overwrites(
    run: Run, configure: Configure, ehr: LiveEhr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__HOOK_SECRET", "a-secret-of-this-test")
    configure(ehr.base_url)
    (tmp_path / "bridge.log").write_text(
        '{"level": "error", "logger": "bridge.sync", "message": "kept", "more": "left out"}\nno JSON\n'
        '{"level": "info", "logger": "bridge.sync", "message": "not kept"}\n'
    )
    bare = run("support-bundle", "bare.zip", "--offline")
    run("sync", "--once")
    made = run("support-bundle", "full.zip", "--log", "bridge.log")

    assert (bare.code, made.code) == (0, 0)
    assert "without figures: database: " in bare.err
    assert (tmp_path / "full.zip").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile("full.zip") as packed:
        files = {name: packed.read(name).decode() for name in packed.namelist()}
    assert sorted(files) == [
        "about.json",
        "connections.json",
        "doctor.json",
        "log.jsonl",
        "metrics.txt",
        "settings.json",
    ]
    assert files["log.jsonl"] == '{"level": "error", "logger": "bridge.sync", "message": "kept"}\n'
    assert "bridge_inbox_total" in files["metrics.txt"]
    assert json.loads(files["connections.json"])["main"]["parked_versions"][0]["code"] == "unknown-modifier-extension"
    assert all("a-secret-of-this-test" not in content for content in files.values())
    assert run("support-bundle", "full.zip", "--offline").code == 2


def test_doctor_says_what_will_tell_of_changes(
    run: Run, configure: Configure, ehr: LiveEhr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__HOOK_SECRET", "a-secret-of-this-test")
    configure(ehr.base_url, 'read = ["Task"]', 'subscribe = "auto"', 'subscribe_url = "http://127.0.0.1:8000"')

    said = run("doctor")

    assert "ok  connection main notify Task: " in said.out
    assert "a-secret-of-this-test" not in said.out


def test_subscriptions_are_none_where_nothing_is_configured(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url)
    run("migrate")

    assert run("subscriptions", "list").out == "main: none\n"
    assert run("subscriptions", "verify").code == 1
    assert run("subscriptions", "remove").code == 1


def test_doctor_tells_how_each_type_is_read_and_why_not_better(run: Run, configure: Configure, tmp_path: Path) -> None:
    with start_live_ehr(seed=3, stories=2, speed=1.0) as ehr:
        ehr.simulator.add_fault("no-last-updated")
        configure(ehr.base_url, 'poll = { Task = "last-updated" }')

        said = run("doctor")

    assert said.code == 1
    assert "ok  connection main read ServiceRequest: date: searched by authored; asked by authored" in said.out
    assert "not last-updated: _lastUpdated is not among the search parameters, says the CapabilityStatement" in said.out
    assert "!!  connection main read Task: there is no way to read Task" in said.out


def test_doctor_tells_where_the_profile_is_wrong(run: Run, configure: Configure, ehr: LiveEhr) -> None:
    configure(ehr.base_url, 'vendor = "oracle"', 'patients = ["Patient/1"]')

    said = run("doctor")

    assert "ok  connection main vendor: Task can be searched; by the profile it cannot" in said.out
    assert "the EHR is believed rather than the profile oracle" in said.out


# Broken set-ups -------------------------------------------------------------------------------------------


class Stub(ThreadingHTTPServer):
    """A server that gives one answer to everything."""

    def __init__(self, status: int, kind: str, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: object) -> None:
                """Print nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}/fhir"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


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


# The database ---------------------------------------------------------------------------------------------


def test_migrate_makes_and_checks_the_schema(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text("[database]\nurl = 'sqlite:///new/folder/b.sqlite3'\n")

    before, told = run("migrate", "--check"), run("migrate", "--check", "--json")
    assert not (tmp_path / "new").exists()
    applied = run("migrate")
    after, again = run("migrate", "--check"), run("migrate")

    assert (before.code, "the database is empty" in before.out) == (1, True)
    assert (told.code, json.loads(told.out)["at"], json.loads(told.out)["may_stay"]) == (1, None, True)
    assert (applied.code, applied.out.startswith("applied ")) == (0, True)
    assert (after.code, after.out, again.code, again.out) == (0, "up to date\n", 0, "up to date\n")


def test_a_database_of_a_newer_bridge_is_left_alone(run: Run, configure: Configure, tmp_path: Path) -> None:
    configure(NOBODY)
    run("migrate")
    with sqlite3.connect(tmp_path / "bridge.sqlite3") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()

    for arguments in (["sync", "--once"], ["migrate"], ["migrate", "--check"]):
        said = run(*arguments)
        assert said.code == 2
        assert "a newer Bridge made it" in said.err


# Files ----------------------------------------------------------------------------------------------------


def test_map_says_what_becomes_of_every_file(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "payloads"
    folder.mkdir()
    (folder / "patient.json").write_text('{"resourceType": "Patient", "id": "1"}')
    (folder / "broken.json").write_text("{")
    (folder / "notes.txt").write_text("not one of them")
    order = {"resourceType": "ServiceRequest", "id": "1", "status": "active", "intent": "order"}
    (folder / "orders.ndjson").write_text(json.dumps({**order, "subject": {"reference": "Patient/1"}}) + "\n")

    said, told = run("map", str(folder)), run("map", "--json", str(folder / "orders.ndjson"))

    assert said.code == 0
    assert "broken.json" in said.out
    assert "notes.txt" not in said.out
    assert json.loads(told.out)["counts"] == {"ServiceRequest": {"mapped": 1}}


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


class Holding(ThreadingHTTPServer):
    """Stands before an EHR and keeps the *nth* page of two waiting until it is told to go on."""

    def __init__(self, behind: str, nth: int) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        searches = iter(range(1, 1_000_000))
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "_count=2" in self.path and next(searches) == nth:
                    server.asked.set()
                    server.go_on.wait(60)
                found = httpx.get(behind.removesuffix("/fhir") + self.path)
                self.send_answer(found.status_code, found.content.replace(behind.encode(), server.base_url.encode()))

            def send_answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: object) -> None:
                """Print nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}/fhir"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever was interrupted does not wait for the answer."""

    def __exit__(self, *error: object) -> None:
        self.go_on.set()
        self.shutdown()
        self.server_close()


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
