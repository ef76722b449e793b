"""The loops of ``bridge serve``: what a process does when it begins."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import httpx

from bridge.bootstrap import open_bridge
from bridge.cases.model import Escalation
from bridge.cases.terms import Trigger
from bridge.config import load_settings
from bridge.store.port import Store
from bridge.store.queries import CaseFilter
from bridge.sync.ingest import Intake, ingest
from conformance.simulator.server import Handle, start
from tests.stateful.world import version_of

SECONDS = 30.0
A_DAY = 86_400


def test_a_process_reads_at_once_however_far_off_the_next_poll_is(tmp_path: Path) -> None:
    """Nobody listened while it was away, and no EHR rings for ever."""
    config = tmp_path / "bridge.toml"
    with start() as ehr:
        config.write_text(f'[connections.main]\nbase_url = "{ehr.base_url}"\npoll_seconds = {A_DAY}\nlag_seconds = 0\n')

        order(ehr, "before")
        served_until_known(config, "before")
        order(ehr, "while-away")
        served_until_known(config, "while-away")


def order(ehr: Handle, own_id: str) -> None:
    """Let the clinic order something."""
    resource = {
        "resourceType": "ServiceRequest",
        "id": own_id,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
    }
    httpx.put(f"{ehr.base_url}/ServiceRequest/{own_id}", json=resource).raise_for_status()


def served_until_known(config: Path, own_id: str) -> None:
    """Run the loops of a process of its own until there is a case of the order."""
    with open_bridge(load_settings(config)) as bridge:
        service = bridge.service()
        service.start()
        try:
            deadline = time.monotonic() + SECONDS
            while f"ServiceRequest/{own_id}" not in roots(bridge.store):
                assert time.monotonic() < deadline, f"{own_id} was not read in time"
                time.sleep(0.02)
        finally:
            bridge.stopping.set()
            service.stop()


def roots(store: Store) -> set[str]:
    with store.reading() as tx:
        return {case.root for case in tx.list_cases(CaseFilter(), limit=100).cases}


def test_somebody_is_asked_to_step_in_though_the_ehr_does_not_answer(tmp_path: Path) -> None:
    """The order came in days ago; since then the EHR is down, and nobody took it."""
    config = tmp_path / "bridge.toml"
    config.write_text('[connections.main]\nbase_url = "http://127.0.0.1:9/fhir"\n')
    resource = {"resourceType": "ServiceRequest", "id": "1", "status": "active", "intent": "order"}
    with open_bridge(load_settings(config)) as bridge:
        long_ago = bridge.clock() - timedelta(days=20)
        ingest(Intake("Any", [version_of(resource, 1)], "poll"), bridge.store, bridge.lines["main"], long_ago)

        service = bridge.service()
        service.start()
        try:
            deadline = time.monotonic() + SECONDS
            while not asked(bridge.store):
                assert time.monotonic() < deadline, "nobody was asked in time"
                time.sleep(0.02)
        finally:
            bridge.stopping.set()
            service.stop()

        assert {one.trigger for one in asked(bridge.store)} >= {Trigger.UNOWNED, Trigger.OVERDUE}


def asked(store: Store) -> tuple[Escalation, ...]:
    with store.reading() as tx:
        return tx.list_cases(CaseFilter(), limit=1).cases[0].escalations
