"""The simulated EHR as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


def run(arguments: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "conformance.simulator", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_process_prints_its_address_serves_and_stops_on_a_signal() -> None:
    process = run(["--port", "0", "--stories", "3", "--seed", "2"])
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        assert httpx.get(f"{address}/Patient", params={"_summary": "count"}).json()["total"] == 3
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert process.returncode == 0


def test_process_names_a_wrong_fault() -> None:
    process = run(["--port", "0", "--fault", "gremlins"])

    _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "unknown fault 'gremlins'" in said
