"""What has to be configured before an EHR may ring."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import ConnectionSection, load_settings
from bridge.errors import ConfigError
from bridge.web.gate import Gate
from bridge.wiring import make_gate

SECRET = "0123456789abcdef"


def gate(folder: Path, settings: str, files: dict[str, str]) -> Gate | None:
    for name, content in files.items():
        (folder / name).write_text(content)
    file = folder / "bridge.toml"
    file.write_text(f'[connections.main]\nbase_url = "http://127.0.0.1:8080/fhir"\n{settings}\n')
    return make_gate("main", load_settings(file).connections["main"])


def test_without_a_secret_nobody_may_ring(tmp_path: Path) -> None:
    assert gate(tmp_path, "", {}) is None


def test_secrets_come_from_files_beside_the_configuration(tmp_path: Path) -> None:
    settings = """
hook_secret_file = "path"
hook_header = "X-Bridge-Key"
hook_header_secret_file = "header"
hook_signing_key_file = "key"
"""
    files = {"path": SECRET + "-path\n", "header": SECRET + "-header", "key": SECRET + "-key"}

    found = gate(tmp_path, settings, files)

    assert found == Gate(f"{SECRET}-path", ("X-Bridge-Key", f"{SECRET}-header"), f"{SECRET}-key".encode())


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__HOOK_SECRET", SECRET)

    assert gate(tmp_path, "", {}) == Gate(path=SECRET)


@pytest.mark.parametrize(
    ("settings", "files", "named"),
    [
        (f'hook_secret = "{SECRET}"', {}, "hook_secret_file"),
        ('hook_secret_file = "path"', {"path": "short"}, "at least 16 characters"),
        ('hook_secret_file = "path"', {"path": ""}, "empty"),
        ('hook_secret_file = "none"', {}, "cannot be read"),
        ('hook_secret_file = "path"', {"path": SECRET + "/x y"}, "letters, digits"),
        ('hook_header = "X-Key"', {}, "go together"),
        ('hook_header_secret_file = "h"', {"h": SECRET}, "go together"),
        ('hook_header = "X Key"\nhook_header_secret_file = "h"', {"h": SECRET}, "hook_header"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, settings: str, files: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        gate(tmp_path, settings, files)

    assert named in str(refused.value)
    assert "connections.main" in str(refused.value)
    assert SECRET not in str(refused.value)


# Subscriptions --------------------------------------------------------------------------------------------


def settings(folder: Path, text: str) -> ConnectionSection:
    (folder / "path").write_text(SECRET)
    file = folder / "bridge.toml"
    file.write_text(f'[connections.main]\nbase_url = "http://127.0.0.1:8080/fhir"\n{text}\n')
    return load_settings(file).connections["main"]


@pytest.mark.parametrize("given", ['hook_secret_file = "path"', 'subscribe_url = "https://bridge.example"'])
def test_subscribing_needs_a_secret_and_an_address(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match=r"subscribe = 'auto' needs (subscribe_url|hook_secret_file)"):
        settings(tmp_path, f'subscribe = "auto"\n{given}')


def test_the_type_of_a_topic_may_come_from_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__SUBSCRIBE_TOPICS__SERVICEREQUEST", "http://example.org/topic")
    text = 'subscribe_topics = { Task = "http://example.org/task" }'

    found = settings(tmp_path, text).subscribe_topics

    assert found == {"Task": "http://example.org/task", "ServiceRequest": "http://example.org/topic"}
