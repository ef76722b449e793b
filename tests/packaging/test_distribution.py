"""Wheel and source distribution: the same bytes from the same sources, with all that is needed and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bridge import __version__
from tests.archives import unpack

ROOT = Path(__file__).parents[2]
NAME = f"bridge_ehr-{__version__}"
OWN = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
PYTHONS = [sys.executable, *os.environ.get("BRIDGE_INSTALL_PYTHONS", "").split()]
"""The Pythons in which the wheel is tried alone: the one at work, and others that this machine has."""
KINDS = {".py", ".typed", ".toml", ".mako", ".html", ".css", ".js", ".svg", ".txt", ".md"}


def tracked() -> list[str]:
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in found.stdout.split("\0") if name and (ROOT / name).is_file()]


def copied(folder: Path, *, umask: int) -> Path:
    """Copy the sources as another person would have them: other times, other rights."""
    before = os.umask(umask)
    try:
        for name in tracked():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
            os.chmod(folder / name, 0o666 & ~umask)
    finally:
        os.umask(before)
    return folder


def built(sources: Path, *, only: str | None = None) -> Path:
    """Build both, or the wheel only, as `make dist` does; returns where they are."""
    target = [] if only is None else ["-t", only]
    told = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, "-m", "hatchling", "build", "-d", "dist", *target]
    subprocess.run(command, cwd=sources, env=told, check=True, capture_output=True, timeout=120)
    return sources / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built from these sources."""
    return built(copied(tmp_path_factory.mktemp("sources"), umask=0o022))


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"{NAME}-py3-none-any.whl"


def test_they_are_the_same_bytes_whoever_builds_them(dist: Path, tmp_path: Path) -> None:
    again = built(copied(tmp_path / "elsewhere", umask=0o077))

    assert {file.name: file.read_bytes() for file in again.iterdir()} == {
        file.name: file.read_bytes() for file in dist.iterdir()
    }


def test_the_source_distribution_makes_the_same_wheel(dist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / f"{NAME}.tar.gz") as packed:
        unpack(packed, tmp_path)

    assert (built(tmp_path / NAME, only="wheel") / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_wheel_has_all_of_the_two_packages_and_nothing_else(wheel: Path) -> None:
    """Templates, assets with their licences, migrations and the lanes file are among what is tracked there."""
    packages = {name for name in tracked() if name.startswith(("bridge/", "conformance/"))}

    found = set(zipfile.ZipFile(wheel).namelist())

    assert found == packages | {f"{NAME}.dist-info/{name}" for name in OWN}
    assert {Path(name).suffix for name in packages} <= KINDS
    assert {"bridge/cases/lanes.toml", "bridge/web/templates/base.html", "bridge/store/migrations/env.py"} <= found


def test_the_source_distribution_has_all_that_is_tracked_and_nothing_else(dist: Path) -> None:
    with tarfile.open(dist / f"{NAME}.tar.gz") as packed:
        found = {name.removeprefix(f"{NAME}/") for name in packed.getnames()}

    assert found == {*tracked(), "PKG-INFO"}


def test_the_wheel_names_what_it_needs_and_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        said = packed.read(f"{NAME}.dist-info/METADATA").decode()
        commands = packed.read(f"{NAME}.dist-info/entry_points.txt").decode()

    assert "License-Expression: Apache-2.0" in said
    assert re.search(r"^Requires-Python: <3\.14,>=3\.11$", said, re.M)
    assert "Requires-Dist: psycopg[binary,pool]>=3.2; extra == 'postgres'" in said
    assert "bridge = bridge.__main__:main" in commands


# Installed alone --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=PYTHONS)
def installed(wheel: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and its pinned dependencies in an environment of its own; gives the folder of its commands."""
    if os.environ.get("BRIDGE_REQUIRE_INSTALL") != "1":
        pytest.skip("needs a package index (make test-install)")
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([request.param, "-m", "venv", place], check=True, timeout=120)
    pip = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements/postgres.txt"], check=True, timeout=500)
    subprocess.run([*pip, "--no-deps", wheel], check=True, timeout=60)
    return place / "bin"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "PYTHON"))}


@contextmanager
def demo(commands: Path, folder: Path) -> Iterator[str]:
    """Run the demo; gives its address, and ends it as Ctrl-C does."""
    command = [commands / "bridge", "demo", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = (re.search(r"worklist is at (\S+)", line) for line in process.stdout)
        try:
            yield next(found[1] for found in told if found)
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(60) == 0


@pytest.mark.install
def test_the_wheel_alone_shows_the_demo(installed: Path, tmp_path: Path) -> None:
    with demo(installed, tmp_path) as address:
        page = httpx.get(address, follow_redirects=True, timeout=60)
        cases = httpx.get(f"{address.rstrip('/')}/api/v1/cases", timeout=60).json()

    assert (page.status_code, "</html>" in page.text) == (200, True)
    assert cases["total"] > 0


@pytest.mark.install
def test_the_wheel_alone_makes_a_database_and_checks_a_configuration(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text('[connections.main]\nbase_url = "http://127.0.0.1:1/fhir"\n')

    said = {
        command: subprocess.run(
            [installed / "bridge", *command.split()],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        for command in ("--version", "config check", "migrate", "migrate --check")
    }

    assert {command: one.returncode for command, one in said.items()} == dict.fromkeys(said, 0)
    assert said["--version"].stdout == f"bridge {__version__}\n"
    assert said["migrate --check"].stdout == "up to date\n"
