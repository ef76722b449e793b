"""A served simulator tells its subscribers over HTTP, on this machine and nowhere else."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from conformance.simulator import Ring, Simulator, start
from conformance.simulator.hooks.sender import LoopbackSender, is_loopback

from ..plain import a_task
from .subscriber import backport, classic

PATIENCE_SECONDS = 60


@pytest.fixture
def heard() -> Iterator[tuple[str, queue.Queue[tuple[str, str]]]]:
    """An address that answers 204, and what was sent there as (method, path)."""
    rings: queue.Queue[tuple[str, str]] = queue.Queue()

    class Listener(BaseHTTPRequestHandler):
        def _take(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            rings.put((self.command, self.path))
            self.send_response(204)
            self.end_headers()

        do_POST = do_PUT = _take

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hooks", rings
    server.shutdown()
    thread.join()
    server.server_close()


def await_active(fhir: httpx.Client, id_: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while fhir.get(f"Subscription/{id_}").json()["status"] != "active":
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_change_rings_over_http(heard: tuple[str, queue.Queue[tuple[str, str]]]) -> None:
    address, rings = heard
    wanted = backport()
    wanted["channel"]["endpoint"] = f"{address}/topic"

    with start() as handle, httpx.Client(base_url=f"{handle.base_url}/", timeout=PATIENCE_SECONDS) as fhir:
        fhir.post("Subscription", json=wanted).raise_for_status()
        handshake = rings.get(timeout=PATIENCE_SECONDS)
        made = fhir.post("Subscription", json=classic(endpoint=address, payload="application/fhir+json"))
        await_active(fhir, made.raise_for_status().json()["id"])
        fhir.put("Task/t", json=a_task("t")).raise_for_status()
        told = {rings.get(timeout=PATIENCE_SECONDS) for _ in range(2)}

    assert handshake == ("POST", "/hooks/topic")
    assert told == {("POST", "/hooks/topic"), ("PUT", "/hooks/Task/t")}


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/hooks", True),
        ("http://127.8.0.1/", True),
        ("https://[::1]:8443/", True),
        ("http://localhost/", True),
        ("http://127.0.0.1.example.org/", False),
        ("http://10.0.0.1/", False),
        ("http://user@example.org/", False),
        ("nonsense", False),
    ],
)
def test_only_this_machine_is_told(url: str, here: bool) -> None:
    assert is_loopback(url) is here


def test_an_endpoint_elsewhere_is_not_reached() -> None:
    sender = LoopbackSender()
    try:
        assert sender(Ring("s", "classic", "POST", "http://192.0.2.1/hooks", {})) is None
        assert sender(Ring("s", "classic", "POST", "http://127.0.0.1:1/hooks", {})) is None
    finally:
        sender.close()


def test_without_a_sender_notifications_wait(simulator: Simulator, fhir: httpx.Client) -> None:
    fhir.post("Subscription", json=classic()).raise_for_status()

    assert simulator.deliver() == []
