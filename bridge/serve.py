"""Run until told to stop: the loops, with the web view or without it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from types import FrameType

import uvicorn

from bridge.bootstrap import Bridge
from bridge.errors import ConfigError
from bridge.sync.notify import PATIENCE_SECONDS, Doorbell
from bridge.web.app import create_app

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


ANSWER_WITHIN = 3
"""Seconds that requests to the web view have to be answered once the process was told to stop (rule ours)."""

END_WITHIN = timedelta(seconds=4)
"""How long what is under way to the EHRs may take then. Containers are killed after 10 s (rule ours)."""


class Stop:
    """
    Whether the process was told to stop, from the moment on when this is made (main thread only).

    Being told again changes nothing.
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
        self.told.set()
        for act in self._acts:
            act()


def run_service(bridge: Bridge, *, host: str, port: int, stop: Stop | None = None) -> None:
    """Serve the web view and keep every connection going, until SIGINT or SIGTERM."""
    listener = listen(host, port)
    say_where(host, listener.getsockname()[1])
    serve_all(bridge, listener, stop)


def serve_all(bridge: Bridge, listener: socket.socket, stop: Stop | None = None) -> None:
    """
    Keep every connection going, take notifications and serve the web view, till told to stop (main thread only).

    What is under way then is given a few seconds. If it takes longer, the process ends as if it was killed: whatever
    was begun is found in the database and looked up on the EHR by the next one.
    """
    stop = stop or Stop()
    stop.then(bridge.stopping.set)
    service = bridge.service()
    service.start()
    bell = bridge.doorbell(service.wake)
    try:
        _serve_web(bridge, listener, bell, stop)
    finally:
        bridge.stopping.set()
        kept = bell.close(PATIENCE_SECONDS)
        _end(kept & service.stop(END_WITHIN))


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
    """Tells what has to know at once, not only when the last request is answered."""

    stop: Stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests, and have everything else stop as well."""
        super().handle_exit(sig, frame)
        self.stop.hear(sig, frame)


def _serve_web(bridge: Bridge, listener: socket.socket, bell: Doorbell, stop: Stop) -> None:
    config = uvicorn.Config(
        create_app(bridge.web(bell.take)),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=ANSWER_WITHIN,
    )
    server = _Server(config)
    server.stop = stop

    def leave() -> None:
        # uvicorn raises the signal again when it has stopped; that must not cut off what is still to be stopped.
        server.should_exit = True

    stop.then(leave)
    server.run(sockets=[listener])


def run_worker(bridge: Bridge, stop: Stop | None = None) -> None:
    """Keep every connection going without the web view, until SIGINT or SIGTERM."""
    stop = stop or Stop()
    stop.then(bridge.stopping.set)
    service = bridge.service()
    service.start()
    stop.told.wait()
    _end(service.stop(END_WITHIN))


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
