"""The lanes file read a second time: who is asked to step in, and when; by ``course``, and as independent as that."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from tests.unit.cases.year.course import BY_PEOPLE, CLINICAL, CONCERNS, Asked, Course


class Reading(Course):
    """One case by the second reading."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle(self.known)

    def happens(self, at: datetime, what: str, **how: Any) -> None:
        """Let time pass until *at*, then let something happen."""
        self.settle(at)
        getattr(self, f"_{what}")(at, **how)
        self._move(at)
        self.settle(at)

    def settle(self, now: datetime) -> None:
        """Let time pass; with its beginning a visit asks for something else."""
        if self.visit is not None and self.visit[0] == "booked" and self.at < self.visit[1] <= now:
            self._settle(self.visit[1] - timedelta(microseconds=1))
        self._settle(now)

    def _settle(self, now: datetime) -> None:
        """Ask everybody whose moment has come, and end what does not hold any longer."""
        self.at = now
        if not self.is_open:
            for one in self.asked.values():
                one.over = one.over or "closing"
            return
        holding = {}
        for rule in self.lane["escalates"]:
            if self.priority in rule.get("priorities", (self.priority,)):
                for since in self._since(rule):
                    holding[rule["when"], since] = rule
        for key, rule in holding.items():
            self._climb(key, rule, now)
        for key, one in self.asked.items():
            if key not in holding and not one.over and one.trigger not in BY_PEOPLE:
                one.over = "by itself"

    def _climb(self, key: tuple[str, datetime], rule: dict[str, Any], now: datetime) -> None:
        one = self.asked.get(key)
        if one is not None and one.over == "by itself":
            one.over = ""
        if one is not None and (one.over or one.answered):
            return
        at = self.almanac.beyond(key[1], rule.get("after", "0 minutes"))
        for level, name in enumerate(self._ladder(rule), start=1):
            if at > now:
                return
            if one is None or level > one.level:
                to = self._acting(name, rule, self.almanac.on(at))
                self.fired.append((*key, level, to, at))
                one = self.asked[key] = Asked(*key, level, to, at)
            if "every" not in rule:
                return
            at = self.almanac.beyond(at, rule["every"])

    def _ladder(self, rule: dict[str, Any]) -> list[str]:
        def names(asked: list[str]) -> list[str]:
            found = [{"owner": self.owner, "backup": self.backup()}.get(name, name) for name in asked]
            return list(dict.fromkeys(name for name in found if name is not None))

        ladder = names(rule.get("to") or ["owner", "backup", *self.lane["escalates_to"]])
        if rule["when"] not in CLINICAL:
            return ladder
        licensed = [name for name in ladder if name in self.staff.licensed]
        return licensed or [name for name in self.lane["escalates_to"] if name in self.staff.licensed]

    def _acting(self, name: str, rule: dict[str, Any], day: date) -> str:
        acting = self._stands_in(name, day)
        if rule["when"] not in CLINICAL or acting in self.staff.licensed:
            return acting
        others = [*rule.get("to", ()), *self.lane["escalates_to"], self.lane["backup"], self.lane["owner"]]
        there = [one for one in others if one in self.staff.licensed and not self.staff.is_away(one, day)]
        return there[0] if there else name

    def _stands_in(self, name: str, day: date) -> str:
        acting, asked = name, []
        while self.staff.is_away(acting, day) and acting not in asked:
            asked.append(acting)
            acting = self.staff.backups.get(acting, acting)
        if not self.staff.is_away(acting, day):
            return acting
        backup = self.backup()
        return backup if backup is not None and not self.staff.is_away(backup, day) else name

    def _since(self, rule: dict[str, Any]) -> list[datetime]:
        within = rule.get("within")
        span = within if isinstance(within, str) or within is None else within.get(self.priority)
        when = rule["when"]

        def from_then(at: datetime) -> list[datetime]:
            return [at if span is None else self.almanac.after(at, span)]

        if when == "overdue":
            return [max(self.due(), self.known)]
        if when == "unowned":
            in_queue = self.owner not in self.staff.people and self.status != "scheduled"
            return from_then(max(self.owned, self.known, self.begun)) if in_queue else []
        if when in CONCERNS:
            return [one["at"] for one in self.attempts if when in one["concerns"]]
        if self.dead:
            return []
        if when == "failed-contact":
            vain, enough = self.vain(), self.lane["outreach"]["attempts"]
            return [vain[enough - 1]["at"]] if len(vain) >= enough else []
        if when == "not-scheduled":
            seen = self.visit is not None and self.visit[0] == "attended"
            return [] if self.status == "scheduled" or seen else from_then(max(self.begun, self.known))
        assert when == "not-followed-up"
        anchor = self.visit[1] if self.visit is not None else self.opened
        if any(one["outcome"] == "reached" and one["at"] >= anchor for one in self.attempts):
            return []
        return from_then(max(anchor, self.known))
