"""A configuration file, loaded in a folder of its own with nothing in the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.config import Settings, load_settings
from bridge.errors import ConfigError
from tests.unit.config.given import Load, Problems


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write_and_load(text: str) -> Settings:
        (tmp_path / "bridge.toml").write_text(text, encoding="utf-8")
        return load_settings(tmp_path / "bridge.toml")

    return write_and_load


@pytest.fixture
def problems(load: Load) -> Problems:
    def listed(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text)
        return [line.partition("bridge.toml: ")[2] or line for line in str(caught.value).splitlines()]

    return listed
