"""What a story is: steps in time, each of them some writes by the clinic's own staff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from conformance.generator.elements import Json


@dataclass(frozen=True, slots=True)
class Put:
    """Store a resource under its id."""

    resource: Json


@dataclass(frozen=True, slots=True)
class Change:
    """
    Change elements of a resource as it then is, so that what others wrote to it stays.

    Attributes:
        elements: New values by top-level element; None removes one, and a name with a leading ``+`` adds its
            values to the list that is there.
    """

    target: str
    elements: Mapping[str, object]

    def applied_to(self, resource: Json) -> Json:
        """Return *resource* with the change made."""
        changed = dict(resource)
        for name, value in self.elements.items():
            if isinstance(value, list) and name.startswith("+"):
                changed[name[1:]] = [*changed.get(name[1:], []), *value]
            elif value is None:
                changed.pop(name, None)
            else:
                changed[name] = value
        return changed


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a resource."""

    target: str


Write = Put | Change | Delete


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens in a story, at an instant (aware), in words and as writes."""

    at: datetime
    says: str
    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A sequence of steps about one patient, in order of time."""

    name: str
    title: str
    patient: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    Where the days of a story fall in real time.

    Day 0 is *start_at*, moved by *shift_days*. What lies before *start_at* keeps its distance; what lies
    after comes *speed* times sooner than in life, steps and dates alike: no visit is fulfilled too early.
    """

    start_at: datetime
    speed: float = 1.0
    shift_days: float = 0.0

    def at(self, days: float) -> datetime:
        """Return the instant of story day *days*, to the second: what lies after *start_at* is never before it."""
        distance = timedelta(days=days + self.shift_days)
        if distance <= timedelta(0):
            return (self.start_at + distance).replace(microsecond=0)
        at = self.start_at + distance / self.speed
        return at.replace(microsecond=0) + timedelta(seconds=1 if at.microsecond else 0)

    def ahead(self, days: float) -> datetime:
        """Return an instant *days* after the story's day 0, however fast it is played."""
        return self.at(0) + timedelta(days=days)
