"""The demo's clinic: its stories are work of every lane, and its people may do what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.bootstrap import Bridge, open_bridge
from bridge.cases.intents import IntentKind
from bridge.cases.model import Case
from bridge.cases.terms import Status
from bridge.demo import DANA, DAY, demo_settings, do_the_days_work
from bridge.store.queries import CaseFilter
from conformance.demo import start_live_ehr
from conformance.generator.stories import TEMPLATES
from tests.unit.cases.builders import SHIPPED

SEED = 1


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Bridge]:
    """A demo that has read its EHR; nothing in the stories happens for a day."""
    with (
        start_live_ehr(seed=SEED, stories=len(TEMPLATES), speed=1.0) as ehr,
        open_bridge(demo_settings(ehr.base_url, tmp_path, SEED)) as bridge,
    ):
        for connector in bridge.connectors.values():
            connector.sync_once()
        yield bridge


def cases(bridge: Bridge) -> list[Case]:
    with bridge.store.reading() as tx:
        return list(tx.list_cases(CaseFilter(), limit=200).cases)


def test_there_is_work_of_every_lane_and_people_work_it(demo: Bridge) -> None:
    lanes = {case.lane for case in cases(demo)}
    assert lanes == {lane.name for lane in SHIPPED.all} - {"missed-appointment"}, "nobody misses a visit at once"

    assert do_the_days_work(demo, DAY) == sum(len(deed.commands) for deed in DAY)

    worked = cases(demo)
    assert {case.lane for case in worked if case.outreach} >= {"missed-call", "referral", "discharge", "care-gap"}
    assert any(case.owner.id == DANA for case in worked)
    assert [case.lane for case in worked if case.escalations] == ["discharge"]
    assert [case.lane for case in worked if case.status is Status.CLOSED] == ["post-visit"]
    with demo.store.reading() as tx:
        records = [row for row in tx.outbox(limit=500) if row.intent.kind is IntentKind.OUTREACH_RECORD]
    assert len(records) == sum(len(case.outreach) for case in worked) > 0
