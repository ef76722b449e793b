"""The whole way round: Bridge subscribes to a simulated EHR, which rings at Bridge's own door, well or badly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from bridge.bootstrap import Bridge
from bridge.store.rows import Subscribed
from bridge.sync.connector import Connector
from bridge.sync.hearing import Condition, condition
from bridge.sync.notify import Doorbell
from bridge.sync.turns import Turns
from bridge.web.app import create_app
from bridge.wiring import make_subscriber
from conformance.simulator import Options, Reply, Ring
from tests.unit.sync.ringing import HERE, SECRET
from tests.unit.sync.world import World, a_task, order, patient

TOPIC = "http://ehr.example/SubscriptionTopic/Task"
STEP = 5
"""Seconds between two looks at what is due, for all of them."""

VERSIONS = {"4.0.1": "R4", "4.3.0": "R4B", "5.0.0": "R5"}


class Together(World):
    """A simulated EHR and a Bridge that serves, on one clock; ``polls`` is off where only rings are to count."""

    def __init__(
        self, *faults: str, version: str = "4.0.1", topic: bool = False, signature: str | None = None, **connection: Any
    ) -> None:
        self.polls = True
        topics = {"subscribe_topics": {"Task": TOPIC}} if topic else {}
        super().__init__(
            options=Options(fhir_version=version),
            faults=faults,
            **{
                "fhir_version": VERSIONS[version],
                "subscribe": "auto",
                "subscribe_url": HERE,
                "hook_secret": SECRET,
                "read": ["Task"],
                **topics,
                **connection,
            },
        )
        self.ehr.put(patient())
        self.ehr.put(order())
        self.bell = Doorbell(self.store, self.clock)
        web = Bridge(
            settings=self.settings,
            store=self.store,
            lines={"main": self.line},
            connectors={"main": self.bridge},
            exits={},
            governors={},
            turns=Turns(self.store, self.clock),
            stopping=Event(),
            clock=self.clock,
        ).web(self.bell.take)
        self._door = TestClient(create_app(web), base_url="http://127.0.0.1", raise_server_exceptions=False)
        self.ehr.hooks.sender = self._sent
        self.ehr.hooks.habits.signature = signature

    def new_bridge(self) -> Connector:
        connector = super().new_bridge()
        section = self.settings.connections["main"]
        return dataclasses.replace(connector, subscriber=make_subscriber(connector, section))

    def _sent(self, ring: Ring) -> Reply | None:
        address = urlsplit(ring.url).path
        answer = self._door.request(ring.method, address, content=ring.body, headers=dict(ring.headers))
        return Reply(answer.status_code, answer.content)

    def live(self, seconds: float) -> None:
        """Let time pass, with everything that a running Bridge does in it."""
        for number in range(1, int(seconds / STEP) + 1):
            self.clock.advance(seconds=STEP)
            self.ehr.deliver()
            self.bridge.answer()
            if self.polls and number % 6 == 0:
                self.bridge.read()
            if self.bridge.subscriber is not None:
                self.bridge.subscriber.tend()

    def begin(self) -> None:
        """Read everything, subscribe, and wait until all is active and quiet."""
        self.bridge.read()
        self.live(120)
        self.requests.clear()

    def changed(self, number: int = 1) -> None:
        """Have the clinic make or change a Task."""
        self.ehr.put(a_task(f"t{number}", status="in-progress" if self.ehr.get(f"Task/t{number}") else "requested"))

    def knows(self, number: int = 1) -> bool:
        """Whether Bridge has the Task as the EHR has it now."""
        with self.store.reading() as tx:
            row = tx.sources("main", [f"Task/t{number}"]).get(f"Task/t{number}")
        now = self.ehr.get(f"Task/t{number}")
        return row is not None and now is not None and row.snapshot.version == now["meta"]["versionId"]

    @property
    def row(self) -> Subscribed:
        """How the one Subscription stands."""
        with self.store.reading() as tx:
            (row,) = tx.subscribed("main")
        return row

    @property
    def condition(self) -> Condition:
        """What it is worth."""
        return condition(self.row, self.clock())

    def searches(self) -> int:
        """Return how many searches for Tasks there were that were not for single ones."""
        asked = [sent.url.params for sent in self.requests if sent.url.path == "/fhir/Task"]
        return sum("_id" not in params for params in asked)


Make = Callable[..., Together]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make worlds and close their doors in the end."""
    made: list[Together] = []

    def one(*faults: str, **more: Any) -> Together:
        made.append(Together(*faults, **more))
        made[-1].begin()
        return made[-1]

    yield one
    for world in made:
        with closing(world.bell):
            world.bridge.client.close()


EVERY_FLAVOR = [
    pytest.param("4.0.1", False, id="R4-classic"),
    pytest.param("4.0.1", True, id="R4-topic"),
    pytest.param("4.3.0", True, id="R4B-topic"),
    pytest.param("5.0.0", True, id="R5-topic"),
]


@pytest.mark.parametrize(("version", "topic"), EVERY_FLAVOR)
def test_what_changes_is_known_without_a_poll(make: Make, version: str, topic: bool) -> None:
    world = make(version=version, topic=topic)
    world.polls = False

    for _ in range(2):
        world.changed()
        world.live(STEP)
        assert world.knows()

    assert world.condition is Condition.WORKING
    assert len(world.ehr.all("Subscription")) == 1
    assert world.row.gaps == 0


@pytest.mark.parametrize("topic", [False, True], ids=["classic", "topic"])
def test_what_is_to_be_signed_is_signed(make: Make, topic: bool) -> None:
    world = make(topic=topic, hook_signing_key="a-key-of-this-test", signature="X-Hub-Signature")
    world.polls = False

    world.changed()
    world.live(STEP)

    assert world.knows()
    assert world.condition is Condition.WORKING


# F13 to F15 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hook-copies=19", "hook-late=300", "hook-shuffle=300", "counter-stuck"])
@pytest.mark.parametrize("topic", [False, True], ids=["classic", "topic"])
def test_f13_repeated_late_and_shuffled_notifications_change_nothing_twice(make: Make, fault: str, topic: bool) -> None:
    world = make(fault, topic=topic)
    for number in range(5):
        world.changed(number)
        world.changed(number)
        world.live(30)
    world.live(300)
    with world.store.reading() as tx:
        before = tx.totals("main")["Task"].applied

    world.live(600)

    with world.store.reading() as tx:
        assert tx.totals("main")["Task"].applied == before
    assert all(world.knows(number) for number in range(5))


@pytest.mark.parametrize("fault", ["hook-lost", "subscription-silent"])
def test_f14_lost_notifications_cost_a_poll_and_are_found_out(make: Make, fault: str) -> None:
    world = make(fault)
    for number in range(12):
        world.changed(number)
        world.live(60)
        assert world.knows(number)

    assert world.row.missed >= 3
    assert world.condition in (Condition.NOT_ARRIVING, Condition.STARTING)
    assert len(world.ehr.all("Subscription")) == 1


@pytest.mark.parametrize("becomes", ["error", "off", "gone"])
@pytest.mark.parametrize("topic", [False, True], ids=["classic", "topic"])
def test_f14_one_that_fails_is_mended_and_nothing_is_missed(make: Make, becomes: str, topic: bool) -> None:
    world = make(f"subscription-fails=1,{becomes}", topic=topic)
    world.changed(1)
    world.live(STEP)
    world.changed(2)
    world.ehr.remove_fault("subscription-fails")

    world.live(180)

    assert world.knows(1)
    assert world.knows(2)
    assert len(world.ehr.all("Subscription")) == 1


def test_f15_a_gap_is_caught_up_with_by_events(make: Make) -> None:
    world = make("hook-lost=2", topic=True)
    world.polls = False

    for number in range(6):
        world.changed(number)
        world.live(STEP)
    world.live(60)

    assert all(world.knows(number) for number in range(6))
    assert world.row.gaps >= 1


@pytest.mark.parametrize("fault", ["counter-per-bundle", "counter-restarts=3", "counter-stuck"])
def test_f15_numbers_that_begin_anew_raise_no_storm(make: Make, fault: str) -> None:
    world = make(fault, topic=True)
    world.polls = False
    for number in range(30):
        world.changed(number)
        world.live(STEP)

    assert all(world.knows(number) for number in range(30))
    assert world.searches() <= 3
    assert world.condition is Condition.WORKING


def test_a_heartbeat_that_stops_is_shown_within_two(make: Make) -> None:
    world = make(topic=True, subscribe_heartbeat_seconds=60)
    world.live(300)
    assert world.condition is Condition.WORKING

    world.ehr.hooks.sender = None
    world.bridge = dataclasses.replace(world.bridge, subscriber=None)
    world.live(125)

    assert world.condition is Condition.SILENT


def test_renewed_in_time_it_rings_on_after_its_first_end(make: Make) -> None:
    world = make(subscribe_days=1)
    ends = world.row.ends_at
    assert ends is not None

    while world.clock() < ends:
        world.clock.advance(hours=1)
        world.live(20)
    world.changed()
    world.polls = False
    world.live(STEP)

    assert world.knows()
    assert world.condition is Condition.WORKING
