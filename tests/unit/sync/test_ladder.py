"""The ladder: the best way to read each type, proven before it is used, with the reason why not a better one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest

from bridge.errors import Refused, Unreachable, UnsafeAnswer
from bridge.fhir.capability import Capability, TypeCapability
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.vendors import PROFILES, profile
from bridge.fhir.vendors.compare import Readable, readable
from bridge.mappers import MAPPERS
from bridge.settings import Way
from bridge.sync.ladder import HOLD_ON, LOOK_AGAIN, PROVEN_FOR, Ladder
from bridge.sync.rungs import Roster, Rung, steps
from conformance.simulator import ManualClock, SimulatorTransport
from tests.unit.sync.world import BASE, START, World, order

Answer = Callable[[httpx.QueryParams], "int | list[str]"]
"""A status that is refused with, or when each resource that is found changed last."""

ROSTER = Roster(patients=("Patient/p1",), practitioners=("Practitioner/d1",), locations=("Location/l1",))
OLD = "2026-01-01T00:00:00Z"


def can(params: str, *, keys: tuple[str, ...] = ()) -> Readable:
    """Return a type that is searched by these parameters (with blanks between)."""
    return Readable(True, frozenset(params.split()), keys, None, "the CapabilityStatement")


def rungs(kind: str, found: Readable, roster: Roster = ROSTER) -> list[str]:
    """Return the rungs that are tried, in order."""
    return list(dict.fromkeys(step.rung.value for step in steps(found, MAPPERS[kind].search, roster).steps))


class Server(httpx.BaseTransport):
    """Answers every search by a function of its parameters."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked = answer, list[httpx.QueryParams]()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a search."""
        self.asked.append(request.url.params)
        found = self.answer(request.url.params)
        if isinstance(found, int):
            return httpx.Response(found, json={"resourceType": "OperationOutcome", "issue": []}, request=request)
        kind = request.url.path.rpartition("/")[2]
        entries = [
            {"resource": {"resourceType": kind, "id": f"r{number}", "meta": {"lastUpdated": at}}}
            for number, at in enumerate(found)
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
        return httpx.Response(200, json=bundle, request=request)


def a_ladder(
    server: httpx.BaseTransport,
    params: str = "_lastUpdated authored status patient",
    *,
    kind: str = "ServiceRequest",
    clock: Callable[[], Any] = lambda: START,
    vendor: str = "generic",
    **more: Any,
) -> Ladder:
    """Return the ladder of a server that declares these parameters for *kind*."""
    declared = TypeCapability(frozenset({"search-type"}), frozenset(params.split()))
    line = World().line
    client = FhirClient(Endpoint("main", BASE, attempts=1), clock=clock, sleep=lambda _: None, transport=server)
    capability = Capability("R4", types={kind: declared})
    return Ladder(line, client, profile(vendor), lambda: capability, clock, **more)


def heeds(params: httpx.QueryParams) -> int | list[str]:
    """Answer as a server should that holds one old resource."""
    bounds = [value for name, value in params.multi_items() if name in ("_lastUpdated", "authored")]
    return [] if any(bound[2:] > OLD for bound in bounds) else [OLD]


def ignores(*names: str) -> Answer:
    """Answer as a server that ignores these parameters and says nothing of it."""
    return lambda params: heeds(httpx.QueryParams([pair for pair in params.multi_items() if pair[0] not in names]))


def refuses(*names: str, without: str = "") -> Answer:
    """Answer as a server that refuses a search with one of these parameters, or *without* one."""

    def answer(params: httpx.QueryParams) -> int | list[str]:
        return 400 if {*names} & {*params} or (without and without not in params) else heeds(params)

    return answer


# Which rungs there are ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "params", "expected"),
    [
        ("ServiceRequest", "_lastUpdated authored patient", ["last-updated", "date", "snapshot", "by-patient"]),
        ("ServiceRequest", "authored patient", ["date", "snapshot", "by-patient"]),
        ("ServiceRequest", "category", ["snapshot"]),
        ("Task", "authored-on modified patient", ["date", "snapshot", "by-patient"]),
        (
            "Appointment",
            "date patient practitioner location",
            ["snapshot", "by-practitioner", "by-location", "by-patient"],
        ),
    ],
)
def test_what_is_declared_decides_which_rungs_there_are(kind: str, params: str, expected: Sequence[str]) -> None:
    assert rungs(kind, can(params)) == expected


def test_a_type_that_needs_a_patient_is_never_searched_whole() -> None:
    found = can("_lastUpdated authored patient practitioner", keys=("patient",))

    assert rungs("ServiceRequest", found) == rungs("Appointment", found) == ["by-patient"]


def test_schedules_are_read_where_some_are_configured() -> None:
    found = can("date patient practitioner location", keys=("patient", "practitioner", "location"))

    assert rungs("Appointment", found, Roster()) == ["by-patient"]
    assert rungs("Appointment", found, Roster(locations=("Location/l1",))) == ["by-location", "by-patient"]


@pytest.mark.parametrize("vendor", PROFILES)
@pytest.mark.parametrize("kind", MAPPERS)
def test_every_vendor_has_a_way_for_every_type_or_a_reason(vendor: str, kind: str) -> None:
    found = steps(readable(kind, profile(vendor), None), MAPPERS[kind].search, ROSTER)

    assert found.steps or found.passed_over
    assert {step.rung for step in found.steps} | {words.partition(":")[0] for words in found.passed_over}


def test_the_settings_know_every_rung() -> None:
    assert {*Way.__args__} == {rung.value for rung in Rung}


# Proof ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (heeds, "last-updated"),
        (ignores("_lastUpdated"), "date"),
        (refuses("_lastUpdated"), "date"),
        (ignores("_lastUpdated", "authored"), "snapshot"),
        (refuses(without="patient"), "by-patient"),
        (lambda params: [] if "_lastUpdated" in params else heeds(params), "date"),
    ],
    ids=["heeds", "ignores", "refuses", "ignores both", "needs a patient", "finds nothing by it"],
)
def test_a_rung_that_fails_its_probe_is_passed_over(answer: Answer, expected: str) -> None:
    ladder = a_ladder(Server(answer), roster=ROSTER)

    choice = ladder.choice("ServiceRequest")

    assert choice.step is not None
    assert choice.step.rung.value == expected
    above = [rung.value for rung in Rung][: [*Rung].index(choice.step.rung)]
    assert [words.partition(":")[0] for words in choice.passed_over] == above


def test_a_row_from_the_future_is_no_ignored_filter() -> None:
    """Clocks of servers have been seen years ahead; such a row is what was asked for."""
    ladder = a_ladder(Server(lambda params: ["2030-01-01T00:00:00Z"]))

    choice = ladder.choice("ServiceRequest")

    assert choice.step is not None
    assert choice.step.rung is Rung.LAST_UPDATED


def test_a_warning_that_the_filter_was_ignored_is_a_failed_probe() -> None:
    world = World()
    world.ehr.put(order())
    world.ehr.options.lenient = True
    world.ehr.options.search_by_last_updated = False

    ladder = a_ladder(SimulatorTransport(world.ehr), clock=world.clock)
    choice = ladder.choice("ServiceRequest")

    assert choice.step is not None
    assert choice.step.rung is Rung.DATE
    assert any(words.startswith("last-updated: search of ServiceRequest: ") for words in choice.passed_over)


def test_where_nothing_is_proven_the_reasons_are_told() -> None:
    ladder = a_ladder(Server(lambda _: 403), roster=ROSTER)

    choice = ladder.choice("ServiceRequest")

    assert choice.step is None
    assert choice.words.startswith("there is no way to read ServiceRequest")
    assert all(f"{rung}: " in choice.words for rung in ("last-updated", "date", "snapshot", "by-patient"))


def test_without_anybody_to_ask_for_the_setting_is_named() -> None:
    ladder = a_ladder(Server(heeds), "patient", vendor="epic")

    assert "name some in connections.main.patients" in ladder.choice("ServiceRequest").words


def test_one_patient_who_is_closed_to_us_disproves_nothing() -> None:
    answer: Answer = lambda params: 403 if params.get("patient") == "p1" else []  # noqa: E731
    ladder = a_ladder(Server(answer), vendor="epic", roster=ROSTER, patients=lambda: ["Patient/p2"])

    assert "by-patient" in ladder.choice("ServiceRequest").words
    assert ladder.choice("ServiceRequest").step is not None


def test_a_rung_that_is_set_is_tried_all_the_same() -> None:
    settings = {"ServiceRequest": Rung.DATE}

    good = a_ladder(Server(heeds), settings=settings).choice("ServiceRequest")
    bad = a_ladder(Server(ignores("authored")), settings=settings).choice("ServiceRequest")

    assert good.words.startswith("date: set in the configuration; asked by authored")
    assert bad.step is None
    assert "authored fails" in bad.words


def test_an_ehr_that_is_away_disproves_nothing() -> None:
    class Away(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused")

    ladder = a_ladder(Away())

    with pytest.raises(Unreachable):
        ladder.choice("ServiceRequest")
    assert ladder.known == {}


def test_what_was_proven_is_believed_for_an_hour_or_until_it_fails() -> None:
    clock, server = ManualClock(START), Server(heeds)
    ladder = a_ladder(server, clock=clock)
    ladder.choice("ServiceRequest")
    asked = len(server.asked)

    ladder.choice("ServiceRequest")
    assert len(server.asked) == asked
    ladder.doubt("ServiceRequest")
    ladder.choice("ServiceRequest")
    assert len(server.asked) == 2 * asked
    clock.advance(hours=PROVEN_FOR.total_seconds() / 3600 + 1)
    ladder.choice("ServiceRequest")
    assert len(server.asked) == 3 * asked


def test_a_rung_that_fails_for_a_moment_is_not_left() -> None:
    """On a lower rung everything would be read anew."""
    clock, server = ManualClock(START), Server(heeds)
    ladder = a_ladder(server, clock=clock)
    ladder.choice("ServiceRequest")

    def fails() -> None:
        clock.advance(hours=PROVEN_FOR.total_seconds() / 3600)
        server.answer = ignores("_lastUpdated")
        with pytest.raises(UnsafeAnswer, match="cannot be read as before just now: last-updated: asked for changes"):
            ladder.choice("ServiceRequest")

    fails()
    server.answer = heeds
    assert ladder.choice("ServiceRequest").words.startswith("last-updated")
    fails()
    clock.advance(minutes=HOLD_ON.total_seconds() / 60)
    assert ladder.choice("ServiceRequest").words.startswith("date")
    ladder.doubt("ServiceRequest")
    server.answer = heeds
    assert ladder.choice("ServiceRequest").words.startswith("last-updated"), "a better rung is taken at once"


def test_where_there_is_no_way_it_is_looked_for_again_soon() -> None:
    clock, server = ManualClock(START), Server(lambda _: 403)
    ladder = a_ladder(server, clock=clock)
    ladder.choice("ServiceRequest")
    server.answer = heeds

    assert ladder.choice("ServiceRequest").step is None
    clock.advance(minutes=LOOK_AGAIN.total_seconds() / 60 + 1)
    assert ladder.choice("ServiceRequest").step is not None


def test_a_statement_that_cannot_be_had_leaves_it_to_the_profile_and_the_probe() -> None:
    world = World()
    world.ehr.put(order())

    def no_statement() -> Capability:
        raise Refused("metadata: answered 404")

    client = world.bridge.client
    epic = Ladder(world.line, client, profile("epic"), no_statement, world.clock, roster=ROSTER)
    anybody = Ladder(world.line, client, profile("generic"), no_statement, world.clock)

    assert epic.choice("ServiceRequest").words.startswith("by-patient: ")
    assert anybody.choice("ServiceRequest").words.startswith("last-updated: ")


# Whose resources ------------------------------------------------------------------------------------------


def test_a_group_stands_for_its_members() -> None:
    def member(ref: str, **more: Any) -> Mapping[str, Any]:
        return {"entity": {"reference": ref}, **more}

    members = [member("Patient/p2"), member("Practitioner/d1"), member("Patient/p3", inactive=True), {}]
    group = {"resourceType": "Group", "id": "panel", "member": members}

    class OneGroup(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json=group)

    roster = Roster(patients=("Group/panel", "Patient/p1"))
    ladder = a_ladder(OneGroup(), roster=roster, patients=lambda: ["Patient/p9", "Patient/p1"])
    step = steps(can("patient"), MAPPERS["Task"].search, roster).steps[-1]

    assert ladder.keys(step) == ["Patient/p1", "Patient/p2", "Patient/p9"]
