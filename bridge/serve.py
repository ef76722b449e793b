"""Run until told to stop: the loops, with the web view or without it."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from contextlib import closing
from types import FrameType

import uvicorn

from bridge.bootstrap import Bridge
from bridge.errors import ConfigError
from bridge.sync.notify import Doorbell
from bridge.web.app import create_app

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run_service(bridge: Bridge, *, host: str, port: int) -> None:
    """Serve the web view and keep every connection going, until SIGINT or SIGTERM."""
    listener = listen(host, port)
    say_where(host, listener.getsockname()[1])
    serve_all(bridge, listener)


def serve_all(bridge: Bridge, listener: socket.socket) -> None:
    """Keep every connection going, take notifications and serve the web view, till told to stop (main thread only)."""
    service = bridge.service()
    service.start()
    try:
        with closing(bridge.doorbell(service.wake)) as bell:
            _serve_web(bridge, listener, bell)
    finally:
        bridge.stopping.set()
        service.stop()


def _serve_web(bridge: Bridge, listener: socket.socket, bell: Doorbell) -> None:
    config = uvicorn.Config(
        create_app(bridge.web(bell.take)),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)

    def end(number: int, frame: FrameType | None) -> None:
        # uvicorn raises the signal again when it has stopped; that must not cut off what is still to be stopped.
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    server.run(sockets=[listener])


def run_worker(bridge: Bridge) -> None:
    """Keep every connection going without the web view, until SIGINT or SIGTERM."""
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    service = bridge.service()
    service.start()
    stop.wait()
    bridge.stopping.set()
    service.stop()


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
