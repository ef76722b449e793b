"""After a day of everything that goes wrong, nothing about a patient and no secret is in what leaves the machine."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.background import BackgroundScheduler

from bridge import logs
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.finding import Finding
from bridge.store.queries import CaseFilter
from bridge.support import bundle, redacted
from conformance.simulator import SimulatorTransport
from conformance.simulator.faults import FAULTS
from tests.canary.planted import MRN, NAMES, NOTE, PHONE, SECRET, STAFF, found_in, resources
from tests.monitoring.staged import Staged

ROOT = Path(__file__).parents[2]
WITH_ARGUMENTS = (
    "expire-cursors-after=1",
    "next-link=other-host",
    "truncate=1,note",
    "zone-shift=3",
    "clock-skew=600",
    "ignore-parameters=_lastUpdated",
    "ignore-silently=_lastUpdated",
    "forbidden=Task,403",
    "throttle=3,120",
    "slow=2",
    "broken-answer=login-page,3",
    "merged-patients=link",
)
EVERY_FAULT = sorted({*FAULTS} - {one.partition("=")[0] for one in WITH_ARGUMENTS} | {*WITH_ARGUMENTS})
AT_ONCE = 6
"""Faults that one EHR plays together."""


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Have everything written that Bridge would log at its most talkative, in both forms."""
    written, root, ours = io.StringIO(), logging.getLogger(), logging.getLogger("bridge")
    before, levels = root.handlers[:], (root.level, ours.level)
    root.handlers[:] = [logs.handler_to(written, "json"), logs.handler_to(written, "text")]
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.handlers[:] = before
        root.setLevel(levels[0])
        ours.setLevel(levels[1])


class Clinic(Staged):
    """An EHR full of planted words, a Bridge beside it, and people at work in its web view."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(20)
        for resource in resources():
            self.ehr.put(resource)
        for fault in faults:
            self.ehr.add_fault(fault)
        self.said: list[str] = []
        """Every answer of the web view that tells of an error."""

    def way(self) -> httpx.BaseTransport:
        return SimulatorTransport(self.ehr)

    def _tend(self) -> None:
        assert self.bridge.subscriber is not None
        self.bridge.subscriber.tend()

    def day(self) -> None:
        """Work, be told nonsense, and break."""
        self.pass_steps(2)
        self.people()
        self.pass_steps(1)
        self.answers = _quoting
        self.pass_steps(1)
        self.answers = _raising
        self.ehr.put({**resources()[1], "status": "on-hold"})
        self.pass_steps(1)
        self.answers = lambda _: None
        self.strangers()

    def people(self) -> None:
        """Carry out commands, and have others refused."""
        with self.store.reading() as tx:
            cases = tx.list_cases(CaseFilter(), limit=10).cases
        for case in cases:
            path = f"/api/v1/cases/{case.id}/commands"
            for command in (
                {"command": "note", "text": f"{NAMES[0]}: {NOTE}"},
                {"command": "log-outreach", "channel": "phone", "outcome": "voicemail", "note": NOTE},
                {"command": "close", "reason": NOTE},
                {"command": NOTE, "text": MRN},
                {"command": "assign", "owner": STAFF},
                {"command": "note", "text": NOTE, NAMES[1]: NOTE},
                {NAMES[0]: NOTE},
            ):
                for version in (f'"{case.version}"', '"999"', NOTE):
                    self.keep(self.web.post(path, json=command, headers={"If-Match": version}))

    def strangers(self) -> None:
        """Ask for what is not there, in words that must not come back."""
        for path in (f"/cases/{NOTE}", f"/{NAMES[0]}", f"/api/v1/cases/{MRN}", f"/hooks/main/{SECRET}/Task/{MRN}"):
            self.keep(self.web.get(path))
            self.keep(self.web.post(path, content=NOTE))
        self.keep(self.web.get("/api/v1/cases", params={"status": NAMES[0], "cursor": NOTE}))
        for body in ({"ids": [NOTE]}, {NAMES[0]: 1}, {"code": NAMES[1], "dry_run": MRN}):
            self.keep(self.web.post("/api/v1/inbox/replay", json=body))
            self.keep(self.web.post("/api/v1/outbox/replay", json=body))
        self.keep(self.web.get("/", headers={"Host": f"{NOTE}.example", "X-Request-Id": NOTE}))
        self.store.reading = _broken  # type: ignore[method-assign, assignment]
        for path in ("/", "/connections", "/api/v1/cases", "/health/ready"):
            self.keep(self.web.get(path))
        del self.store.reading  # type: ignore[method-assign]

    def keep(self, answer: httpx.Response) -> None:
        """Keep an answer, where it tells of an error."""
        if answer.status_code >= 400:
            self.said.append(f"{answer.headers} {answer.text}")


def _quoting(sent: httpx.Request) -> httpx.Response | None:
    """Refuse every write, and quote all that is known of the patient."""
    if sent.method == "GET":
        return None
    words = f"{' '.join(NAMES)} {MRN} {PHONE} {sent.content.decode()}"
    coding = [{"system": "http://clinic.example/codes", "code": MRN, "display": words}]
    issue = {
        "severity": "error",
        "code": NAMES[1],
        "diagnostics": words,
        "details": {"text": words, "coding": coding},
        "expression": [words],
    }
    headers = {"Location": f"http://elsewhere.example/{MRN}", "WWW-Authenticate": f'Bearer error="{words}"'}
    return httpx.Response(
        422, json={"resourceType": "OperationOutcome", "issue": [issue]}, headers=headers, request=sent
    )


def _raising(sent: httpx.Request) -> httpx.Response | None:
    """Break as no network does."""
    if sent.method == "GET" or "Subscription" in sent.url.path:
        return None
    raise LookupError(f"{NAMES[0]} {MRN}")


def _broken() -> Any:
    raise RuntimeError(f"{NAMES[1]} {PHONE}")


def test_every_fault_is_played() -> None:
    assert {one.partition("=")[0] for one in EVERY_FAULT} == {*FAULTS}


def test_nothing_planted_is_found_after_a_day_of_faults() -> None:
    refused = shown = 0
    with logged() as written:
        for first in range(0, len(EVERY_FAULT), AT_ONCE):
            clinic = Clinic(tuple(EVERY_FAULT[first : first + AT_ONCE]))
            clinic.day()
            metrics = clinic.web.get("/metrics").text
            packed = bundle(_settings(), _findings(), written.getvalue().splitlines(), clinic._context(), clinic.now())

            assert len(clinic.said) > 10
            refused += len(clinic.said)
            shown += bool(found_in(clinic.web.get("/").text))
            assert [one for one in clinic.said if found_in(one)] == []
            assert found_in(metrics) == []
            assert {name: found_in(content) for name, content in packed.items() if found_in(content)} == {}
    told = written.getvalue()

    assert refused > 200
    assert shown > 3, "what was planted has to be there"
    assert "LookupError at " in told
    assert "fault id: RuntimeError" in told
    assert '"case": ' in told
    assert '"source": ' in told
    assert '"request": ' in told
    assert [line for line in told.splitlines() if found_in(line)] == []


def _findings() -> list[Finding]:
    return [Finding("connection main", False, "Patient/p1 could not be read", "")]


def _settings() -> Settings:
    return Settings.model_validate(
        {
            "tenant": NOTE,
            "site": {"name": STAFF, "phone": PHONE},
            "database": {"url": f"postgresql://bridge:{SECRET}@db/bridge"},
            "owners": {STAFF: {"kind": "person", "display": STAFF, "references": ["Practitioner/house"]}},
            "connections": {
                "main": {
                    "base_url": f"https://{NOTE}.example/fhir",
                    "auth": "basic",
                    "username": STAFF,
                    "password": SECRET,
                    "patients": [f"Patient/{MRN}"],
                    "hook_secret": SECRET,
                    "hook_header": "X-Key",
                    "hook_header_secret": SECRET,
                    "subscribe_filters": {"Task": f"owner={STAFF}"},
                }
            },
        }
    )


def test_settings_are_told_without_texts_of_anybody() -> None:
    told = redacted(_settings())

    assert found_in(str(told)) == []
    assert told["connections"]["main"]["password"] == "set"
    assert told["connections"]["main"]["token"] is None
    assert told["connections"]["main"]["poll_seconds"] == 30


def test_a_job_or_a_thread_that_breaks_is_logged_without_its_words() -> None:
    with logged() as written:
        scheduler = BackgroundScheduler(timezone="UTC")
        broke = Event()
        scheduler.add_listener(lambda _: broke.set(), EVENT_JOB_ERROR)
        scheduler.add_job(_broken)
        scheduler.start()
        assert broke.wait(60)
        scheduler.shutdown(wait=True)

    assert "RuntimeError at " in written.getvalue()
    assert found_in(written.getvalue()) == []


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_process_that_breaks_says_where_and_not_what(form: str) -> None:
    code = (
        "import threading\nfrom bridge.logs import set_up\n"
        f"set_up('info', {form!r})\n"
        f"def crash():\n    raise ValueError({NOTE!r}) from KeyError({MRN!r})\n"
        "thread = threading.Thread(target=crash)\nthread.start()\nthread.join()\ncrash()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert ended.returncode == 1
    assert ended.stderr.count("ValueError at ") == 2
    assert ended.stderr.count("from KeyError") == 2
    assert len(ended.stderr.splitlines()) == 2
    assert NOTE in code
    assert found_in(ended.stderr) == []


def test_an_error_of_ours_keeps_its_words_and_a_librarys_does_not() -> None:
    with logged() as written:
        logging.getLogger("bridge").warning("it failed: %s", BridgeError("Task/1 was refused"))
        logging.getLogger("httpx").warning("it failed: %s", ValueError(NOTE))

    assert "Task/1 was refused" in written.getvalue()
    assert "it failed: ValueError" in written.getvalue()
    assert found_in(written.getvalue()) == []
