"""The command line as whoever runs it sees it: what it prints where, and with which exit code it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.running import NOBODY, ROOT, Configure, Run, Said

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
