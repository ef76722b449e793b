"""The route plan: what a CapabilityStatement and a profile let us do, and why."""

from __future__ import annotations

import pytest

from bridge.cases.intents import IntentKind
from bridge.fhir.capability import Capability, TypeCapability
from bridge.fhir.vendors import PROFILES, VendorProfile, profile
from bridge.tasks.route import How, route_plan

ALL = frozenset({"read", "create", "update", "search-type"})


def a_server(**changes: object) -> Capability:
    fields = {"interactions": ALL, "search_params": frozenset({"identifier"}), "conditional_create": True, **changes}
    declared = TypeCapability(**fields)  # type: ignore[arg-type]
    return Capability("R4", types={"Task": declared, "Communication": declared})


@pytest.mark.parametrize(
    ("server", "vendor", "how"),
    [
        (a_server(update_create=True), "generic", How.PUT_OWN_ID),
        (a_server(update_create=True), "medplum", How.CONDITIONAL_CREATE),
        (a_server(), "hapi", How.CONDITIONAL_CREATE),
        (a_server(conditional_create=False), "generic", How.CONDITIONAL_CREATE),
        (a_server(conditional_create=False, search_params=frozenset()), "generic", How.NOT_WRITABLE),
        (a_server(interactions=frozenset({"read"})), "generic", How.NOT_WRITABLE),
        (a_server(interactions=frozenset({"read", "create"})), "generic", How.NOT_WRITABLE),
        (Capability("R4"), "generic", How.NOT_WRITABLE),
    ],
)
def test_our_task_takes_the_safest_way_that_is_declared(server: Capability, vendor: str, how: How) -> None:
    assert route_plan(server, profile(vendor))[IntentKind.COORDINATION_TASK].how is how


def test_a_server_that_only_updates_lets_us_move_its_tasks() -> None:
    plan = route_plan(a_server(interactions=frozenset({"read", "update"})), profile("generic"))

    assert plan[IntentKind.SOURCE_TASK].how is How.UPDATE
    assert plan[IntentKind.STATUS_MESSAGE].how is How.NOT_WRITABLE


@pytest.mark.parametrize("vendor", PROFILES.values(), ids=lambda vendor: vendor.name)
@pytest.mark.parametrize("server", [a_server(update_create=True), Capability("R4")])
def test_every_kind_has_a_way_or_a_reason(server: Capability, vendor: VendorProfile) -> None:
    plan = route_plan(server, vendor)

    assert set(plan) == set(IntentKind)
    assert all(route.why for route in plan.values())


def test_switched_off_means_nothing_is_writable() -> None:
    plan = route_plan(a_server(), profile("generic"), writes=False)

    assert {route.how for route in plan.values()} == {How.NOT_WRITABLE}
