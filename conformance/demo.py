"""A simulated EHR in which patients' stories keep happening: what the demo watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Self

from conformance.generator import Player, Step, generate, story_stream, transactions
from conformance.simulator import Handle, Options, Simulator, client_of, start, utc_now

A_DAY_A_MINUTE = 1440.0


class LiveEhr:
    """
    A running simulated EHR with stories; as a context manager it stops on leaving.

    Attributes:
        base_url: Its FHIR base.
    """

    def __init__(self, handle: Handle, player: Player, begun_at: datetime, on_step: Callable[[Step], None]) -> None:
        self.simulator = handle.simulator
        self.base_url = handle.base_url
        self.begun_with = player.play_until(begun_at)
        self._handle = handle
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=player.run, args=(self._stop, utc_now, on_step), name="stories", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the stories and the server."""
        self._stop.set()
        self._thread.join()
        self._handle.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_live_ehr(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    seed: int = 1,
    stories: int | None = None,
    speed: float = A_DAY_A_MINUTE,
    fill: int = 0,
    options: Options | None = None,
    vendor: str = "generic",
    faults: Iterable[str] = (),
    on_step: Callable[[Step], None] = lambda step: None,
) -> LiveEhr:
    """
    Start a simulated EHR whose stories began days ago and go on.

    Args:
        port: The port, or 0 for a free one.
        host: The address to listen on.
        stories: How many stories there are; None for stories without end.
        speed: How much sooner than in life their days come.
        fill: How many other resources of the four types are there from the beginning.
        on_step: Hears of each step that happens from now on, in a thread of its own.

    Raises:
        OSError: the port is taken.
        ValueError: a vendor or a fault is not known.
    """
    begun_at = utc_now()
    simulator = Simulator(options=options, faults=faults, seed=seed, vendor=vendor)
    clinic = client_of(simulator, clinic=True)
    for bundle in transactions(generate(seed, fill, at=begun_at) if fill else []):
        clinic.post("", json=bundle).raise_for_status()
    told = islice(story_stream(seed, begun_at.astimezone(), speed=speed), stories)
    return LiveEhr(start(port, host=host, simulator=simulator), Player(told, clinic), begun_at, on_step)
