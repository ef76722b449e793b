"""The time that passes for the notifications of a served simulator."""

from __future__ import annotations

import threading

from conformance.simulator.hooks.dispatcher import Dispatcher

_LOOK_EVERY_SECONDS = 0.1


class Pump:
    """Makes the attempts that are due, in a thread, until it is stopped."""

    def __init__(self, hooks: Dispatcher) -> None:
        self._hooks = hooks
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulated-ehr-hooks", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Make no more attempts; one that is under way ends by itself."""
        self._stop.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_SECONDS):
            self._hooks.run_due()
