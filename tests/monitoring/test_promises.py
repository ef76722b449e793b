"""What the alerts, the dashboard and the runbook name is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.web.families import FAMILIES
from tests.monitoring.staged import Staged
from tests.monitoring.test_alerts import alerts

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
PARTS = ("**Means:**", "**Look at:**", "**Do:**", "**Do not:**")
_NAME = re.compile(r"\b(?:bridge|process)_[a-z_]+\b")


@pytest.fixture(scope="module")
def scraped() -> dict[str, set[str]]:
    """The names that a real scrape has, each with its labels."""
    world = Staged()
    world.pass_steps(10)
    found: dict[str, set[str]] = {}
    for name, labels in world.tape.series:
        found.setdefault(name, set()).update(label for label, _ in labels)
    declared = world.web.get("/metrics").text
    assert all(f"# HELP {name} " in declared for name in found if name != "up")
    return {**_declared(declared), **found}


def _declared(text: str) -> dict[str, set[str]]:
    """Families of which there is no sample in a quiet world: nothing is parked in it."""
    return {name: set() for name in re.findall(r"^# HELP (\w+) ", text, re.MULTILINE)}


def _sections() -> dict[str, str]:
    parts = re.split(r"^### (.+)$", RUNBOOK, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _queries() -> list[str]:
    board = json.loads((ROOT / "deploy" / "grafana" / "bridge.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [*queries, *(str(one["query"]) for one in board["templating"]["list"] if one["type"] == "query")]


@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alert_has_its_section_with_what_to_do_and_what_not(name: str) -> None:
    rule: dict[str, Any] = alerts()[name]
    section = _sections()[name]

    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert [section.count(part) for part in PARTS] == [1, 1, 1, 1]


def test_every_query_of_the_dashboard_and_every_rule_names_metrics_that_exist(scraped: dict[str, set[str]]) -> None:
    queries = [*_queries(), *(rule["expr"] for rule in alerts().values())]
    assert len(queries) > 50

    for query in queries:
        names = set(_NAME.findall(query))
        assert names <= scraped.keys() | {"up"}, query
        assert names or "up" in query


def test_every_metric_of_ours_is_on_the_dashboard(scraped: dict[str, set[str]]) -> None:
    shown = {name for query in _queries() for name in _NAME.findall(query)}
    ours = {name for name in scraped if name.startswith("bridge_") and not name.endswith("_created")}

    assert ours - shown == set()


def test_the_api_page_lists_every_metric_with_its_labels_and_meaning() -> None:
    page = (ROOT / "docs" / "api.md").read_text()

    for name, family in FAMILIES.items():
        shown = f"{name}_total" if family.counts else name
        assert f"| `{shown}` | {', '.join(family.labels)} | {family.means} |" in page
