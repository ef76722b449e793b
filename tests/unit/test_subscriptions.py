"""``bridge subscriptions``: what it says and does, beside an EHR that keeps Subscriptions."""

from __future__ import annotations

from threading import Event

import pytest

from bridge.bootstrap import Bridge
from bridge.subscriptions import as_lines, listed, removed, standing_as_line, verified
from bridge.sync.turns import Turns
from tests.unit.sync.ringing import HOOK, SECRET, Ringing


@pytest.fixture
def world() -> Ringing:
    """An EHR with the Subscriptions of two types, one of them made by hand."""
    world = Ringing({"own_ids": False}, read=["Task", "Appointment"])
    world.registry.by_hand("7", "Appointment?", f"{HOOK}/Appointment")
    world.subscribe()
    return world


def bridge_of(world: Ringing) -> Bridge:
    return Bridge(
        settings=world.settings,
        store=world.store,
        lines={"main": world.line},
        connectors={"main": world.bridge},
        exits={},
        governors={},
        turns=Turns(world.store, world.clock),
        stopping=Event(),
        clock=world.clock,
    )


def test_the_list_says_what_is_there_and_what_was_heard(world: Ringing) -> None:
    world.ring("Task")

    lines = "\n".join(as_lines(listed(bridge_of(world))))

    assert "main: 2 on the EHR" in lines
    assert "Task (classic): Active." in lines
    assert "Appointment (classic, made by hand): Active." in lines
    assert "Subscription/1, last event 2026-06-01T" in lines
    assert SECRET not in lines


def test_verify_says_what_is_wrong_and_changes_nothing(world: Ringing) -> None:
    bridge = bridge_of(world)
    assert [one["problem"] for one in verified(bridge, "main")] == [None, None]
    world.registry.activate("error")
    before = dict(world.registry.kept)

    lines = [standing_as_line("main", one) for one in verified(bridge, "main")]

    assert lines == [
        "!!  main Appointment? Subscription/7: it is not active, and was made by hand",
        "!!  main Task Subscription/1: the EHR calls it error",
    ]
    assert world.registry.kept == before


def test_remove_works_after_it_was_switched_off(world: Ringing) -> None:
    connections = {"main": world.settings.connections["main"].model_copy(update={"subscribe": "off"})}
    world.settings = world.settings.model_copy(update={"connections": connections})

    assert removed(bridge_of(world), "main") == {"removed": ["Subscription/1"], "problem": None}
    assert set(world.registry.kept) == {"7"}


def test_what_is_not_configured_is_said(world: Ringing) -> None:
    connections = {"main": world.settings.connections["main"].model_copy(update={"subscribe_url": None})}
    world.settings = world.settings.model_copy(update={"connections": connections})

    assert "not configured" in removed(bridge_of(world), "main")["problem"]
    assert "not configured" in verified(bridge_of(world), "main")[0]["problem"]
