"""Every scenario names tests that exist, or says why it has none; ``limit`` says where what they hold ends."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = tomllib.loads(Path(__file__).with_name("scenarios.toml").read_text())


def named_in(file: Path) -> set[str]:
    """Return the tests of a file: its functions, classes and names bound at its top."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_named_test_exists(name: str) -> None:
    for test in SCENARIOS[name].get("tests", ()):
        file, _, function = test.partition("::")
        assert function in named_in(ROOT / file), test


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_without_tests_says_why(name: str) -> None:
    assert SCENARIOS[name]["fault"]
    assert SCENARIOS[name].get("tests") or SCENARIOS[name].get("missing")
