"""A command run in this process, a configuration for it, and a simulated EHR."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bridge import cli
from conformance.demo import LiveEhr, start_live_ehr
from tests.unit.cli.running import UNKNOWN_MODIFIER, Configure, Run, Said


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
