"""What tests of the ladder share: a desk where an order came in, lanes with few reasons, and the steps taken."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from bridge.cases.changes import Escalated
from bridge.cases.lanes import Lanes, parse_lanes
from bridge.cases.model import Escalation
from bridge.cases.terms import AttemptOutcome, Concern, Trigger
from tests.unit.cases.builders import (
    ORDER,
    SHIPPED,
    SHIPPED_TEXT,
    Desk,
    a_snapshot,
    call,
    refolded,
    some_rules,
    utc,
)

REACHED = AttemptOutcome.REACHED
WORSE = call(REACHED, concerns=(Concern.WORSENING_SYMPTOMS,))
DUE = utc(2)
"""The window of a routine referral that was asked for on Friday closes on Tuesday at closing time."""


def a_desk(lanes: Lanes = SHIPPED, **changes: Any) -> Desk:
    """Return a desk where a routine order came in on Monday at ten, by the lanes as they are shipped."""
    desk = Desk(some_rules(lanes=lanes))
    desk.take(a_snapshot(**changes))
    return desk


REFERRALS_CLIMB = re.compile(r"\n\[\[lanes\.referral\.escalates\]\]\n(?:[^\[\n].*\n)*")


def only(text: str) -> Lanes:
    """Return the shipped lanes with these reasons to climb and no others, for referrals too."""
    rest = SHIPPED_TEXT.split("[[defaults.escalates]]")[0]
    own = REFERRALS_CLIMB.sub("\n", SHIPPED_TEXT[SHIPPED_TEXT.index("\n[lanes.") :])
    return parse_lanes(f"{rest}\n{text}\n{own}")


def climbs(desk: Desk, root: str = ORDER) -> list[Escalation]:
    """Return every step and answer in the order in which they were written down."""
    changes = desk.history[desk.case(root).id]
    assert refolded(changes) == desk.case(root)
    return [change.fact.escalation for change in changes if isinstance(change.fact, Escalated)]


def steps(desk: Desk) -> list[tuple[Trigger, int, str, datetime]]:
    return [(one.trigger, one.level, one.to.id, one.since) for one in climbs(desk) if one.is_open]


OVERDUE = only('[[defaults.escalates]]\nwhen = "overdue"\nafter = "1 business day"\nevery = "1 business day"')
UNOWNED = only('[[defaults.escalates]]\nwhen = "unowned"\nwithin = "4 business hours"\nto = ["supervisor"]')
UNSCHEDULED = only(
    '[[defaults.escalates]]\nwhen = "not-scheduled"\nwithin = { stat = "1 hour", urgent = "2 business days" }\n'
    'priorities = ["stat", "urgent"]\nto = ["supervisor"]'
)
