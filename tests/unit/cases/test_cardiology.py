"""The lanes file alone makes another clinic of it: cardiology, with referrals and missed appointments only."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bridge.cases import commands as do
from bridge.cases.lanes import Lanes, parse_lanes
from bridge.cases.owners import OwnerBook, OwnerEntry
from bridge.cases.reconcile import LANE_OFF
from bridge.cases.terms import AttemptOutcome, BlockerCategory, ClosureReason, OwnerKind, Status
from bridge.errors import CommandRefused
from tests.unit.cases.builders import (
    SHIPPED,
    Desk,
    a_prescription,
    a_snapshot,
    a_task,
    a_visit,
    call,
    said,
    some_rules,
    utc,
)

TEXT = (Path(__file__).parent / "cardiology.toml").read_text("utf-8")
LANES = parse_lanes(TEXT)
PAGE = (Path(__file__).parents[3] / "docs" / "lanes.md").read_text("utf-8")
SNIPPETS = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
VISIT = "Appointment/1"


def a_clinic(lanes: Lanes = LANES) -> Desk:
    entries = (
        OwnerEntry(name, OwnerKind.ROLE, name, licensed=name == "cardiologist") for name in sorted(LANES.roles())
    )
    return Desk(some_rules(lanes=lanes, owners=OwnerBook(entries)))


def test_only_its_own_work_opens_cases() -> None:
    desk = a_clinic()

    desk.take(a_snapshot(), a_snapshot("ServiceRequest/2", title="Referral to dermatology"))
    desk.take(a_prescription("draft"), a_task("requested", ref="Task/7", parent=None, title="Refill"))
    desk.take(a_visit("noshow", parent=None), a_visit("booked", ref="Appointment/2", parent=None))

    assert {root: case.lane for root, case in desk.cases.items()} == {
        "ServiceRequest/1": "referral",
        VISIT: "missed-appointment",
    }
    assert {case.owner.id for case in desk.cases.values()} == {"cardiology-desk"}


def test_a_referral_goes_its_way_by_the_clinics_own_rules() -> None:
    desk = a_clinic()
    desk.take(a_snapshot())
    assert desk.case().due_at == utc(3)

    desk.wait(utc(4))
    assert [(one.trigger.value, one.to.id) for one in desk.case().escalations] == [("overdue", "cardiology-desk")]
    desk.do(call(AttemptOutcome.NO_ANSWER))
    case = desk.do(call(AttemptOutcome.NO_ANSWER))
    assert case.next_action is not None
    assert case.next_action.text == "Decide: the patient cannot be reached"

    desk.take(a_visit("booked"))
    assert desk.case().status is Status.SCHEDULED
    with pytest.raises(CommandRefused, match="visit that took place"):
        desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    desk.take(a_visit("fulfilled", version=30))
    assert desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen")).closure is not None


def test_its_own_words_say_what_holds_it_up() -> None:
    desk = a_clinic()

    desk.take(a_snapshot(status="on-hold", status_reason=said("ECG is missing")))

    blocker = desk.case().blocker
    assert blocker is not None
    assert blocker.category is BlockerCategory.MISSING_DOCUMENTATION


def test_what_is_not_routine_goes_to_the_cardiologist() -> None:
    desk = a_clinic()

    desk.take(a_snapshot(title="Referral to cardiology: pulmonary hypertension"))

    case = desk.case()
    assert case.owner.id == "cardiologist"
    assert case.next_action is not None
    assert case.next_action.text == "Decide who sees the patient"


@pytest.mark.parametrize("gone", [lane.name for lane in SHIPPED.all])
def test_each_shipped_lane_can_be_switched_off_and_its_open_cases_stay_and_say_so(gone: str) -> None:
    rest = Lanes((lane for lane in SHIPPED.all if lane.name != gone), SHIPPED.blockers)
    desk = Desk(some_rules(lanes=SHIPPED))
    desk.take(*some_work())
    before = {root: case for root, case in desk.cases.items() if case.lane == gone}
    assert before, "there is work of every lane"

    desk.rules = some_rules(lanes=rest)
    desk.look_again(*desk.sources)

    for root, case in before.items():
        after = desk.cases[root]
        assert after.is_open
        assert after.lane in rest or (after.lane, after.oddities) == (gone, (*case.oddities, LANE_OFF))
    assert {case.lane for case in desk.cases.values()} - {gone} <= {lane.name for lane in rest.all}


def some_work() -> list[Any]:
    """Return something for every shipped lane."""
    titles = ["Prior authorization", "Missed call", "Abnormal result", "Discharge", "Post-visit call", "Care gap"]
    tasks = [
        a_task("requested", ref=f"Task/{number}", parent=None, codes=(), title=title)
        for number, title in enumerate([*titles, "Home monitoring", "Refill"], start=10)
    ]
    visits = [a_visit("booked", ref="Appointment/8", parent=None), a_visit("noshow", ref="Appointment/9", parent=None)]
    return [*tasks, *visits, a_snapshot()]


def test_every_part_that_the_page_shows_is_part_of_the_example() -> None:
    whole = tomllib.loads(TEXT)

    assert len(SNIPPETS) >= 7
    for snippet in SNIPPETS:
        assert is_within(tomllib.loads(snippet), whole), snippet


def is_within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and is_within(one, whole[name]) for name, one in part.items()
        )
    if isinstance(part, list) and part and isinstance(part[0], dict):
        return all(one in whole for one in part)
    return bool(part == whole)


def test_the_page_explains_every_reason_to_climb_and_every_kind_of_proof() -> None:
    named = {rule.when.value for lane in SHIPPED.all for rule in lane.escalates}
    kinds = {kind.value for lane in SHIPPED.all for proof in lane.evidence.values() for kind in proof}

    assert {name for name in named | kinds if f"`{name}`" not in PAGE} == set()
