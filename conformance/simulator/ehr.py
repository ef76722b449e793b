"""The parts of one simulated EHR, as its interactions see them."""

from __future__ import annotations

from datetime import datetime

from conformance.simulator.clock import Clock, micros
from conformance.simulator.index import Index
from conformance.simulator.options import Options
from conformance.simulator.pages import Pages
from conformance.simulator.store import Store, Version


class Ehr:
    """Clock, options, store, index and pages of one server, wired together."""

    def __init__(self, clock: Clock, options: Options) -> None:
        self.clock = clock
        self.options = options
        self.index = Index()
        self.store = Store(clock, self._publish)
        self.pages = Pages(clock, options, self.index)

    def settle(self) -> datetime:
        """Let the index catch up with what is due by now; return now."""
        now = self.clock()
        self.index.settle(micros(now))
        return now

    def _publish(self, version: Version) -> None:
        self.index.add(version, micros(version.at + self.options.commit_delay))
