"""
The lanes file read a second time: where a case stands and what is due, event by event.

Nothing here comes from ``bridge.cases`` but the text of the file: lanes are plain tables, an escalation is what the
file's first page says it is, time is counted by ``almanac``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tests.unit.cases.year.almanac import Almanac

WAITING = ("waiting-on-patient", "waiting-on-provider", "waiting-on-documents")
CLINICAL = ("worsening-symptoms", "medication-confusion")
CONCERNS = (*CLINICAL, "complaint", "privacy-concern")
BY_PEOPLE = (*CONCERNS, "person")
ANSWERED = ("reached", "declined")
AWAITED = ("left-message", "sent")
WAITS_FOR = {
    "transport": "waiting-on-patient",
    "missing-documentation": "waiting-on-documents",
    "scheduling-capacity": "waiting-on-provider",
    "internal-queue": "needs-outreach",
    "authorization": "waiting-on-provider",
}

Fired = tuple[str, datetime, int, str, datetime]
"""Trigger, since when it holds, step, who was asked, when."""


def lanes_of(text: str) -> dict[str, dict[str, Any]]:
    """Return the lanes of a file, each with the defaults beneath it."""
    document = tomllib.loads(text)
    return {name: _beneath(document.get("defaults", {}), lane) for name, lane in document["lanes"].items()}


def _beneath(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for name, value in above.items():
        found[name] = _beneath(below[name], value) if isinstance(value, dict) and name in below else value
    return found


@dataclass(frozen=True)
class Staff:
    """Who there is: the queues, who is a person, who stands in, who is licensed, who is away when."""

    people: frozenset[str]
    backups: dict[str, str]
    licensed: frozenset[str]
    away: dict[str, list[tuple[date, date]]]

    def is_away(self, name: str, day: date) -> bool:
        return any(first <= day <= last for first, last in self.away.get(name, ()))


@dataclass
class Asked:
    """One escalation as it stands."""

    trigger: str
    since: datetime
    level: int
    to: str
    at: datetime
    answered: bool = False
    over: str = ""
    """Empty while somebody has to see to it, else who ended it."""


@dataclass
class Course:
    """What happened to one case, where it stands by that, and what is due."""

    lane: dict[str, Any]
    almanac: Almanac
    staff: Staff
    priority: str
    opened: datetime
    known: datetime
    blocker: str | None = None
    expert: bool = False
    visit: tuple[str, datetime] | None = None
    begun: datetime = field(init=False)
    entered: datetime = field(init=False)
    owned: datetime = field(init=False)
    owner: str = field(init=False)
    status: str = "new"
    assigned: bool = False
    decided: tuple[bool, datetime | None] = (False, None)
    snoozed: datetime | None = None
    dead: bool = False
    ended: bool = False
    closed: bool = False
    reopened: datetime | None = None
    failed: datetime | None = None
    missed: int = 0
    stated: datetime = field(init=False)
    at: datetime = field(init=False)
    held: bool = field(init=False)
    """Whether the work itself holds the case up, until it is finished."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    waits: list[tuple[datetime, datetime]] = field(default_factory=list)
    asked: dict[tuple[str, datetime], Asked] = field(default_factory=dict)
    fired: list[Fired] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held = self.blocker is not None
        self.at = self.stated = self.entered = self.owned = self.known
        if self.visit is not None and self.visit[0] == "missed":
            self.failed, self.missed = min(self.visit[1], self.known), 1
        self.begun = max(self.opened, self.failed or self.opened)
        self.owner = (self.lane["complex"][0] if self.expert else self.lane)["owner"]
        self.status = self._status()

    # What happens -----------------------------------------------------------------------------------------
    def _nothing(self, at: datetime) -> None:
        pass

    def _attempt(self, at: datetime, outcome: str, concerns: tuple[str, ...] = (), **more: Any) -> None:
        made = more.pop("made", at)
        self.attempts.append({"at": made, "outcome": outcome, "concerns": concerns, **more})

    def _assign(self, at: datetime, to: str) -> None:
        if to != self.owner:
            self.owned = at
        self.owner, self.assigned = to, True

    def _claim(self, at: datetime) -> None:
        self._assign(at, "ann")

    def _decide(self, at: datetime, due: datetime | None) -> None:
        self.decided, self.snoozed = (True, due), None

    def _snooze(self, at: datetime, until: datetime) -> None:
        self.snoozed = until

    def _block(self, at: datetime, category: str) -> None:
        self.blocker = category

    def _unblock(self, at: datetime) -> None:
        self.blocker = None

    def _prioritize(self, at: datetime, priority: str) -> None:
        self.priority, self.stated = priority, at

    def _book(self, at: datetime, start: datetime) -> None:
        self.visit, self.failed = ("booked", start), None
        self._moves_work()

    def _miss(self, at: datetime) -> None:
        assert self.visit is not None
        self.failed, self.missed = min(self.visit[1], at), self.missed + 1
        self.visit = ("missed", self.visit[1])
        self._moves_work()

    def _attend(self, at: datetime) -> None:
        assert self.visit is not None
        self.visit = ("attended", self.visit[1])
        self._moves_work()

    def _die(self, at: datetime) -> None:
        self.dead, self.blocker = True, None
        self._moves_work()

    def _finish(self, at: datetime) -> None:
        self.ended = True
        if self.held:
            self.blocker = None
        self._moves_work()

    def _moves_work(self) -> None:
        """The EHR says something new of the work: what a person decided about it no longer holds."""
        self.decided, self.snoozed = (False, None), None

    def _close(self, at: datetime) -> None:
        self.closed = True

    def _reopen(self, at: datetime) -> None:
        self.closed, self.reopened, self.known, self.waits = False, at, at, []
        self.status = "closed"

    def _escalate(self, at: datetime, to: str) -> None:
        standing = self.gravest()
        level = standing.level + 1 if standing is not None else 1
        if standing is None or standing.trigger not in (*CLINICAL, "person"):
            self.asked["person", at] = Asked("person", at, level, to, at)
        else:
            standing.level, standing.to, standing.at, standing.answered = level, to, at, False

    def _acknowledge(self, at: datetime) -> None:
        standing = self.gravest()
        assert standing is not None
        assert not standing.answered
        standing.answered = True

    def _resolve(self, at: datetime) -> None:
        standing = self.gravest()
        assert standing is not None
        standing.answered, standing.over = True, "person"

    # Where it stands --------------------------------------------------------------------------------------
    @property
    def counting(self) -> list[dict[str, Any]]:
        """Attempts since the visit was missed or the case reopened: what was before says nothing about now."""
        since = [at for at in (self.failed, self.reopened) if at is not None]
        return [one for one in self.attempts if not since or one["at"] >= max(since)]

    def _move(self, at: datetime) -> None:
        self.begun = max(at for at in (self.opened, self.failed, self.reopened) if at is not None)
        now = self._status()
        if now == self.status:
            return
        if self.status in WAITING and at > self.entered:
            self.waits.append((self.entered, at))
        if self.status == "scheduled" and self.owner not in self.staff.people:
            self.owned = at
        self.status, self.entered = now, at

    def _status(self) -> str:
        if self.closed or (self.ended and not self.clinical_question()):
            return "closed"
        if self.dead:
            return "waiting-on-provider"
        if self.blocker is not None:
            return WAITS_FOR[self.blocker]
        if self.visit is not None and self.visit[0] != "missed":
            return {"booked": "scheduled", "attended": "waiting-on-documents"}[self.visit[0]]
        if self.counting:
            last = self.counting[-1]
            promised = last["outcome"] == "reached" and last.get("promised_by") == "patient"
            return "waiting-on-patient" if last["outcome"] in AWAITED or promised else "needs-outreach"
        if self.visit is not None or self.assigned or self.decided[0]:
            return "needs-outreach"
        return "new"

    @property
    def is_open(self) -> bool:
        return self.status != "closed"

    def by_outreach(self) -> bool:
        """Whether an attempt says where the case stands."""
        away = self.dead or self.blocker is not None or (self.visit is not None and self.visit[0] != "missed")
        return bool(self.counting) and not away

    def clinical_question(self) -> bool:
        return not self.dead and any(
            one.trigger in CLINICAL and not one.answered and not one.over for one in self.asked.values()
        )

    def backup(self) -> str | None:
        if self.owner in self.staff.backups:
            return self.staff.backups[self.owner]
        first, second = self.lane["backup"], self.lane["owner"]
        return first if self.owner != first else second if self.owner != second else None

    def gravest(self) -> Asked | None:
        """The one that is shown: to somebody other than the owner, a clinical question before all, unanswered first."""

        def gravity(one: Asked) -> tuple[int, int, datetime, str]:
            clinical = 0 if one.trigger not in CLINICAL else 1 if one.answered else 2
            return clinical, one.level, one.at, one.trigger

        standing = [one for one in self.asked.values() if not one.over]
        shown = [one for one in standing if one.to != self.owner or one.trigger in CLINICAL]
        return max(shown, key=gravity, default=None)

    # What is due ------------------------------------------------------------------------------------------
    def due(self) -> datetime:
        due = self._due_by_lane()
        if self.decided[1] is not None:
            due = self.decided[1]
        return max(due, self.snoozed) if self.snoozed is not None else due

    def _due_by_lane(self) -> datetime:
        if self.status == "scheduled" and self.visit is not None:
            known_of = any(one["outcome"] == "reached" and one["at"] >= self.stated for one in self.attempts)
            is_ahead = self.visit[1] > self.at
            if not is_ahead or (known_of and " before " in self.lane["next"]["scheduled"]["due"]):
                return self.almanac.after(self.visit[1], "1 business day")
        last = self.counting[-1] if self.by_outreach() else None
        begun = self.begun if last is None else max(self.begun, last["at"])
        words = self._step().get("due", "window")
        due = self._due_by_words(words, begun)
        if last is None:
            return due
        if last.get("promised_for") is not None:
            promised: datetime = last["promised_for"]
            return promised
        vain, outreach = self.vain(), self.lane["outreach"]
        if len(vain) >= outreach["attempts"]:
            span = outreach["then"]["due"].removesuffix(" after opened")
            return self.almanac.after(begun, span)
        if vain:
            wait = outreach["wait"]
            at = self.almanac.after(vain[-1]["at"], wait if isinstance(wait, str) else wait[self.priority])
            return self.almanac.awake(at, outreach["quiet"])
        return due

    def _step(self) -> dict[str, Any]:
        """What is next here: by who has to judge, by how a visit that failed is recovered, else by the status."""
        if self.expert and self.status in ("new", "needs-outreach"):
            return dict(self.lane["complex"][0]["next"])
        if self.failed is not None and self.status in ("new", "needs-outreach"):
            reasons = {one["barrier"] for one in self.attempts if one.get("barrier") and one["at"] >= self.failed}
            for line in self.lane.get("recovers", ()):
                matters = self.priority in line.get("priorities", (self.priority,))
                held = not line.get("barriers") or reasons & set(line["barriers"])
                if matters and held and self.missed >= line.get("missed", 0):
                    step: dict[str, Any] = line["next"]
                    return step
        return dict(self.lane["next"][self.status])

    def _due_by_words(self, words: str, begun: datetime) -> datetime:
        span, _, ahead = words.partition(" before ")
        if ahead and self.visit is not None:
            due = self.almanac.before(self.visit[1], span)
            return due if due >= begun else min(self._due_by_words("window", begun), self.visit[1])
        span, _, anchor = words.partition(" after ")
        if anchor == "entered":
            return self.almanac.after(self.entered, span)
        if anchor == "visit" and self.visit is not None:
            return self.almanac.after(self.failed or self.visit[1], span)
        if anchor != "opened":
            span = self.lane["window"][self.priority]
        due = self.almanac.after(begun, span)
        for since, until in self.waits:
            due = self.almanac.put_off(due, span, max(since, begun), until)
        return due

    def vain(self) -> list[dict[str, Any]]:
        """Attempts in a row to which nobody answered, since the work began."""
        found: list[dict[str, Any]] = []
        for one in self.attempts:
            if one["at"] >= self.begun:
                found = [] if one["outcome"] in ANSWERED else [*found, one]
        return found
