"""What the shell needs to know of one connection, wired up once by ``bootstrap``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bridge.cases.rules import Rules

READ_ORDER = ("ServiceRequest", "MedicationRequest", "Appointment", "Task")
"""Requests before the Tasks about them, so that a case mostly begins with its root. Any order is right."""


@dataclass(frozen=True)
class Line:
    """
    One connection's straight line from the EHR to the cases and back.

    Args:
        types: What is read, in the order it is read.
        count_param: The search parameter that asks for *page_size* resources.
        overlap: How far behind its watermark every poll begins. Late commits up to this are found by the
            poll, later ones by the sweep.
        lag: How far the watermark stays behind the server's clock (servers whose nodes' clocks differ).
        acknowledge_with: The status a Task that asks us gets once we know of it: received or accepted.
    """

    name: str
    base_url: str
    fhir_version: str
    rules: Rules
    types: Sequence[str] = READ_ORDER
    page_size: int = 200
    count_param: str = "_count"
    overlap: timedelta = timedelta(seconds=300)
    lag: timedelta = timedelta(seconds=5)
    writes: bool = True
    acknowledge_with: str = "received"

    @property
    def shows_within(self) -> timedelta:
        """How long what was written may stay out of searches (rule ours: as long as a poll allows for)."""
        return self.overlap + self.lag
