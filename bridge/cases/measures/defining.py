"""What a definition says of its measure, and the words that several of them use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.cases.measures.seeing import Clock, Observe


class Kind(StrEnum):
    """What a measure's figures are."""

    PROPORTION = "proportion"
    """How many of a number had something: numerator over denominator, none where the denominator is empty."""
    DISTRIBUTION = "distribution"
    """Measured values: how many, median and 90th percentile by nearest rank, sum."""
    COUNT = "count"
    """How many, by category."""
    TIME = "time"
    """How many seconds, by category."""


class Stratum(StrEnum):
    """By what a measure's figures are told apart, beside the whole."""

    LANE = "lane"
    PRIORITY = "priority"
    OWNER = "owner"
    CATEGORY = "category"
    """The category of a proportion or distribution, such as the channel of an attempt."""


ALL = (Stratum.LANE, Stratum.PRIORITY, Stratum.OWNER)
NO_OWNER = (Stratum.LANE, Stratum.PRIORITY)
WITH_CATEGORY = (*ALL, Stratum.CATEGORY)

NO_WORK = "rounds that were entered in error, duplicates, or over when Bridge first heard of them; merged cases"
NOT_DONE = "rounds that ended without it"


@dataclass(frozen=True, kw_only=True)
class Definition:
    """
    One measure.

    Args:
        population: What is looked at.
        counted: The instant whose recording says in which period it counts.
        numerator: What of the population has what is asked for (proportions).
        measured: From which instant to which, or what is counted (all others).
        excluded: What is left out of the denominator, and counted as left out.
        pending: What is not decided by the end of the period, if there is such a thing.
        category: What the categories are, where there are any.
        lanes: The lanes it is about; none means all.
        better: ``higher`` or ``lower``, where one of them is.
    """

    code: str
    title: str
    group: str
    kind: Kind
    observe: Observe
    population: str
    counted: str
    numerator: str = ""
    measured: str = ""
    excluded: str = ""
    pending: str = ""
    category: str = ""
    clock: Clock = Clock.CALENDAR
    unit: str = ""
    lanes: frozenset[str] = frozenset()
    strata: tuple[Stratum, ...] = ALL
    better: str = ""


RESPONSE = "Response and outreach"
VISITS = "Visits"
LOOPS = "Loops and turnaround"
OPEN = "Open work"
OBSTACLES = "Blockers and escalations"
ENDINGS = "Closing and who did it"
