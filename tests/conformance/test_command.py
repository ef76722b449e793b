"""``bridge simulator``: EHRs and faults by name, from the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from bridge.cli import main
from conformance.command import what_it_plays
from conformance.simulator import FAULTS, VENDORS
from conformance.simulator_page import PAGE, page

ROOT = Path(__file__).parents[2]


def bridge(*arguments: str) -> subprocess.Popen[str]:
    command = "import sys; from bridge.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "simulator", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_plays_a_vendor_and_its_faults() -> None:
    process = bridge("--port", "0", "--patients", "2", "--vendor", "oracle", "--fault", "late-commit=120")
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        told = process.stdout.readline() + process.stdout.readline()
        assert httpx.get(f"{address}/metadata").json()["software"]["name"] == "Oracle Health Millennium"
        assert httpx.get(f"{address}/Task").status_code == 404
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 0
    assert "Oracle Health" in told
    assert "late-commit" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "late-comit=120"), "did you mean 'late-commit'"),
        (("--vendor", "epik"), "did you mean 'epic'"),
        (("--fault", "throttle=often"), "throttle=EVERY"),
        (("--fhir-version", "R3"), "R4, R4B"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(
    arguments: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bridge", "simulator", "--port", "0", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_list_names_all_with_their_sources() -> None:
    listing = what_it_plays()

    for name in (*VENDORS, *FAULTS):
        assert f"\n  {name}" in listing
    assert listing.count("Source: ") == len(VENDORS) + len(FAULTS)
    assert not any(len(line) > 250 for line in listing.splitlines())


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m conformance.simulator_page writes it"


def test_every_fault_has_a_line_and_a_source() -> None:
    for kind in FAULTS.values():
        assert kind.says
        assert kind.source
