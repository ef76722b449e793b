"""The loops of ``bridge serve``: what a process does when it begins."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from bridge.bootstrap import open_bridge
from bridge.config import load_settings
from bridge.store.port import CaseFilter, Store
from conformance.simulator.server import Handle, start

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
