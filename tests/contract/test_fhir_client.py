"""The FHIR client on a simulated EHR: what it asks for, what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bridge.errors import (
    AuthExpired,
    CursorExpired,
    Gone,
    NotFound,
    OutcomeUnknown,
    Refused,
    Throttled,
    UnsafeAnswer,
    VersionConflict,
)
from bridge.fhir.auth import BasicAuth, BearerToken
from bridge.fhir.client import Endpoint, FhirClient, escape
from conformance.simulator import ManualClock, Options, Simulator, SimulatorTransport, start

NOW = datetime(2026, 6, 1, 14, tzinfo=UTC)
BASE = "http://ehr.example/fhir"


class Pair:
    """A simulated EHR and a client of it; ``waits`` are the seconds that the client let pass."""

    def __init__(self, *faults: str, options: Options | None = None, **endpoint: Any) -> None:
        self.clock = ManualClock(NOW)
        self.ehr = Simulator(self.clock, options, faults)
        self.waits: list[float] = []
        self.client = FhirClient(
            Endpoint("main", BASE, **endpoint),
            clock=self.clock,
            sleep=self._sleep,
            transport=SimulatorTransport(self.ehr),
        )

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds=seconds)


def task(own_id: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a Task."""
    resource = {"resourceType": "Task", "status": "requested", "intent": "order", **more}
    return resource if own_id is None else {**resource, "id": own_id}


def body(resource: dict[str, Any]) -> bytes:
    """Return a resource's bytes."""
    return json.dumps(resource).encode()


def ids(page: Any) -> list[str]:
    """Return the ids of a page's matches."""
    return [entry.id for entry in page.entries]


# Reading --------------------------------------------------------------------------------------------------


def test_a_resource_is_read_with_its_version_and_bytes() -> None:
    pair = Pair()
    pair.ehr.put(task("t1"))

    version = pair.client.read("Task/t1")

    assert (version.ref, version.version, version.updated_at) == ("Task/t1", "1", NOW)
    assert json.loads(version.raw)["status"] == "requested"


def test_what_was_never_there_and_what_was_deleted_are_told_apart() -> None:
    pair = Pair()
    pair.ehr.put(task("t1"))
    httpx.Client(transport=SimulatorTransport(pair.ehr)).delete(f"{BASE}/Task/t1").raise_for_status()

    with pytest.raises(Gone, match="Task/t1"):
        pair.client.read("Task/t1")
    with pytest.raises(NotFound, match="Task/t2"):
        pair.client.read("Task/t2")


def test_pages_are_followed_to_the_end_by_their_links() -> None:
    pair = Pair()
    for number in range(7):
        pair.ehr.put(task(f"t{number}"))

    page = pair.client.search("Task", [("_sort", "_lastUpdated"), ("_count", "3")])
    found = ids(page)
    assert (page.server_at, page.total) == (NOW, None), "the total is missing on early pages"
    while page.next_url is not None:
        page = pair.client.next_page(page.next_url)
        found += ids(page)

    assert found == [f"t{number}" for number in range(7)]


def test_a_link_that_the_server_forgot_is_an_expired_cursor() -> None:
    pair = Pair("expire-cursors-after=1")
    for number in range(3):
        pair.ehr.put(task(f"t{number}"))
    page = pair.client.search("Task", [("_count", "1")])
    assert page.next_url is not None

    with pytest.raises(CursorExpired):
        pair.client.next_page(page.next_url)


@pytest.mark.parametrize("value", ["a|b", "a+b", "a&b", "a,b", "a$b", "a b", "a%26b", "a=b", "é#?/\\", "%"])
def test_any_character_of_an_identifier_is_found_as_it_is(value: str) -> None:
    """A raw `|` is 400 on HAPI, a raw `+` a space everywhere, a comma an OR (FHIR R4 search.html#escaping)."""
    pair = Pair()
    system = "http://clinic.example/a+b"
    pair.ehr.put(task("t1", identifier=[{"system": system, "value": value}]))
    pair.ehr.put(task("t2", identifier=[{"system": system, "value": "b"}]))

    page = pair.client.search("Task", [("identifier", f"{escape(system)}|{escape(value)}")], critical=("identifier",))

    assert ids(page) == ["t1"]


def test_many_are_read_by_their_ids_and_absence_is_only_absence() -> None:
    pair = Pair(ids_per_search=4)
    for number in range(10):
        pair.ehr.put(task(f"t{number}"))
    pair.ehr.put({"resourceType": "Patient", "id": "p1"})

    found = pair.client.batch_read([*(f"Task/t{number}" for number in range(10)), "Task/none", "Patient/p1", "Task/t1"])

    assert sorted(version.ref for version in found) == ["Patient/p1", *(f"Task/t{number}" for number in range(10))]


def test_what_would_be_found_is_counted() -> None:
    pair = Pair()
    pair.ehr.put(task("t1"))

    assert pair.client.count("Task") == 1
    assert pair.client.count("Task", [("status", "completed")]) == 0


def test_a_server_says_what_it_can() -> None:
    capability = Pair().client.capability()

    assert capability.family == "R4"
    assert capability.supports("Task", "create")


# What a server ignored ------------------------------------------------------------------------------------


def test_a_filter_that_the_server_ignores_makes_the_answer_unsafe() -> None:
    pair = Pair(options=Options(lenient=True))
    pair.ehr.put(task("t1"))
    params = [("nickname", "x"), ("_count", "5")]

    page = pair.client.search("Task", params)
    assert [outcome.is_error for outcome in page.outcomes] == [False]
    with pytest.raises(UnsafeAnswer, match="ignored"):
        pair.client.search("Task", params, critical=("nickname",))


def test_a_strict_server_refuses_an_unknown_filter() -> None:
    with pytest.raises(Refused) as refused:
        Pair("no-last-updated").client.search("Task", [("_lastUpdated", "ge2026-01-01T00:00:00Z")])

    assert refused.value.status == 400


# Writing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [(), ("empty-201",)])
def test_a_create_says_where(faults: tuple[str, ...]) -> None:
    pair = Pair(*faults)

    written = pair.client.create("Task", body(task()))

    (stored,) = pair.ehr.all("Task")
    assert (written.ref, written.version, written.created) == (f"Task/{stored['id']}", "1", True)


def test_a_conditional_create_finds_what_is_there() -> None:
    pair = Pair()
    identified = task(identifier=[{"system": "urn:bridge:case", "value": "c1"}])
    first = pair.client.create("Task", body(identified), if_none_exist="identifier=urn:bridge:case|c1")

    again = pair.client.create("Task", body(identified), if_none_exist="identifier=urn:bridge:case|c1")

    assert (first.created, again.created, again.ref) == (True, False, first.ref)
    assert len(pair.ehr.all("Task")) == 1


def test_a_conditional_create_that_fits_several_is_for_a_person() -> None:
    pair = Pair()
    for own_id in ("a", "b"):
        pair.ehr.put(task(own_id, identifier=[{"system": "s", "value": "v"}]))

    with pytest.raises(Refused) as refused:
        pair.client.create("Task", body(task()), if_none_exist="identifier=s|v")

    assert refused.value.status == 412


@pytest.mark.parametrize("status", [409, 412])
def test_a_stale_update_is_a_conflict_whichever_status_it_gets(status: int) -> None:
    """R4 says 412, HAPI and Oracle Health answer 409."""
    pair = Pair(options=Options(stale_write_status=status))
    pair.ehr.put(task("t1"))
    written = pair.client.update("Task/t1", body(task("t1", status="accepted")), if_match="1")
    assert (written.ref, written.version, written.created) == ("Task/t1", "2", False)

    with pytest.raises(VersionConflict) as conflict:
        pair.client.update("Task/t1", body(task("t1", status="rejected")), if_match="1")

    assert conflict.value.status == status
    assert pair.ehr.all("Task")[0]["status"] == "accepted"


def test_an_update_creates_under_an_id_of_ours() -> None:
    written = Pair().client.update("Task/ours", body(task("ours")), create_only=True)

    assert (written.ref, written.version, written.created) == ("Task/ours", "1", True)


@pytest.mark.parametrize("manner", ["close", "502"])
def test_a_write_whose_answer_is_lost_may_have_happened(manner: str) -> None:
    pair = Pair(f"drop-answer=1,{manner}")

    with pytest.raises(OutcomeUnknown, match="create of Task"):
        pair.client.create("Task", body(task()))

    assert len(pair.ehr.all("Task")) == 1, "it was not sent twice"


# Waiting --------------------------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    pair = Pair("throttle=1,7", attempts=3)
    pair.ehr.put(task("t1"))

    with pytest.raises(Throttled) as throttled:
        pair.client.read("Task/t1")

    assert pair.waits == [7, 7]
    assert throttled.value.retry_at == pair.clock() + timedelta(seconds=7)


def test_a_server_that_wants_more_patience_than_we_have_is_left_at_once() -> None:
    pair = Pair("throttle=1,600")

    with pytest.raises(Throttled) as throttled:
        pair.client.read("Task/t1")

    assert pair.waits == []
    assert throttled.value.retry_at == NOW + timedelta(minutes=10)


def test_every_other_answer_busy_is_every_answer_in_the_end() -> None:
    pair = Pair("throttle=2")
    for number in range(6):
        pair.ehr.put(task(f"t{number}"))

    assert len(pair.client.batch_read([f"Task/t{number}" for number in range(6)])) == 6
    assert [pair.client.read(f"Task/t{number}").id for number in range(6)] == [f"t{number}" for number in range(6)]


def test_a_write_is_not_repeated_however_busy_the_server_is() -> None:
    pair = Pair("throttle=1,1")

    with pytest.raises(Throttled):
        pair.client.create("Task", body(task()))

    assert pair.waits == []


# Who we are -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "header"),
    [(BearerToken("s3cret"), "Bearer s3cret"), (BasicAuth("bridge", "pässword"), "Basic YnJpZGdlOnDDpHNzd29yZA==")],
)
def test_a_connection_proves_who_it_is(auth: Any, header: str) -> None:
    pair = Pair(options=Options(authorization=header), auth=auth)
    pair.ehr.put(task("t1"))

    assert pair.client.read("Task/t1").id == "t1"


class Renewable:
    """Credentials that a 401 renews, once."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    def header(self) -> str:
        return f"Bearer {self._tokens[0]}"

    def refresh(self) -> bool:
        del self._tokens[0]
        return True


def test_expired_credentials_are_renewed_once() -> None:
    pair = Pair(options=Options(authorization="Bearer new"), auth=Renewable("old", "new"))

    assert pair.client.create("Task", body(task())).created


@pytest.mark.parametrize("auth", [Renewable("old", "older", "new"), BearerToken("old")])
def test_credentials_that_stay_wrong_are_told_without_being_shown(auth: Any) -> None:
    pair = Pair(options=Options(authorization="Bearer new"), auth=auth)

    with pytest.raises(AuthExpired) as expired:
        pair.client.read("Task/t1")

    assert "old" not in str(expired.value)


# On a real port -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """A simulated EHR on a port of its own; its base URL."""
    handle = start(simulator=Simulator())
    yield handle.base_url
    handle.stop()


def test_the_same_holds_over_a_network(served: str) -> None:
    with FhirClient(Endpoint("main", served), clock=lambda: datetime.now(UTC)) as client:
        written = client.create("Task", body(task()))
        client.update(written.ref, body(task(written.ref[5:], status="accepted")), if_match=written.version)

        assert json.loads(client.read(written.ref).raw)["status"] == "accepted"
        assert ids(client.search("Task", [("status", "accepted")], critical=("status",))) == [written.ref[5:]]
        with pytest.raises(VersionConflict):
            client.update(written.ref, body(task(written.ref[5:])), if_match="1")


# Deleting and operations ------------------------------------------------------------------------------------


def test_what_is_deleted_is_gone() -> None:
    pair = Pair()
    pair.ehr.put(task("t1"))

    pair.client.delete("Task/t1")

    with pytest.raises(Gone):
        pair.client.read("Task/t1")


def test_an_operation_that_a_server_lacks_is_refused() -> None:
    pair = Pair()
    pair.ehr.put(task("t1"))

    with pytest.raises(Refused):
        pair.client.ask("Task/t1/$nothing", [("content", "id-only")])
