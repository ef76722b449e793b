"""What stands in two places says the same in both, and what the documents name is there."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

import bridge
from bridge import settings_page
from bridge.cli import app
from bridge.config import load_settings
from tests.unit.web.builders import Clinic

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")),
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def listed(name: str) -> set[str]:
    lines = (line.strip() for line in text(f"requirements/{name}.in").splitlines())
    return {line for line in lines if line and not line.startswith(("#", "-r"))}


def committed() -> Iterator[tuple[str, str]]:
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip("not a git checkout")
    for name in filter(None, found.stdout.split("\0")):
        file = ROOT / name
        if file.is_file() and file.suffix not in (".png", ".jar"):
            yield name, file.read_text(encoding="utf-8", errors="replace")


# Dependencies and versions --------------------------------------------------------------------------------


def test_requirements_name_what_the_project_names() -> None:
    said = project()

    assert listed("run") == {*said["project"]["dependencies"], *said["build-system"]["requires"], "editables>=0.5"}
    assert listed("postgres") == set(said["project"]["optional-dependencies"]["postgres"])
    assert listed("dev") - listed("run") == set(said["dependency-groups"]["dev"]) - listed("run")


@pytest.mark.parametrize("name", ["run", "postgres", "dev"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    entries = re.split(r"\n(?=\S)", text(f"requirements/{name}.txt").strip())

    assert entries
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", ["run", "postgres", "dev"])
def test_what_is_wanted_is_what_is_pinned(name: str) -> None:
    pinned = {_plain(line) for line in re.findall(r"^([A-Za-z0-9._-]+)==", text(f"requirements/{name}.txt"), re.M)}

    assert {_plain(re.split(r"[\[<>=]", wanted)[0]) for wanted in listed(name)} <= pinned


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_explained() -> None:
    explained = text("CONTRIBUTING.md")
    names = [re.split(r"[\[<>=]", entry)[0] for entry in project()["project"]["dependencies"]]

    assert [name for name in names if name not in explained] == []


def test_the_newest_changes_are_of_this_version() -> None:
    newest = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.M)[0]
    assert newest == "Unreleased" or bridge.__version__ in newest
    assert project()["tool"]["hatch"]["version"]["path"] == "bridge/__init__.py"


def test_the_licence_is_there_and_named() -> None:
    assert "Apache License" in text("LICENSE")
    assert "Version 2.0, January 2004" in text("LICENSE")
    assert project()["project"]["license"] == "Apache-2.0"
    for vendored in (ROOT / "bridge/web/static").glob("*.min.*"):
        name = vendored.name.partition("-")[0]
        assert (vendored.parent / f"{name}-LICENSE.txt").is_file()
        assert f"`{vendored.name}`" in text("bridge/web/static/VENDORED.md")


# What must not be committed -------------------------------------------------------------------------------

FOREIGN = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|repo1?\.maven\.(apache\.)?org|--(extra-)?index-url"
    r"|/work/[a-z]|/roo[t]/|/Users/[a-z]|/home/[a-z]+/[a-z]"
)
"""Hosts of package registries, and places on one person's computer."""

KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}")


def test_no_committed_file_names_a_registry_or_a_place_on_one_computer() -> None:
    found = [f"{name}: {match[0]}" for name, content in committed() if (match := FOREIGN.search(content))]

    assert found == []


def test_no_committed_file_holds_a_key() -> None:
    assert [name for name, content in committed() if KEY.search(content)] == []


def test_a_configuration_of_ones_own_is_never_committed() -> None:
    names = {name for name, _ in committed()}

    assert not {name for name in names if re.search(r"(^|/)(bridge\.toml|\.env|secrets/.*|.*\.sqlite3.*)$", name)}


# Documents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_that_a_document_links_exists(name: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", text(name))
    own = [link for link in links if "://" not in link and not link.startswith("mailto:")]

    assert [link for link in own if not (ROOT / name).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_that_a_document_names_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.M))
    named = set(re.findall(r"(?:`|^)make\s+([a-z-]+)(?=[`\s])", text(name), re.M))

    assert named <= targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_command_that_a_document_names_exists(name: str) -> None:
    known = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    named = set(re.findall(r"(?:`|^)bridge ([a-z-]+)", text(name), re.M))

    assert named <= known


def test_the_readme_names_every_command() -> None:
    table = text("README.md").partition("## Commands")[2]
    known = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}

    assert [name for name in known if f"`bridge {name}" not in table] == []


def test_the_configurations_in_the_readme_are_right(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", text("README.md"), re.S)

    assert blocks
    for block in blocks:
        (tmp_path / "own.toml").write_text(block)
        assert load_settings(tmp_path / "own.toml").connections


def test_the_api_page_names_every_path() -> None:
    described = Clinic().client().get("/api/v1/openapi.json").json()["paths"]
    page = text("docs/api.md")

    assert [path for path in described if _without_names(path) not in _without_names(page)] == []


def _without_names(found: str) -> str:
    return re.sub(r"\{\w+\}|\$[A-Z]+\b|(?<=/)\d+\b", "{}", found)


def test_every_setting_is_explained_and_the_page_is_what_the_settings_say() -> None:
    assert set(settings_page.MEANINGS) == set(settings_page.names())
    assert text("docs/configuration.md") == settings_page.page(), (
        "run: python -m bridge.settings_page > docs/configuration.md"
    )


# Containers and hooks -------------------------------------------------------------------------------------


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))["services"]
    return found


def test_every_published_port_is_on_loopback() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []


def test_every_service_is_pinned_checked_and_hardened() -> None:
    for name, service in services().items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "build" in service or re.search(r":v?\d", service["image"]), name
        assert "healthcheck" in service or service["restart"] == "no", name
        assert not service.get("privileged"), name


def test_passwords_come_from_files() -> None:
    compose = yaml.safe_load(text("docker-compose.yml"))

    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    for service in services().values():
        for variable in service.get("environment", {}):
            assert not re.search("password|token|secret", variable, re.I) or variable.upper().endswith("_FILE")


def test_what_compose_tells_bridge_is_a_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("synthetic")
    for name, value in services()["bridge"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
    monkeypatch.setenv("BRIDGE_DATABASE__PASSWORD_FILE", str(tmp_path / "password"))

    settings = load_settings()

    assert list(settings.connections) == ["hapi"]
    assert settings.database.url.get_secret_value().startswith("postgresql://bridge:synthetic@")


def test_the_image_runs_as_nobody_in_particular() -> None:
    last = text("Dockerfile").rpartition("\nFROM ")[2]

    assert re.search(r"^USER (?!root|0\b)\S+", last, re.M)
    assert re.search(r'^ENTRYPOINT \["bridge"\]', last, re.M)
    assert "HEALTHCHECK" in last


def test_hooks_are_local() -> None:
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))

    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}


def test_ci_runs_what_the_readme_says() -> None:
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
    assert "BRIDGE_REQUIRE_HAPI=1" in script.read_text()


def test_no_example_of_a_property_is_timed() -> None:
    """A machine that is busy with something else makes no property false."""
    assert hypothesis.settings().deadline is None
