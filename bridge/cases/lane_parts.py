"""
What a lane is made of, as its section of the lanes file says it: what opens it, its steps, outreach, reasons to climb.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from bridge.cases.calendar import Span, Unit, parse_span
from bridge.cases.quiet import Quiet, parse_quiet
from bridge.cases.snapshot import Priority, Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import ACTION_TEXT, CLINICAL, Action, Barrier, BlockerCategory, Channel, Trigger
from bridge.cases.wording import check_script

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


def span(value: object) -> Span:
    return value if isinstance(value, Span) else parse_span(str(value))


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Opens(Section):
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
    runs_out_within: Annotated[Span, BeforeValidator(span)] | None = None
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


class Step(Section):
    """What happens next while a case has a certain status."""

    action: Action
    text: str | None = None
    due: Annotated[Due, BeforeValidator(parse_due)] = Due(None, False, "opened")

    def words(self) -> str:
        """Return what a person should read."""
        return self.text or ACTION_TEXT[self.action]


def by_priority(value: object) -> object:
    """Read one span for all priorities, or one for each."""
    return value if isinstance(value, Mapping) else dict.fromkeys(Priority, value)


class Outreach(Section):
    """
    How the patient is approached: by what, how often, and what happens once that was enough.

    ``wait`` is how long after an attempt in vain the next one is due. After ``attempts`` in a row in vain the next
    action is ``then``. ``scripts`` are the words for each channel. In ``quiet`` hours no attempt is due.
    """

    channels: tuple[Channel, ...] = Field(min_length=1)
    attempts: int = Field(ge=1, le=20)
    wait: Annotated[Mapping[Priority, Annotated[Span, BeforeValidator(span)]], BeforeValidator(by_priority)]
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


class Climb(Section):
    """
    One reason for which a case climbs the ladder.

    ``within`` is how long a case may be unowned, unscheduled or not followed up. The first step is due ``after`` the
    reason began, each other one ``every`` so long later; without it there is one step. ``to`` are owners, ``owner``
    or ``backup``; without it the owner, the backup and the lane's ``escalates_to``.
    """

    when: Trigger
    within: (
        Annotated[Mapping[Priority, Annotated[Span, BeforeValidator(span)]], BeforeValidator(by_priority)] | None
    ) = None
    after: Annotated[Span, BeforeValidator(span)] = Span(0, Unit.MINUTES)
    every: Annotated[Span, BeforeValidator(span)] | None = None
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


class Complex(Section):
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


class Recovery(Section):
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


class Holds(Section):
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
