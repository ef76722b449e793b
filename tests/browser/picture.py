"""
Make docs/worklist.png anew: the worklist of ``bridge demo``, as Chromium shows it.

``python -m tests.browser.picture`` takes half a minute: the demo has to read its EHR first.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect, sync_playwright

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "worklist.png"
SIZE = (1280, 700)
READY_SECONDS = 60


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "bridge", "demo", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


def wait_for(address: str) -> None:
    """Wait until the demo answers, and its people have closed a case: then there is something of everything to see."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if "/cases/" in httpx.get(f"{address}/?view=closed").raise_for_status().text:
                return
        except httpx.HTTPError as error:
            print(f"not yet: {type(error).__name__}", file=sys.stderr)
        time.sleep(0.5)
    raise SystemExit(f"the demo did not answer at {address}")


def photograph(page: Page, address: str) -> None:
    """Take the picture of the list of open cases."""
    page.goto(address)
    expect(page.locator("a.row").nth(5)).to_be_visible()
    page.screenshot(path=PICTURE, animations="disabled")


def main() -> None:
    """Make the picture."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("needs chromium (apt-get install chromium)")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with demo() as address, sync_playwright() as playwright:
        wait_for(address)
        chromium = playwright.chromium.launch(executable_path=browser, args=arguments)
        context = chromium.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
        photograph(context.new_page(), address)
        chromium.close()
    print(f"{PICTURE.name}: {PICTURE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
