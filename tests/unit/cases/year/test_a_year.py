"""
Every step of every ladder: once, at the right minute, to the right person; by a second reading of the lanes file.

For a larger run: ``python -m tests.unit.cases.year CASES SEED`` plays so many cases for each site and clock.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.unit.cases.builders import refolded
from tests.unit.cases.year.clinic import LORD_HOWE, NEW_YORK, WORK, Site, rules_of
from tests.unit.cases.year.drawn import Play

CASES = 3 * len(WORK)
STEPS = 14
CLOCKS = ("steady", "loose", "behind")


@pytest.mark.parametrize("site", [NEW_YORK, LORD_HOWE], ids=lambda site: site.name)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_year_of_cases_goes_by_the_second_reading(site: Site, clock: str) -> None:
    seen = a_year(site, CASES, clock, seed=1)

    assert {"overdue", "unowned", "failed-contact", "not-followed-up", "not-scheduled"} <= set(seen)


def a_year(site: Site, cases: int, clock: str, seed: int) -> Counter[str]:
    """Play *cases* cases and return how many steps were taken because of what."""
    dice, rules, almanac = random.Random(seed), rules_of(site), site.almanac()
    seen: Counter[str] = Counter()
    for number in range(cases):
        play = Play(random.Random(dice.randrange(2**32)), WORK[number % len(WORK)], rules, almanac, clock)
        play.begin()
        compare(play)
        for _ in range(STEPS):
            if not play.step():
                break
            compare(play)
        play.pass_time(60 * 24 * 40)
        play.look()
        play.reading.settle(play.now)
        compare(play)
        seen.update(fired[0] for fired in play.fired())
    return seen


def compare(play: Play) -> None:
    case, reading, told = play.case, play.reading, "\n".join(play.log)
    assert (case.stage.value, case.owner.id) == (reading.status, reading.owner), told
    assert sorted(play.fired()) == sorted(reading.fired), told
    standing = {
        (one.trigger.value, one.level, one.to.id, one.acknowledged_at is not None)
        for one in case.escalations
        if one.is_open
    }
    expected = {(one.trigger, one.level, one.to, one.answered) for one in reading.asked.values() if not one.over}
    assert standing == expected, told
    gravest, shown = reading.gravest(), case.escalation
    if reading.is_open:
        assert (shown.trigger.value if shown else None) == (gravest.trigger if gravest else None), told
        if gravest is None or gravest.trigger not in ("person", "worsening-symptoms", "medication-confusion"):
            assert case.due_at == reading.due(), told
    assert refolded(play.history()) == case
