"""
Run until told to stop: the loops, with the web view or without it.

Theory of operation. Told to stop (SIGINT, SIGTERM), a process says at ``/health/ready`` that it is not ready, claims
nothing more and lets what is under way to the EHRs end. What does not end in time is handed back to the outbox, as
something of which nobody knows whether the EHR has it: whoever goes on looks there first. Only then does it stop to
answer. Told again, it ends on the spot, as if it was killed; that loses nothing either, but others wait for its
leases.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from types import FrameType

import uvicorn
from fastapi import FastAPI

from bridge.bootstrap import Bridge
from bridge.errors import BridgeError, ConfigError
from bridge.sync.notify import PATIENCE_SECONDS
from bridge.web.app import create_app, create_probes

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


ANSWER_WITHIN = 2
"""Seconds that requests to the web view have to be answered once the process was told to stop (rule ours)."""

END_WITHIN = timedelta(seconds=4)
"""How long what is under way to the EHRs may take then. Containers are killed after 10 s (rule ours)."""


HAND_BACK_WITHIN = timedelta(seconds=1.5)
"""How long the database may take to have back what did not end in time (rule ours)."""


class Stop:
    """
    Whether the process was told to stop, from the moment on when this is made (main thread only).

    Being told again ends it at once, with 128 and the signal's number as the exit code.
    """

    def __init__(self) -> None:
        """Hear SIGINT and SIGTERM."""
        self.told = threading.Event()
        self._acts: list[Callable[[], None]] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.hear)

    def then(self, act: Callable[[], None]) -> None:
        """Do something as soon as it is told; at once, where it was."""
        self._acts.append(act)
        if self.told.is_set():
            act()

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Be told."""
        if self.told.is_set():
            os._exit(128 + number)
        self.told.set()
        for act in self._acts:
            act()


def run_service(bridge: Bridge, *, host: str, port: int, stop: Stop | None = None) -> None:
    """Serve the web view and keep every connection going, until SIGINT or SIGTERM."""
    listener = listen(host, port)
    if bridge.settings.log.format == "json":
        log.info("the web view is open on port %d; login is not configured", listener.getsockname()[1])
    else:
        say_where(host, listener.getsockname()[1])
    serve_all(bridge, listener, stop)


def run_worker(bridge: Bridge, *, host: str, port: int, stop: Stop | None = None) -> None:
    """Keep every connection going, until SIGINT or SIGTERM; only ``/health`` and ``/metrics`` are answered."""
    listener = listen(host, port)
    log.info("this worker's health is at http://%s:%d/health/ready", host, listener.getsockname()[1])
    serve_all(bridge, listener, stop, pages=False)


def serve_all(bridge: Bridge, listener: socket.socket, stop: Stop | None = None, *, pages: bool = True) -> None:
    """
    Keep every connection going, take notifications and serve the web view, till told to stop (main thread only).

    What is under way then is given a few seconds. If it takes longer, the process ends as if it was killed: whatever
    was begun is found in the database and looked up on the EHR by the next one.

    Args:
        pages: Whether there is a web view, with API and hooks; without it only health and metrics are answered.
    """
    stop = stop or Stop()
    stop.then(bridge.stopping.set)
    service = bridge.service()
    service.start()
    bell = bridge.doorbell(service.wake)
    context = bridge.web(bell.take)
    server = _server(create_app(context) if pages else create_probes(context))

    def wind_down() -> None:
        bridge.stopping.wait()
        try:
            if not service.stop(END_WITHIN):
                _hand_back(bridge)
        finally:
            server.should_exit = True

    winding_down = Thread(target=wind_down, name="wind-down", daemon=True)
    winding_down.start()
    try:
        server.run(sockets=[listener])
    finally:
        bridge.stopping.set()
        winding_down.join((END_WITHIN + HAND_BACK_WITHIN).total_seconds())
        kept = bell.close(PATIENCE_SECONDS)
        _end(kept & service.stop(timedelta(0)))


def _hand_back(bridge: Bridge) -> None:
    """Give others what is still on its way to an EHR, if the database takes it in time."""

    def hand_back() -> None:
        try:
            number = bridge.hand_back()
        except BridgeError as error:
            log.warning("what was under way could not be handed back: %s", error)
        else:
            log.warning("an EHR did not answer in time; deliveries handed back: %d", number)

    handing = Thread(target=hand_back, name="hand-back", daemon=True)
    handing.start()
    handing.join(HAND_BACK_WITHIN.total_seconds())


def _end(ended: bool) -> None:
    """End as if killed, where something is still under way: nobody may wait for its threads."""
    if ended or sys.exc_info()[0] is not None:
        return
    log.warning("an EHR or the database did not answer in time; what was begun is taken up by the next start")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Server(uvicorn.Server):
    """Leaves the signals to ``Stop``: uvicorn would close its door at the first, and raise it again at the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear nothing."""
        yield


def _server(app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=ANSWER_WITHIN,
    )
    return _Server(config)


def run_loops(bridge: Bridge, stop: Stop | None = None) -> None:
    """Keep every connection going and answer nobody, until SIGINT or SIGTERM."""
    stop = stop or Stop()
    stop.then(bridge.stopping.set)
    service = bridge.service()
    service.start()
    stop.told.wait()
    ended = service.stop(END_WITHIN)
    if not ended:
        _hand_back(bridge)
    _end(ended)


def listen(host: str, port: int, *, or_any: bool = False) -> socket.socket:
    """
    Return a listening socket.

    Args:
        or_any: Take a free port where *port* is taken.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        if not or_any:
            listener.close()
            raise ConfigError(f"web.port: {host}:{port} cannot be listened on ({error.strerror})") from None
        listener.bind((host, 0))
    listener.listen(128)
    return listener


def say_where(host: str, port: int) -> None:
    """Say where the web view is, and that it asks nobody who they are."""
    shown = f"[{host}]" if ":" in host else host
    print(f"Bridge is at http://{shown}:{port}  (login is not configured: whoever reaches this address is let in)")
    if host not in _LOOPBACK:
        print(f"warning: {host} is not loopback; patients' data is open to the network", file=sys.stderr)
    sys.stdout.flush()
