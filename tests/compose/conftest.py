"""
The compose file run for real, with podman.

It takes minutes and a gigabyte or two, so it is left out unless ``BRIDGE_REQUIRE_COMPOSE=1`` asks for it, as `make
compose-check` does; a machine that cannot run containers then fails.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from .stack import Missing, Stack, running

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that ``-m 'not compose'`` leaves them out wherever pytest was started."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.compose)
            item.add_marker(pytest.mark.timeout(1500))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the containers of a failed test are doing and what they printed last."""
    report = yield
    if report.failed:
        for stack in getattr(item, "funcargs", {}).values():
            if isinstance(stack, Stack):
                report.sections.append(("containers", stack.told()))
    return report


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything that ``podman-compose up`` starts, with an empty HAPI; gone again in the end."""
    if os.environ.get("BRIDGE_REQUIRE_COMPOSE") != "1":
        pytest.skip("containers are run by `make compose-check`")
    try:
        with running(tmp_path_factory.mktemp("compose")) as stack:
            yield stack
    except Missing as missing:
        pytest.fail(str(missing))
