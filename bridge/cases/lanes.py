"""
Lanes: which kinds of work there are, and how each is handled; read from the lanes file.

A lane is one section of a TOML file (``lanes.toml`` beside this module is the one shipped, documented line by
line). A site changes lanes without touching code. This module checks a file and answers questions of it; what a
section is made of is in ``lane_parts``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from bridge.cases.calendar import Span
from bridge.cases.lane_parts import (
    Climb,
    Complex,
    Evidence,
    Holds,
    Opens,
    Outreach,
    Recovery,
    Section,
    Step,
    span,
)
from bridge.cases.loops import Mark
from bridge.cases.snapshot import Priority, Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import CLINICAL, BlockerCategory, ClosureReason, Status, Trigger
from bridge.errors import ConfigError


class Lane(Section):
    """One kind of work; see the shipped file for what each line means."""

    name: str
    title: str
    enabled: bool = True
    order: int
    owner: str
    backup: str
    escalates_to: tuple[str, ...] = Field(min_length=1)
    window: Mapping[Priority, Annotated[Span, BeforeValidator(span)]]
    opens: tuple[Opens, ...] = Field(min_length=1)
    next: Mapping[Status, Step]
    closes_with: tuple[ClosureReason, ...] = tuple(ClosureReason)
    evidence: Mapping[ClosureReason, Annotated[tuple[Evidence, ...], Field(min_length=1)]] = {}
    outreach: Outreach | None = None
    complex: tuple[Complex, ...] = ()
    recovers: tuple[Recovery, ...] = ()
    escalates: tuple[Climb, ...] = Field(default=(), validate_default=True)
    blockers: tuple[BlockerCategory, ...] = tuple(BlockerCategory)
    tell: tuple[Status, ...] = ()
    loop: tuple[Mark, ...] = (Mark.RECEIVED, Mark.ACCEPTED, Mark.DECIDED, Mark.TOLD)

    @field_validator("escalates")
    @classmethod
    def _clinical_questions_always_climb(cls, rules: tuple[Climb, ...]) -> tuple[Climb, ...]:
        """Return the reasons to climb with those that need no line: licensed staff is asked, in every lane (ours)."""
        named = {(rule.when, priority) for rule in rules for priority in rule.priorities or tuple(Priority)}
        missing = {when: tuple(one for one in Priority if (when, one) not in named) for when in sorted(CLINICAL)}
        return (*rules, *(Climb(when=when, priorities=left) for when, left in missing.items() if left))

    @model_validator(mode="after")
    def _complete(self) -> Lane:
        missing = [priority.value for priority in Priority if priority not in self.window]
        if missing:
            raise ValueError(f"window lacks {', '.join(missing)}")
        open_statuses = [status for status in Status if status is not Status.CLOSED]
        missing = [status.value for status in open_statuses if status not in self.next]
        if missing:
            raise ValueError(f"next lacks {', '.join(missing)}")
        named: set[tuple[Trigger, Priority]] = set()
        for rule in self.escalates:
            for priority in rule.priorities or tuple(Priority):
                if (rule.when, priority) in named:
                    raise ValueError(f"escalates: {rule.when.value} is given twice for {priority.value}")
                named.add((rule.when, priority))
        return self


class Lanes:
    """Every lane that is switched on, the first to be asked first, and what the site says holds work up."""

    def __init__(self, lanes: Iterable[Lane], blockers: Iterable[Holds] = ()) -> None:
        self.blockers = tuple(blockers)
        self.all = tuple(sorted(lanes, key=lambda lane: (lane.order, lane.name)))
        self._by_name = {lane.name: lane for lane in self.all}
        self._found: dict[tuple[object, ...], tuple[Lane | None, Opens | None]] = {}
        self._climbs = {
            (lane.name, priority): tuple(
                rule for rule in lane.escalates if not rule.priorities or priority in rule.priorities
            )
            for lane in self.all
            for priority in Priority
        }
        self._rules = {
            kind: tuple(
                (lane, rule, rule.takes_all) for lane in self.all for rule in lane.opens if rule.resource == kind
            )
            for kind in EFFECTS
        }

    def over(self, shipped: Lanes) -> Lanes:
        """Return these lanes with what holds work up by *shipped* where their own table has no line that fits."""
        return Lanes(self.all, (*self.blockers, *shipped.blockers))

    def __getitem__(self, name: str) -> Lane:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def of(self, snapshot: Snapshot) -> Lane | None:
        """Return the first lane whose kind of work *snapshot* is."""
        return self.find(snapshot)[0]

    def rule_of(self, snapshot: Snapshot) -> Opens | None:
        """Return the rule by which *snapshot* is that lane's kind of work."""
        return self.find(snapshot)[1]

    def find(self, snapshot: Snapshot) -> tuple[Lane | None, Opens | None]:
        """
        Return the first lane whose kind of work *snapshot* is, and the rule by which it is.

        The same few kinds of work come again and again: what was found for one is found for the next.
        """
        key = _looks(snapshot)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            found = self._found[key] = self._search(snapshot)
        return found

    def _search(self, snapshot: Snapshot) -> tuple[Lane | None, Opens | None]:
        for lane, rule, takes_all in self._rules.get(snapshot.type, ()):
            if takes_all or rule.fits(snapshot):
                return lane, rule
        return None, None

    def climbs(self, lane: Lane, priority: Priority) -> Sequence[Climb]:
        """Return what makes a case of one of these lanes climb that has this priority."""
        return self._climbs[lane.name, priority]

    def roles(self) -> frozenset[str]:
        """Return every owner name that the lanes mention."""
        named = (name for lane in self.all for rule in lane.escalates for name in rule.to)
        asked = (name for lane in self.all for name in (lane.owner, lane.backup, *lane.escalates_to))
        expert = (rule.owner for lane in self.all for rule in lane.complex)
        return frozenset((*asked, *named, *expert)) - {"owner", "backup"}


def parse_lanes(text: str, *, file: str = "lanes file") -> Lanes:
    """
    Read and check a lanes file.

    Raises:
        ConfigError: It is not TOML, or a setting in it is unknown, missing or wrong; all are named.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    sections, defaults = document.get("lanes"), document.get("defaults", {})
    if not isinstance(sections, dict) or not sections:
        raise ConfigError(f"{file}: expected at least one section [lanes.NAME]")
    if not isinstance(defaults, dict):
        raise ConfigError(f"{file}: defaults: expected a section, not a single value")
    problems = [
        f"{file}: {name}: unknown section; expected lanes, defaults and blockers"
        for name in document
        if name not in _TOP
    ]
    problems += [f"{file}: defaults.{name}: only a lane has one" for name in defaults if name in _OWN]
    blockers = _read_blockers(document.get("blockers", []), file, problems)
    lanes = _read_lanes(sections, defaults, file, problems)
    if problems:
        raise ConfigError("\n".join(problems))
    return Lanes((lane for lane in lanes if lane.enabled), blockers)


def _read_blockers(table: object, file: str, problems: list[str]) -> list[Holds]:
    if not isinstance(table, list):
        problems.append(f"{file}: blockers: expected sections [[blockers]]")
        return []
    blockers = []
    for number, line in enumerate(table, start=1):
        try:
            blockers.append(Holds.model_validate(line))
        except ValidationError as error:
            problems += _problems(f"{file}: blockers.{number}", error)
    return blockers


def _read_lanes(
    sections: Mapping[str, object], defaults: Mapping[str, object], file: str, problems: list[str]
) -> list[Lane]:
    lanes = []
    for name, section in sections.items():
        try:
            lanes.append(_lane(name, section, defaults))
        except ValidationError as error:
            problems += _problems(f"{file}: lanes.{name}", error)
        except ValueError as error:
            problems.append(f"{file}: lanes.{name}{error}")
    return lanes


_TOP = frozenset({"lanes", "defaults", "blockers"})
_OWN = frozenset({"name", "title", "order", "opens"})
"""What one lane has and no other."""


def _lane(name: str, section: object, defaults: Mapping[str, object]) -> Lane:
    if not isinstance(section, dict):
        raise ValueError(": expected a section, not a single value")
    if "name" in section:
        raise ValueError(f".name: a lane's name stands in its heading, [lanes.{name}]")
    return Lane.model_validate({**_over(defaults, section), "name": name})


def _over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Return *above* with what it does not say taken from *below*, table by table; a list counts as a whole."""
    merged = {**below, **above}
    for name, value in above.items():
        under = below.get(name)
        if isinstance(value, dict) and isinstance(under, dict):
            merged[name] = _over(under, value)
    return merged


def _problems(where: str, error: ValidationError) -> list[str]:
    return [
        f"{'.'.join([where, *(str(part) for part in problem['loc'])])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    ]


_MOST_KEPT = 4096


def _looks(snapshot: Snapshot) -> tuple[object, ...]:
    """Return everything of a snapshot that a rule looks at."""
    return (
        snapshot.type,
        snapshot.status,
        (snapshot.parent or "").partition("/")[0],
        snapshot.title,
        snapshot.codes,
        snapshot.categories,
        snapshot.reasons,
        snapshot.status_reason,
        snapshot.business_status,
    )
