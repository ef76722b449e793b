"""
What the pages cost with a million cases stored: each worklist with its counts, a filter, a search, the weekly review.

The cases are drawn and put into the tables as they are, since the straight line would take hours for so many.
``python -m benchmarks.views [--cases N] [--open SHARE] [--database URL]``; without a URL, an SQLite file.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from fastapi.testclient import TestClient
from sqlalchemy import Connection, insert, select

from benchmarks.core import the_rules
from bridge.cases.model import Blocker, Case, CasePatient, Closure, Escalation, NextAction, Owner
from bridge.cases.snapshot import Priority
from bridge.cases.terms import Action, BlockerCategory, ClosureReason, OwnerKind, Status
from bridge.store.codec import pack
from bridge.store.engine import schema_engine
from bridge.store.migrations import migrate
from bridge.store.opening import open_store
from bridge.store.sql.cases import VARYING, varying
from bridge.store.tables import care_case, case_hold, case_state, connection, resource
from bridge.sync.line import Line
from bridge.web.app import create_app
from bridge.web.context import WebContext
from bridge.web.pages.worklist import VIEWS

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
AT_ONCE = 5000
RUNS = 3
QUEUES = [Owner(OwnerKind.ROLE, f"queue-{number}", f"Queue {number}") for number in range(6)]
PEOPLE = [Owner(OwnerKind.PERSON, f"person-{number}", f"Person {number}") for number in range(60)]
LANES = ("referral", "appointment-readiness", "missed-appointment", "post-visit", "medication-refill", "care-gap")
ASKED = Escalation(level=1, to=QUEUES[0], why="late", since=NOW, by="rule:overdue")


def cases(count: int, share: float) -> Iterator[Case]:
    """Yield so many cases of which a *share* is open: 5 % of these blocked, 1 % escalated, half in a queue."""
    draw = random.Random(7)
    for number in range(count):
        is_open = draw.random() < share
        asked_at = NOW - timedelta(minutes=draw.randrange(500_000))
        closed_at = None if is_open else min(NOW, asked_at + timedelta(minutes=draw.randrange(200_000)))
        is_blocked, action = is_open and draw.random() < 0.05, draw.choice(list(Action))
        yield Case(
            id=f"c{number}",
            connection="main",
            tenant="default",
            root=f"ServiceRequest/{number}",
            lane=draw.choice(LANES),
            status=draw.choice(list(Status)[:6]) if is_open else Status.CLOSED,
            priority=Priority.ROUTINE,
            patient=CasePatient(ref=f"Patient/{number // 2}", display=f"Synthetic Patient {number // 2}"),
            title="Cardiology referral",
            requester=None,
            sources=(),
            owner=draw.choice(QUEUES if draw.random() < 0.5 else PEOPLE),
            backup=None,
            next_action=NextAction(action, "as the lane says") if is_open else None,
            due_at=NOW + timedelta(minutes=draw.randrange(-4_000, 20_000)) if is_open else None,
            blocker=Blocker(draw.choice(list(BlockerCategory)), "waits", NOW, "rule:x") if is_blocked else None,
            escalations=(ASKED,) if is_open and draw.random() < 0.01 else (),
            closure=None if closed_at is None else _ended(draw, closed_at),
            opened_at=asked_at,
            updated_at=NOW,
            closed_at=closed_at,
        )


def _ended(draw: random.Random, at: datetime) -> Closure:
    return Closure(reason=draw.choice(list(ClosureReason)), outcome="as noted", by="person-1", at=at)


def fill(url: str, count: int, share: float) -> None:
    """Put cases into an empty database."""
    migrate(url)
    with schema_engine(url).begin() as conn:
        conn.execute(insert(connection).values(name="main"))
        here = conn.execute(select(connection.c.id)).scalar_one()
        batch: list[tuple[int, Case]] = []
        for one in enumerate(cases(count, share), 1):
            batch.append(one)
            if len(batch) == AT_ONCE or one[0] == count:
                _put(conn, here, batch)
                batch = []


def _put(conn: Connection, here: int, batch: list[tuple[int, Case]]) -> None:
    conn.execute(insert(resource), [{"id": pk, "connection_id": here, "ref": case.root} for pk, case in batch])
    same = {"connection_id": here, "tenant": "default"}
    rows = [
        {"pk": pk, "id": case.id, **same, **dict(zip(VARYING, varying(case, {}), strict=True))} for pk, case in batch
    ]
    conn.execute(insert(care_case), rows)
    conn.execute(insert(case_state), [{"case_pk": pk, "body": pack(case)} for pk, case in batch])
    held = [(pk, case.blocker.category) for pk, case in batch if case.blocker is not None]
    if held:
        conn.execute(insert(case_hold), [{"case_pk": pk, "category": kind, "times": pk % 3 + 1} for pk, kind in held])


def measure(url: str) -> None:
    """Ask for each page a few times and print the best."""
    store = open_store(url)
    rules = the_rules()
    context = WebContext(
        store=store,
        lines={"main": Line(name="main", base_url="https://ehr.example/fhir", fhir_version="R4", rules=rules)},
        connections=list,
        replay_inbox=len,
        replay_outbox=len,
        clock=lambda: NOW,
        new_id=lambda: "id",
        version="0",
        zone=ZoneInfo("America/New_York"),
        allowed_hosts=frozenset({"testserver"}),
    )
    client = TestClient(create_app(context))
    pages = [(view, f"/?view={view}") for view in VIEWS]
    pages += [
        ("open, one lane", "/?lane=referral"),
        ("open, an unused lane", "/?lane=discharge"),
        ("review", "/review"),
    ]
    for name, address in pages:
        print(f"{name:22} {_best(client, address):7.0f} ms")
    store.close()


def _best(client: TestClient, address: str) -> float:
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        assert client.get(address).status_code == 200
        took.append(time.perf_counter() - began)
    return min(took) * 1000


def main() -> None:
    """Fill a database and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=1_000_000)
    options.add_argument("--open", type=float, default=0.4)
    options.add_argument("--database")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bridge-views-") as folder:
        url = given.database or f"sqlite:///{Path(folder) / 'views.sqlite3'}"
        fill(url, given.cases, given.open)
        measure(url)


if __name__ == "__main__":
    main()
