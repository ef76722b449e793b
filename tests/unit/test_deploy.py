"""What deploys Bridge, as far as it shows without a container: the files agree with each other and with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import __version__

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
BRIDGES = ("migrate", "bridge", "worker", "demo")


def test_the_example_of_settings_has_each_of_the_compose_file_with_its_default_and_a_word_on_it() -> None:
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE))
    text = (ROOT / ".env.example").read_text()

    assert dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)) == used
    for block in text.strip().split("\n\n"):
        assert block.startswith("# ")


def test_the_image_is_labelled_with_the_version() -> None:
    assert f"\nARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_limited_and_comes_back(name: str) -> None:
    service = SERVICES[name]

    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", BRIDGES)
def test_bridges_own_containers_write_nowhere_and_may_nothing(name: str) -> None:
    service = SERVICES[name]

    assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert service["environment"]["BRIDGE_LOG__FORMAT"] == "json"
    assert "volumes" not in service


def test_each_waits_for_what_it_needs_and_nothing_for_what_waits_itself() -> None:
    """podman 4.3 may refuse to start what depends on something that depends on something else (seen 2026-11)."""
    waits = {
        name: {on: how["condition"] for on, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }

    assert waits["hapi"] == {"hapi-db": "service_healthy"}
    assert waits["bridge"] == {"bridge-db": "service_healthy", "migrate": "service_completed_successfully"}
    assert waits["worker"] == {"bridge-db": "service_healthy"}
    assert [(name, on) for name, needed in waits.items() for on in needed if waits[on]] == []
    assert all("--wait" in SERVICES[name]["command"] for name in ("migrate", "bridge", "worker"))


def test_hapi_is_told_of_its_database_in_words_that_the_shell_in_its_image_passes_on() -> None:
    """Debian's sh drops variables whose names have a dot; HAPI then kept everything in its container (seen 2026-11)."""
    told = SERVICES["hapi"]["environment"]

    assert [name for name in told if not name.isidentifier()] == []
    assert told["SPRING_DATASOURCE_URL"] == "jdbc:postgresql://hapi-db:5432/hapi"
    assert "Postgres" in json.loads(told["SPRING_APPLICATION_JSON"])["spring.jpa.properties.hibernate.dialect"]
