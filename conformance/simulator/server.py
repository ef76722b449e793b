"""The simulated EHR on a port, of 127.0.0.1 unless told otherwise, in a thread of the calling process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import uvicorn

from conformance.simulator.asgi import BASE_PATH, application
from conformance.simulator.clock import Clock, utc_now
from conformance.simulator.hooks.pump import Pump
from conformance.simulator.hooks.sender import LoopbackSender
from conformance.simulator.options import Options
from conformance.simulator.simulator import Simulator

_STOP_SECONDS = 5


class Handle:
    """A running server; as a context manager it stops on leaving."""

    def __init__(self, simulator: Simulator, listener: socket.socket) -> None:
        self.simulator = simulator
        self.port: int = listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}{BASE_PATH}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(simulator),
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="critical",
                date_header=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="simulated-ehr", daemon=True
        )
        self._thread.start()
        simulator.hooks.base = self.base_url
        self._sender = LoopbackSender()
        if simulator.hooks.sender is None:
            simulator.hooks.sender = self._sender
        self._pump = Pump(simulator.hooks)

    def stop(self) -> None:
        """Stop serving and free the port; stopping twice does nothing."""
        self._pump.stop(_STOP_SECONDS)
        if self.simulator.hooks.sender is self._sender:
            self.simulator.hooks.sender = None
        self._sender.close()
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    clock: Clock = utc_now,
    options: Options | None = None,
    faults: Iterable[str] = (),
    simulator: Simulator | None = None,
    seed: int = 0,
    vendor: str = "generic",
) -> Handle:
    """
    Serve a simulated EHR and return at once; connections wait until it is ready.

    Args:
        port: The port, or 0 for a free one.
        host: The address to listen on; 0.0.0.0 in a container.
        simulator: Serve this one, so that it outlives a restart; the other settings are then unused.

    Raises:
        OSError: the port is taken.
        ValueError: no vendor or fault has that name.
    """
    served = simulator or Simulator(clock, options, faults, seed=seed, vendor=vendor)
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return Handle(served, listener)
