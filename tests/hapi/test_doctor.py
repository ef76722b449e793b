"""``bridge doctor`` against a real HAPI server: what it tries proves what it says, and leaves nothing there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bridge.config import Settings
from bridge.doctor import examine

from .launcher import HapiServer

pytestmark = pytest.mark.xdist_group("shared servers")


def test_every_way_to_write_is_tried_and_nothing_is_written(
    hapi: HapiServer, fhir: httpx.Client, tmp_path: Path
) -> None:
    def messages() -> int:
        count: int = fhir.get("Communication", params={"_summary": "count"}).json()["total"]
        return count

    before = messages()
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{tmp_path / 'bridge.sqlite3'}"},
            "connections": {"main": {"base_url": hapi.base_url, "vendor": "hapi"}},
        }
    )
    found = {one.topic: one for one in examine(settings)}

    assert [topic for topic, one in found.items() if not one.ok] == []
    tries = {topic: one.found for topic, one in found.items() if topic.endswith(" try")}
    assert len(tries) == 5
    assert all("a write with nothing in it is refused for that alone (400)" in said for said in tries.values()), tries
    assert found["connection main authentication"].found == "none is asked for"
    assert fhir.get("Task/bridge-doctor").status_code == fhir.get("Communication/bridge-doctor").status_code == 404
    assert messages() == before
