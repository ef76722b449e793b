"""
Every alert fires in a staged fault and clears when its section in docs/operations.md was followed.

The series are real scrapes of a real Bridge beside the simulated EHR; ``promtool test rules`` evaluates the rules file
over them, with Prometheus' own engine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.faults import SCENARIOS
from tests.monitoring.staged import Staged, Tape, logging_counted, seconds_from_start

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "bridge.rules.yml"


def promtool() -> str:
    """Return Prometheus' own tool for rules; skips where there is none, unless it is required."""
    found = shutil.which("promtool")
    if found is None:
        assert not os.environ.get("BRIDGE_REQUIRE_PROMTOOL"), "promtool is required: install Debian's prometheus"
        pytest.skip("no promtool: install Debian's prometheus")
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts of the rules file by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def run_promtool(*arguments: str) -> str:
    """Run promtool, which has to succeed, and return what it says."""
    ran = subprocess.run([promtool(), *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_rules_are_valid() -> None:
    assert f"{len(alerts())} rules found" in run_promtool("check", "rules", str(RULES))
    assert "SUCCESS" in run_promtool("check", "config", str(RULES.with_name("prometheus.yml")))


def test_there_is_a_staged_fault_for_every_alert() -> None:
    assert alerts().keys() == {one.alert for one in SCENARIOS}


def test_every_alert_fires_in_its_fault_and_clears_afterwards(tmp_path: Path) -> None:
    promtool()
    tests = []
    with logging_counted():
        for scenario in SCENARIOS:
            world = Staged(scenario.minutes, scenario.faults)
            fired = scenario.play(world)
            steps = {min(2, fired - 1): 0, fired - 1: 1, world.tape.steps - 1: 0}
            tests.append(as_test(scenario.alert, world.tape, steps))
    file = tmp_path / "staged.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))

    run_promtool("test", "rules", str(file))


COMING_AND_GOING = {
    "BridgeReadFailing": {
        'bridge_read_failing{connection="main",type="Task"}': "0x2 1x40",
        'bridge_ehr_away{connection="main"}': "0x2 1x2 0 1x1 0x2 1x3 0 1 0x2 1x2 0 1x2 0x3 1x2 0x20",
    },
    "BridgeDatabaseNotSaving": {
        "bridge_database_saves": "1x2 0x1 1 0x2 1 0 0 0 1 0x30",
        "bridge_database_up": "1x42",
    },
    "BridgeNotificationsSilent": {
        'bridge_subscriptions{connection="main",state="not-arriving"}': "0 1 1 0 1 1 1 1 0 1x6 0 1x20",
    },
}
"""
As it was seen: one type that is always answered with 500, the others not; a disk that was filled to its end; and a
Subscription of which nothing arrives, which Bridge asks for again after two minutes, four, eight.
"""


@pytest.mark.parametrize("alert", COMING_AND_GOING)
def test_what_comes_and_goes_does_not_keep_an_alert_from_firing(alert: str, tmp_path: Path) -> None:
    series = [
        {"series": name if "{" in name else f'{name}{{instance="a"}}', "values": values}
        for name, values in COMING_AND_GOING[alert].items()
    ]
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    expected = {"expr": firing, "eval_time": "14m", "exp_samples": [{"labels": "{}", "value": 1}]}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [expected]}
    file = tmp_path / "flapping.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))

    run_promtool("test", "rules", str(file))


def as_test(alert: str, tape: Tape, expected: Mapping[int, int]) -> dict[str, Any]:
    """Return the tape as promtool reads it, with whether *alert* fires at some steps."""
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0 or vector(0)'
    return {
        "name": alert,
        "interval": "1m",
        "input_series": [
            {"series": _name(name, labels), "values": " ".join(_shown(name, value, tape.minutes) for value in values)}
            for (name, labels), values in sorted(tape.series.items())
        ],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": f"{(step + 1) * tape.minutes - 1}m",
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for step, value in expected.items()
        ],
    }


def _name(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    given = {"job": "bridge", "instance": "bridge:8000", **dict(labels)}
    told = ",".join(f'{label}="{value}"' for label, value in given.items())
    return f"{name}{{{told}}}"


def _shown(name: str, value: float | None, minutes: int) -> str:
    """Return a value as it stands until the next scrape: Prometheus looks back no further than five minutes."""
    if value is None:
        return " ".join(["_"] * minutes)
    told = seconds_from_start(value) if name.endswith("_timestamp_seconds") else value
    return f"{told!r}+0x{minutes - 1}"
