"""A real browser against a real server. Without Chromium these tests are skipped, or fail on demand."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from bridge.web.app import create_app
from tests.unit.web.builders import Clinic

READY_SECONDS = 10
WAIT_MS = 8_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium; ``BRIDGE_REQUIRE_BROWSER=1`` makes its absence a failure."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("BRIDGE_REQUIRE_BROWSER") == "1":
            pytest.fail("BRIDGE_REQUIRE_BROWSER is set and there is no chromium (apt-get install chromium)")
        pytest.skip("needs chromium (apt-get install chromium)")
    as_root = os.geteuid() == 0
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if as_root else [])
        yield found
        found.close()


@pytest.fixture
def clinic() -> Clinic:
    """Return an empty clinic."""
    return Clinic()


@pytest.fixture
def address(clinic: Clinic) -> Iterator[str]:
    """Return the address of a server of the clinic's own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = create_app(clinic.context())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(READY_SECONDS)
        listener.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Return a fresh page; a script error, a dialog, a refusal by the policy or a foreign request fails."""
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("dialog", lambda dialog: (complaints.append("a dialog"), dialog.dismiss()))
    page.on("request", lambda request: complaints.append(f"request: {request.url}"))
    yield page
    context.close()
    assert [text for text in complaints if not _is_harmless(text, address)] == []


def _is_harmless(complaint: str, address: str) -> bool:
    """Requests to our server are, and so is the note that one was answered 409 or 502."""
    return complaint.startswith((f"request: {address}", "Failed to load resource", "Response Status Error"))
