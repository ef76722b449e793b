"""The systemd unit is one that systemd accepts, and gives Bridge nothing that it does not need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bridge.serve import ANSWER_WITHIN, END_WITHIN

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "bridge.service"
WORST_EXPOSURE = 15
"""Of 100, as systemd reckons it; a service that restricts nothing has 96."""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        if os.environ.get("BRIDGE_REQUIRE_SYSTEMD") == "1":
            pytest.fail("systemd-analyze is not installed")
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, check=False)


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.M):
        found.setdefault(name, []).append(value)
    return found


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    here = tmp_path / "bridge.service"
    here.write_text(UNIT.read_text().replace("/opt/bridge/bin/bridge", shutil.which("true") or "/bin/true"))

    said = analyze("verify", "--man=no", here)

    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_systemd_finds_little_that_is_exposed() -> None:
    said = analyze("security", "--offline=true", f"--threshold={WORST_EXPOSURE}", "--no-pager", UNIT)

    assert said.returncode == 0, said.stdout[-200:] + said.stderr


def test_it_waits_for_bridge_to_end_and_does_not_start_what_is_configured_wrongly_again_and_again() -> None:
    own = settings()

    assert int(own["TimeoutStopSec"][0]) > 10 > ANSWER_WITHIN + END_WITHIN.total_seconds()
    assert own["RestartPreventExitStatus"] == ["2"]
    assert own["ExecStartPre"] == ["/opt/bridge/bin/bridge migrate"]
