"""What ``bridge doctor`` tries out, and that nothing is changed by it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bridge.cases.intents import IntentKind
from bridge.finding import Finding
from bridge.probes import postgresql, sqlite_commits, sqlite_durability, writes
from bridge.store.opening import create_or_open
from bridge.tasks.route import How, Route
from tests.unit.sync.world import World

PLAN = {
    IntentKind.COORDINATION_TASK: Route(How.PUT_OWN_ID, ""),
    IntentKind.SOURCE_TASK: Route(How.UPDATE, ""),
    IntentKind.STATUS_MESSAGE: Route(How.CONDITIONAL_CREATE, ""),
    IntentKind.OUTREACH_RECORD: Route(How.NOT_WRITABLE, ""),
}


def tried(world: World) -> dict[str, Finding]:
    found = writes("main", world.bridge.client, PLAN)
    return {one.topic.removeprefix("connection main write ").removesuffix(" try"): one for one in found}


def answering(status: int) -> World:
    world = World()
    world.answers = lambda sent: httpx.Response(status, request=sent) if sent.method != "GET" else None
    return world


def test_a_write_with_nothing_in_it_proves_that_writing_is_allowed_and_writes_nothing() -> None:
    world = World()

    found = tried(world)

    assert {topic: one.ok for topic, one in found.items()} == dict.fromkeys(
        ("coordination-task", "source-task", "status-message"), True
    )
    assert all("(400)" in one.found for one in found.values())
    assert [f"{sent.method} {sent.url.path}" for sent in world.requests] == [
        "PUT /fhir/Task/bridge-doctor",
        "POST /fhir/Communication",
    ]
    assert all(not sent.content for sent in world.requests)
    assert world.ehr.all("Task") == world.ehr.all("Communication") == []


@pytest.mark.parametrize(("status", "advice"), [(401, "see authentication"), (403, "scope")])
def test_who_may_not_write_is_told_what_to_ask_for(status: int, advice: str) -> None:
    found = tried(answering(status))

    assert not any(one.ok for one in found.values())
    assert all(advice in one.advice for one in found.values())


def test_an_address_where_nothing_can_be_made_is_no_way_to_make_something_but_may_be_one_to_change_it() -> None:
    found = tried(answering(405))

    assert [one.ok for one in found.values()] == [False, False, False]

    plan = {IntentKind.SOURCE_TASK: Route(How.UPDATE, "")}
    (update,) = writes("main", answering(404).bridge.client, plan)
    assert update.ok
    assert "not proven" in update.found


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_says_nothing_of_the_write_proves_nothing(status: int) -> None:
    found = tried(answering(status))

    assert all(one.ok and "not proven" in one.found for one in found.values())


def test_an_ehr_that_is_away_is_told_as_such() -> None:
    world = World()
    world.away = True

    assert not any(one.ok for one in tried(world).values())


def test_the_time_of_a_commit_is_taken_beside_the_database_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "bridge.sqlite3"
    create_or_open(f"sqlite:///{file}").close()
    before = sorted(tmp_path.iterdir())

    commit, durable = sqlite_commits(file), sqlite_durability(file)

    assert commit.found.startswith("a durable commit takes ")
    assert durable.found == "journal wal, synchronous FULL on every commit"
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    found = sqlite_commits(tmp_path / "missing" / "bridge.sqlite3")

    assert not found.ok
    assert "cannot be written to" in found.found


def test_a_postgresql_that_is_away_is_told() -> None:
    (found,) = postgresql("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")

    assert (found.ok, found.reached) == (False, False)
