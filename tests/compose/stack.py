"""
The stack of docker-compose.yml under podman-compose, as whoever runs it sees it from outside.

The files are copied, unchanged, to a folder where a password can be put beside them; ports are free ones.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.hapi.launcher import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("requirements", "bridge", "conformance")
TOOLS = ("podman", "runc", "buildah")
IMAGES = ("python:3.11-slim", "postgres:16-bookworm", "hapiproject/hapi:v8.0.0-1-tomcat")
REVISION, CREATED = "0123456789abcdef", "2026-11-22T00:00:00Z"
LEASE_SECONDS = 15
PATIENCE_SECONDS = 300.0
GLANCE_SECONDS = 0.5
_BUNDLE, _PIP = Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf")


class Missing(Exception):
    """This machine cannot run containers; the message says what is missing."""


def until(holds: Callable[[], bool], what: str, shown: Callable[[], object] = str) -> None:
    """
    Return as soon as *holds* does; an address that does not answer counts as no.

    Raises:
        AssertionError: It does not, for long; *shown* tells how it stands.
    """
    deadline, never = time.monotonic() + PATIENCE_SECONDS, threading.Event()
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"this did not come about: {what} {shown()}"
        never.wait(GLANCE_SECONDS)


@dataclass(frozen=True)
class Stack:
    """The containers of one project, and the two addresses that it publishes."""

    folder: Path
    project: str
    bridge: httpx.Client
    ehr: httpx.Client
    environment: dict[str, str]

    # podman ---------------------------------------------------------------------------------------------------

    def compose(self, *arguments: str) -> None:
        """Run ``podman-compose ARGUMENTS``."""
        command = [_podman_compose(), "-p", self.project, "--podman-build-args", _build_arguments(), *arguments]
        # podman's children keep its output open: a pipe would never end.
        with (self.folder / "compose.log").open("ab") as log:
            done = subprocess.run(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, check=False)
        assert done.returncode == 0, f"{arguments}: {(self.folder / 'compose.log').read_text()[-6000:]}"

    def podman(self, *arguments: str, code: int | None = 0) -> str:
        """Run ``podman ARGUMENTS`` and return what it printed; *code* is the exit code expected."""
        done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
        assert code is None or done.returncode == code, f"podman {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def containers(self, service: str | None = None, *, running: bool = True) -> list[str]:
        """Return the names of a service's containers, or of all."""
        labels = [f"label=io.podman.compose.project={self.project}"]
        if service is not None:
            labels.append(f"label=com.docker.compose.service={service}")
        filters = [part for label in labels for part in ("--filter", label)]
        return self.podman("ps", *([] if running else ["--all"]), *filters, "--format", "{{.Names}}").split()

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what podman knows of a container."""
        return dict(json.loads(self.podman("inspect", container))[0])

    def unscale(self) -> None:
        """Take all workers but the first away: podman-compose 1.6.0 knows none that was scaled up to."""
        for name in self.containers("worker", running=False):
            if not name.endswith("_1"):
                self.podman("unpause", name, code=None)
                self.podman("rm", "--force", "--time", "10", name)

    def is_healthy(self, container: str) -> bool:
        """Run the container's own health check; podman without systemd never does by itself."""
        done = subprocess.run(["podman", "healthcheck", "run", container], capture_output=True, check=False)
        return done.returncode == 0

    def all_healthy(self) -> bool:
        """Whether every container that has a health check is well."""
        return all(self.is_healthy(name) for name in self.containers() if self._has_check(name))

    def _has_check(self, container: str) -> bool:
        test = (self.inspect(container)["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
        return test[0] != "NONE"

    def told(self) -> str:
        """Return how the containers stand, and the end of what each printed."""
        parts = [self.podman("ps", "--all", "--format", "{{.Names}} {{.Status}}", code=None)]
        for name in self.containers(running=False):
            done = subprocess.run(["podman", "logs", "--tail", "15", name], capture_output=True, text=True, check=False)
            parts.append(f"--- {name}\n{done.stdout}{done.stderr}")
        return "\n".join(parts)

    # Bridge ---------------------------------------------------------------------------------------------------

    def readiness(self) -> int:
        """Return the status that ``/health/ready`` answers with."""
        return self.bridge.get("/health/ready").status_code

    def cases(self) -> list[dict[str, Any]]:
        """Return all cases, as the API shows them."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.bridge.get("/api/v1/cases", params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
            body = page.raise_for_status().json()
            found += body["cases"]
            cursor = body["next"]
            if cursor is None:
                return found

    def connection(self) -> dict[str, Any]:
        """Return the one connection, as the API shows it."""
        return dict(self.bridge.get("/api/v1/connections").raise_for_status().json()["connections"][0])

    def reconciles(self) -> bool:
        """Whether ``bridge reconcile`` in Bridge's container finds no difference."""
        (container,) = self.containers("bridge")
        return subprocess.run(["podman", "exec", container, "bridge", "reconcile"], check=False).returncode == 0


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """
    Start everything as the first lines of docker-compose.yml tell, and take all of it away in the end.

    Raises:
        Missing: There is no podman, or no images.
    """
    os.environ["CONTAINERS_CONF"] = str(Path(__file__).parent / "containers.conf")
    _check_tools()
    _copy(folder)
    ports = {name: str(free_port()) for name in ("BRIDGE_PORT", "HAPI_PORT")}
    told = {"REVISION": REVISION, "CREATED": CREATED}
    quick = {"LEASE_SECONDS": str(LEASE_SECONDS), "POLL_SECONDS": "3", "OVERLAP_SECONDS": "10"}
    environment = os.environ | ports | quick | told
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{ports['BRIDGE_PORT']}", timeout=60) as bridge,
        httpx.Client(base_url=f"http://127.0.0.1:{ports['HAPI_PORT']}/fhir/", timeout=120) as ehr,
    ):
        stack = Stack(folder, f"bridge-check-{secrets.token_hex(3)}", bridge, ehr, environment)
        try:
            stack.compose("build", "bridge")
            stack.compose("up", "--detach")
            yield stack
        finally:
            stack.unscale()
            stack.compose("--profile", "demo", "down", "--volumes", "--timeout", "5")


def _copy(folder: Path) -> None:
    for name in FILES:
        shutil.copy(REPOSITORY / name, folder)
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    password = folder / "secrets" / "postgres_password"
    password.parent.mkdir()
    password.write_text(secrets.token_hex(24))
    password.chmod(0o644)


def _check_tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        raise Missing(
            f"no {' and no '.join(missing) or 'root'}: containers are run by `make compose-check` on Debian 12"
        )
    _podman_compose()
    for image in IMAGES:
        if subprocess.run(["podman", "image", "exists", image], check=False).returncode:
            raise Missing(f"no image {image}; tests/compose/standins/build makes a stand-in")


def _podman_compose() -> str:
    beside = Path(sys.executable).parent / "podman-compose"
    found = str(beside) if beside.exists() else shutil.which("podman-compose")
    if found is None:
        raise Missing("no podman-compose; `make compose-check` installs it")
    return found


def _build_arguments() -> str:
    """Return what building needs where the machine has certificates or a package index of its own."""
    arguments = ["--isolation", "chroot"]
    if _BUNDLE.exists():
        arguments += ["-v", f"{_BUNDLE}:{_BUNDLE}:ro", "--env", f"PIP_CERT={_BUNDLE}"]
    if _PIP.exists():
        arguments += ["-v", f"{_PIP}:{_PIP}:ro"]
    return " ".join(arguments)
