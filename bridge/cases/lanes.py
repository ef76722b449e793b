"""
Lanes: which kinds of work there are, and how each is handled; read from the lanes file.

A lane is one section of a TOML file (``lanes.toml`` beside this module is the one shipped, documented line by
line). A site changes lanes without touching code. This module checks a file and answers questions of it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from bridge.cases.calendar import Span, Unit, parse_span
from bridge.cases.loops import Mark
from bridge.cases.model import (
    ACTION_TEXT,
    CLINICAL,
    Action,
    Barrier,
    BlockerCategory,
    Channel,
    ClosureReason,
    Status,
    Trigger,
)
from bridge.cases.quiet import Quiet, parse_quiet
from bridge.cases.snapshot import Priority, Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.cases.wording import check_script
from bridge.errors import ConfigError

Resource = Literal["Task", "ServiceRequest", "Appointment", "MedicationRequest"]

NEVER_OPENING_INTENTS = frozenset({"proposal", "plan"})
"""``intent`` values that do not authorise work (FHIR R4 request-intent) and open no case by default."""


@dataclass(frozen=True)
class Due:
    """When a step is due: *span* before or after an anchor; no span means the lane's response window."""

    span: Span | None
    before: bool
    anchor: Literal["opened", "entered", "visit", "run-out"]


_DUE = re.compile(r"(?P<span>.+) (?P<side>before|after) (?P<anchor>opened|entered|visit|run-out)")


def parse_due(text: object) -> Due:
    """
    Read ``window``, ``2 business days before visit``, ``1 day after opened``.

    Raises:
        ValueError: *text* has another form.
    """
    if isinstance(text, Due):
        return text
    if text == "window":
        return Due(None, False, "opened")
    match = _DUE.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is neither 'window' nor like '2 business days before visit'")
    span = parse_span(match["span"])
    before = match["side"] == "before"
    if before and span.unit is Unit.BUSINESS_HOURS:
        raise ValueError(f"{text!r}: count back in hours or business days, not in business hours")
    return Due(span, before, match["anchor"])  # type: ignore[arg-type]


def _span(value: object) -> Span:
    return value if isinstance(value, Span) else parse_span(str(value))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Opens(_Section):
    """
    One rule for what belongs to a lane, and when it opens a case.

    A snapshot belongs when everything given fits: its resource type; one of ``codes`` (``system|code``, among
    its codings of what it is, its categories, reasons, status reason and business status); one of ``words``
    (looked for in its title and reasons without regard to case); one of ``belongs_while`` statuses. It opens a
    case while its status is in ``statuses``, where ``runs_out_within`` is given only once its supply ends that
    soon. While a Task that fits is unfinished, ``blocker`` is what the case is held up by.
    """

    resource: Resource
    statuses: tuple[str, ...] = ()
    belongs_while: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    focus: tuple[Resource, ...] = ()
    runs_out_within: Annotated[Span, BeforeValidator(_span)] | None = None
    blocker: BlockerCategory | None = None

    @field_validator("runs_out_within")
    @classmethod
    def _can_be_counted_back(cls, span: Span | None) -> Span | None:
        if span is not None and span.unit is Unit.BUSINESS_HOURS:
            raise ValueError(f"'{span}': count back in hours or business days, not in business hours")
        return span

    @model_validator(mode="after")
    def _known_statuses(self) -> Opens:
        unknown = sorted({*self.statuses, *self.belongs_while} - set(EFFECTS[self.resource]))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no {self.resource} status; {', '.join(EFFECTS[self.resource])}")
        return self

    @property
    def takes_all(self) -> bool:
        """Whether every snapshot of this type is of this kind of work."""
        return not (self.belongs_while or self.focus or self.codes or self.words)

    def fits(self, snapshot: Snapshot) -> bool:
        """Whether *snapshot* is of this kind of work, whatever stage it is in (``belongs_while`` apart)."""
        if snapshot.type != self.resource:
            return False
        if self.belongs_while and snapshot.status not in self.belongs_while:
            return False
        if self.focus and (snapshot.parent or "").partition("/")[0] not in self.focus:
            return False
        if not self.codes and not self.words:
            return True
        return _has_code(snapshot, self.codes) or _has_word(snapshot, self.words)


class Step(_Section):
    """What happens next while a case has a certain status."""

    action: Action
    text: str | None = None
    due: Annotated[Due, BeforeValidator(parse_due)] = Due(None, False, "opened")

    def words(self) -> str:
        """Return what a person should read."""
        return self.text or ACTION_TEXT[self.action]


def _by_priority(value: object) -> object:
    """Read one span for all priorities, or one for each."""
    return value if isinstance(value, Mapping) else dict.fromkeys(Priority, value)


class Outreach(_Section):
    """
    How the patient is approached: by what, how often, and what happens once that was enough.

    ``wait`` is how long after an attempt in vain the next one is due. After ``attempts`` in a row in vain the next
    action is ``then``. ``scripts`` are the words for each channel. In ``quiet`` hours no attempt is due.
    """

    channels: tuple[Channel, ...] = Field(min_length=1)
    attempts: int = Field(ge=1, le=20)
    wait: Annotated[Mapping[Priority, Annotated[Span, BeforeValidator(_span)]], BeforeValidator(_by_priority)]
    then: Step
    quiet: Annotated[Quiet | None, BeforeValidator(parse_quiet)] = None
    scripts: Mapping[Channel, str] = {}

    @field_validator("scripts")
    @classmethod
    def _say_no_more_than_needed(cls, scripts: Mapping[Channel, str]) -> Mapping[Channel, str]:
        for channel, script in scripts.items():
            check_script(channel, script)
        return scripts

    @model_validator(mode="after")
    def _complete(self) -> Outreach:
        missing = [priority.value for priority in Priority if priority not in self.wait]
        if missing:
            raise ValueError(f"wait lacks {', '.join(missing)}")
        return self


_WITHIN = frozenset({Trigger.UNOWNED, Trigger.NOT_SCHEDULED, Trigger.NOT_FOLLOWED_UP})


class Climb(_Section):
    """
    One reason for which a case climbs the ladder.

    ``within`` is how long a case may be unowned, unscheduled or not followed up. The first step is due ``after`` the
    reason began, each other one ``every`` so long later; without it there is one step. ``to`` are owners, ``owner``
    or ``backup``; without it the owner, the backup and the lane's ``escalates_to``.
    """

    when: Trigger
    within: (
        Annotated[Mapping[Priority, Annotated[Span, BeforeValidator(_span)]], BeforeValidator(_by_priority)] | None
    ) = None
    after: Annotated[Span, BeforeValidator(_span)] = Span(0, Unit.MINUTES)
    every: Annotated[Span, BeforeValidator(_span)] | None = None
    to: tuple[str, ...] = ()
    priorities: tuple[Priority, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Climb:
        if self.when is Trigger.PERSON:
            raise ValueError("when: a person escalates by a command; no rule is needed")
        if (self.within is not None) != (self.when in _WITHIN):
            needs = "needs" if self.when in _WITHIN else "takes no"
            raise ValueError(f"{self.when.value} {needs} within")
        if self.when in CLINICAL and self.after.amount:
            raise ValueError(f"{self.when.value} takes no after: licensed staff hear of it at once")
        if self.every is not None and self.every.amount == 0:
            raise ValueError("every: expected more than no time at all")
        return self


class Evidence(StrEnum):
    """What proves an outcome."""

    OUTCOME = "outcome"
    """Words say what came of it."""
    VISIT = "visit"
    """The case has a visit that took place, or one is named."""
    REPORT = "report"
    """A document or result is named, or the Task has an output."""
    ATTEMPTS = "attempts"
    """As many attempts in vain as the lane makes."""
    CONTACT = "contact"
    """The patient was reached, and what they understood was noted."""


class Complex(_Section):
    """
    Work of a lane that is not routine: it goes to *owner*, and *next* is done before anything else.

    It is told by ``codes`` ("system|code") or ``words``, as what belongs to a lane is.
    """

    owner: str
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    next: Step

    def fits(self, snapshot: Snapshot) -> bool:
        """Whether *snapshot* is such work."""
        return _has_code(snapshot, self.codes) or _has_word(snapshot, self.words)


class Recovery(_Section):
    """
    What is done about a visit that was missed or called off, by what is known of it; all that is given has to hold.

    ``missed`` is how many visits of the case were missed at least, ``barriers`` what the patient gave as a reason in an
    attempt since.
    """

    priorities: tuple[Priority, ...] = ()
    missed: int = Field(default=0, ge=0)
    barriers: tuple[Barrier, ...] = ()
    next: Step

    def fits(self, priority: Priority, missed: int, barriers: Collection[Barrier]) -> bool:
        """Whether this is how to go on after a visit that failed."""
        if self.priorities and priority not in self.priorities:
            return False
        return missed >= self.missed and (not self.barriers or any(one in barriers for one in self.barriers))


class Lane(_Section):
    """One kind of work; see the shipped file for what each line means."""

    name: str
    title: str
    enabled: bool = True
    order: int
    owner: str
    backup: str
    escalates_to: tuple[str, ...] = Field(min_length=1)
    window: Mapping[Priority, Annotated[Span, BeforeValidator(_span)]]
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

    def rule_for(self, snapshot: Snapshot) -> Opens | None:
        """Return the first rule by which *snapshot* is this lane's kind of work."""
        for rule in self.opens:
            if rule.resource == snapshot.type and rule.fits(snapshot):
                return rule
        return None


class Holds(_Section):
    """
    What stands for one category of blocker where the EHR says why something waits or was called off.

    ``codes`` are "system|code" among the codings of status reason, business status or cancelation reason; ``words`` how
    words in them begin, where something is paused.
    """

    category: BlockerCategory
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @field_validator("words")
    @classmethod
    def _spoken(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.casefold() for word in words)

    @model_validator(mode="after")
    def _says_something(self) -> Holds:
        if not self.codes and not self.words:
            raise ValueError("expected codes, words or both")
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
    sections = document.get("lanes")
    if not isinstance(sections, dict) or not sections:
        raise ConfigError(f"{file}: expected at least one section [lanes.NAME]")
    defaults = document.get("defaults", {})
    problems = [
        f"{file}: {name}: unknown section; expected lanes, defaults and blockers"
        for name in document
        if name not in _TOP
    ]
    if not isinstance(defaults, dict):
        raise ConfigError(f"{file}: defaults: expected a section, not a single value")
    problems += [f"{file}: defaults.{name}: only a lane has one" for name in defaults if name in _OWN]
    lanes, blockers = [], []
    table = document.get("blockers", [])
    if not isinstance(table, list):
        table, problems = [], [*problems, f"{file}: blockers: expected sections [[blockers]]"]
    for number, line in enumerate(table, start=1):
        try:
            blockers.append(Holds.model_validate(line))
        except ValidationError as error:
            problems += _problems(f"{file}: blockers.{number}", error)
    for name, section in sections.items():
        try:
            lanes.append(_lane(name, section, defaults))
        except ValidationError as error:
            problems += _problems(f"{file}: lanes.{name}", error)
        except ValueError as error:
            problems.append(f"{file}: lanes.{name}{error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return Lanes((lane for lane in lanes if lane.enabled), blockers)


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


def _has_code(snapshot: Snapshot, wanted: tuple[str, ...]) -> bool:
    if not wanted:
        return False
    concepts = [*snapshot.reasons, snapshot.status_reason, snapshot.business_status]
    nested = (coding for concept in concepts if concept is not None for coding in concept.codes)
    return any(coding.token in wanted for group in (snapshot.codes, snapshot.categories, nested) for coding in group)


def _has_word(snapshot: Snapshot, words: tuple[str, ...]) -> bool:
    if not words:
        return False
    concepts = (*snapshot.reasons, snapshot.status_reason, snapshot.business_status)
    texts = [snapshot.title, *(concept.label() or "" for concept in concepts if concept is not None)]
    spoken = " ".join(texts).casefold()
    return any(word.casefold() in spoken for word in words)
