"""Each command over a simulated EHR: what it says, and what it leaves behind."""

from __future__ import annotations

import json
import socket
import sqlite3
import zipfile
from pathlib import Path

import httpx
import pytest

from conformance.demo import LiveEhr, start_live_ehr
from tests.unit.cli.running import NOBODY, Configure, Run, process

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
