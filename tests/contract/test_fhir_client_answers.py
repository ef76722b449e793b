"""Every shape of answer that servers are known to give, and what it means; shapes only, no server behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx

from bridge.errors import (
    AuthExpired,
    CursorExpired,
    Gone,
    Moved,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    ServerFault,
    Throttled,
    Unreachable,
    UnsafeAnswer,
    VersionConflict,
)
from bridge.fhir.client import Endpoint, FhirClient, Written
from tests.contract.wire import answer, listening

BASE = "http://ehr.example/fhir"
NOW = datetime(2026, 6, 1, 14, tzinfo=UTC)
SECRETS = ("Pat Example", "1980-01-02", "MRN-77")
TOLD = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "severity": "error",
            "code": "processing",
            "details": {"text": "Pat Example (1980-01-02) is locked"},
            "diagnostics": "HAPI-0550: MRN-77 belongs to Pat Example",
        }
    ],
}
EMPTY = {"resourceType": "Bundle", "type": "searchset"}


@pytest.fixture
def ehr() -> Iterator[respx.MockRouter]:
    """What the EHR answers; every request has to be expected."""
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        yield router


@pytest.fixture
def client(ehr: respx.MockRouter) -> Iterator[FhirClient]:
    """A client that tries everything once."""
    transport = httpx.MockTransport(ehr.handler)
    with FhirClient(
        Endpoint("main", BASE, attempts=1), clock=lambda: NOW, sleep=lambda _: None, transport=transport
    ) as one:
        yield one


def failure(call: Any) -> RemoteError:
    """Return what *call* fails with, which quotes nobody."""
    with pytest.raises(RemoteError) as failed:
        call()
    said = f"{failed.value} {failed.value.issues} {failed.value.__cause__}"
    assert not any(secret in said for secret in SECRETS)
    return failed.value


# Statuses -------------------------------------------------------------------------------------------------

STATUSES = [
    # status, GET, POST with a condition, PUT
    (301, Refused, Refused, Refused),
    (304, Refused, Refused, Refused),
    (400, Refused, Refused, Refused),
    (401, AuthExpired, AuthExpired, AuthExpired),
    (403, Refused, Refused, Refused),
    (404, NotFound, NotFound, NotFound),
    (405, Refused, Refused, Refused),
    (406, Refused, Refused, Refused),
    (408, ServerFault, ServerFault, ServerFault),
    (409, VersionConflict, VersionConflict, VersionConflict),
    (410, Gone, Gone, Gone),
    (412, Refused, Refused, VersionConflict),
    (415, Refused, Refused, Refused),
    (418, Refused, Refused, Refused),
    (422, Refused, Refused, Refused),
    (429, Throttled, Throttled, Throttled),
    (500, ServerFault, OutcomeUnknown, OutcomeUnknown),
    (501, Refused, Refused, Refused),
    (502, ServerFault, OutcomeUnknown, OutcomeUnknown),
    (503, ServerFault, ServerFault, ServerFault),
    (504, ServerFault, OutcomeUnknown, OutcomeUnknown),
    (520, ServerFault, OutcomeUnknown, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "on_get", "on_post", "on_put"), STATUSES)
@pytest.mark.parametrize(
    "told", [{"json": TOLD}, {"html": "<h1>Pat Example</h1>"}, {}], ids=["outcome", "html", "bare"]
)
def test_every_status_has_its_one_error(
    ehr: respx.MockRouter,
    client: FhirClient,
    status: int,
    on_get: type,
    on_post: type,
    on_put: type,
    told: dict[str, Any],
) -> None:
    ehr.route().respond(status, **told)

    got = failure(lambda: client.read("Task/t1"))
    posted = failure(lambda: client.create("Task", b"{}", if_none_exist="identifier=s|v"))
    put = failure(lambda: client.update("Task/t1", b"{}", if_match="3"))

    assert [type(one) for one in (got, posted, put)] == [on_get, on_post, on_put]
    assert {one.status for one in (got, posted, put)} == {status}
    assert "Task/t1" in str(got)
    assert str(status) in str(got)
    assert got.issues == (("error:processing HAPI-0550",) if "json" in told else ())


@pytest.mark.parametrize(
    ("status", "location", "to"),
    [
        (301, f"{BASE}/Patient/2", "Patient/2"),
        (308, "Patient/2/_history/4", "Patient/2"),
        (302, f"{BASE}/Patient/2", None),
        (307, f"{BASE}/Patient/2", None),
        (301, f"{BASE}/Patient/1", None),
        (301, f"{BASE}/Practitioner/2", None),
        (301, "https://evil.example/fhir/Patient/2", None),
        (301, f"{BASE}/../other/Patient/2", None),
        (301, "http://[", None),
        (301, "", None),
    ],
)
def test_a_lasting_redirect_to_another_record_says_that_it_was_merged(
    ehr: respx.MockRouter, client: FhirClient, status: int, location: str, to: str | None
) -> None:
    """Epic 4107. It is told and never followed; where it leads elsewhere, or is not for good, it says nothing."""
    ehr.get(f"{BASE}/Patient/1").mock(return_value=httpx.Response(status, headers={"Location": location}))

    error = failure(lambda: client.read("Patient/1"))

    assert (type(error), getattr(error, "ref", None)) == ((Moved, to) if to is not None else (Refused, None))
    assert len(ehr.calls) == 1


def test_an_error_with_thousands_of_issues_stays_short(ehr: respx.MockRouter, client: FhirClient) -> None:
    ehr.route().respond(400, json={"resourceType": "OperationOutcome", "issue": [{"code": "x"}] * 5000})

    assert len(str(failure(lambda: client.read("Task/t1")))) < 200


# Retry-After ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("9999999", 3600),
        ("9" * 5000, 3600),
        ("Mon, 01 Jun 2026 14:02:00 GMT", 120),
        ("Mon, 01 Jun 2026 13:00:00 GMT", 0),
        ("Tue, 01 Jun 2027 14:00:00 GMT", 3600),
        ("Monday, 01-Jun-26 14:02:00 GMT", 120),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_server_says_when_to_come_back(
    ehr: respx.MockRouter, client: FhirClient, status: int, header: str, seconds: int
) -> None:
    ehr.route().respond(status, headers={"Retry-After": header})

    error = failure(lambda: client.read("Task/t1"))

    assert isinstance(error, Throttled)
    assert error.retry_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("header", ["", "soon", "-5", "1.5", "²", "Mon, 99 Jun 2026 99:00:00 GMT"])
def test_a_time_that_is_none_is_no_time(ehr: respx.MockRouter, client: FhirClient, header: str) -> None:
    ehr.route().respond(429, headers=[(b"Retry-After", header.encode("latin-1"))])

    error = failure(lambda: client.read("Task/t1"))

    assert isinstance(error, Throttled)
    assert error.retry_at is None


@pytest.mark.parametrize("skew", [timedelta(minutes=-5), timedelta(minutes=5)])
def test_a_date_to_come_back_is_by_the_servers_clock(
    ehr: respx.MockRouter, client: FhirClient, skew: timedelta
) -> None:
    theirs = NOW + skew
    form = "%a, %d %b %Y %H:%M:%S GMT"
    dates = {"Date": theirs.strftime(form), "Retry-After": (theirs + timedelta(seconds=90)).strftime(form)}
    ehr.route().respond(429, headers=dates)

    error = failure(lambda: client.read("Task/t1"))

    assert isinstance(error, Throttled)
    assert error.retry_at == NOW + timedelta(seconds=90)


def test_reads_are_tried_a_few_times_with_longer_and_longer_waits(ehr: respx.MockRouter) -> None:
    waits: list[float] = []
    route = ehr.get("/Task/t1").mock(side_effect=[httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.Response(500)])
    transport = httpx.MockTransport(ehr.handler)

    with FhirClient(
        Endpoint("main", BASE, attempts=3), clock=lambda: NOW, sleep=waits.append, transport=transport
    ) as one:
        assert isinstance(failure(lambda: one.read("Task/t1")), ServerFault)

    assert waits == [0.2, 0.4]
    assert route.call_count == 3


# What the network itself says -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "on_get", "on_put"),
    [
        (httpx.ConnectError("refused"), Unreachable, Unreachable),
        (httpx.ConnectTimeout("late"), Unreachable, Unreachable),
        (httpx.PoolTimeout("busy"), Unreachable, Unreachable),
        (httpx.WriteError("reset"), ServerFault, OutcomeUnknown),
        (httpx.WriteTimeout("late"), ServerFault, OutcomeUnknown),
        (httpx.ReadError("reset"), ServerFault, OutcomeUnknown),
        (httpx.ReadTimeout("late"), ServerFault, OutcomeUnknown),
        (httpx.CloseError("x"), ServerFault, OutcomeUnknown),
        (httpx.RemoteProtocolError("hung up"), ServerFault, OutcomeUnknown),
        (httpx.ProxyError("x"), ServerFault, OutcomeUnknown),
        (httpx.DecodingError("x"), ServerFault, OutcomeUnknown),
        (httpx.LocalProtocolError("illegal header"), Refused, Refused),
        (httpx.UnsupportedProtocol("gopher"), Refused, Refused),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_of_the_http_library_is_translated(
    ehr: respx.MockRouter, client: FhirClient, raised: Exception, on_get: type, on_put: type
) -> None:
    ehr.route().mock(side_effect=raised)

    assert type(failure(lambda: client.read("Task/t1"))) is on_get
    assert type(failure(lambda: client.update("Task/t1", b"{}"))) is on_put


def test_no_error_of_the_http_library_is_forgotten() -> None:
    """Whatever can happen to a request descends from what the client catches."""

    def leaves(kind: type) -> set[type]:
        return {kind}.union(*(leaves(sub) for sub in kind.__subclasses__()))

    caught = (httpx.HTTPError, httpx.InvalidURL)
    requestable = {kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    ours_alone = {httpx.CookieConflict, httpx.StreamError} | leaves(httpx.StreamError)

    assert {kind for kind in requestable if not issubclass(kind, caught)} <= ours_alone


@pytest.mark.parametrize("version", ["1\r\nX-Evil: 1", "é"])
def test_a_header_that_cannot_be_sent_is_refused_and_not_an_unanswered_write(version: str) -> None:
    """A version comes from the server; it must not become a header of its own."""
    with (
        listening(lambda connection, _: connection.sendall(answer(b"{}"))) as wire,
        FhirClient(Endpoint("main", wire.base_url), clock=lambda: NOW) as client,
    ):
        error = failure(lambda: client.update("Task/t1", b"{}", if_match=version))

    assert isinstance(error, Refused)
    assert wire.requests == []


# Where it was written -------------------------------------------------------------------------------------

STORED = {"resourceType": "Task", "id": "t9", "meta": {"versionId": "4"}}


@pytest.mark.parametrize(
    ("headers", "stored", "ref", "version"),
    [
        ({"Location": f"{BASE}/Task/t9/_history/4", "ETag": 'W/"4"'}, STORED, "Task/t9", "4"),
        ({"Location": f"{BASE}/Task/t9/_history/4"}, None, "Task/t9", "4"),
        ({"Location": f"{BASE}/Task/t9"}, None, "Task/t9", None),
        ({"Location": f"{BASE}/Task/t9/"}, None, "Task/t9", None),
        ({"Location": "Task/t9/_history/4"}, None, "Task/t9", "4"),
        ({"Location": "/fhir/Task/t9"}, None, "Task/t9", None),
        ({"Location": "http://inside.example:8080/r4/Task/t9/_history/4"}, None, "Task/t9", "4"),
        ({"Location": f"{BASE}/Task/t9", "ETag": '"4"'}, None, "Task/t9", "4"),
        ({"Location": f"{BASE}/Task/t9", "ETag": "4"}, None, "Task/t9", "4"),
        ({"Location": f"{BASE}/Task/t9", "ETag": 'w/"4"'}, None, "Task/t9", "4"),
        ({"Location": f"{BASE}/Task/t9", "ETag": ""}, None, "Task/t9", None),
        ({"Location": f"{BASE}/Task/t9", "ETag": 'W/""'}, None, "Task/t9", None),
        ({"Content-Location": f"{BASE}/Task/t9/_history/4"}, None, "Task/t9", "4"),
        ({}, STORED, "Task/t9", "4"),
        ({"Location": "http://[broken/Task/t9"}, STORED, "Task/t9", "4"),
        ({"Location": f"{BASE}/Patient/p1"}, STORED, "Task/t9", "4"),
        ({"Location": f"{BASE}/Task/t9"}, {"resourceType": "OperationOutcome"}, "Task/t9", None),
        ({"Location": f"{BASE}/Task/t9"}, {"resourceType": "Task", "id": "t9"}, "Task/t9", None),
    ],
)
def test_a_create_is_found_by_whatever_the_server_says(
    ehr: respx.MockRouter, client: FhirClient, headers: dict[str, str], stored: Any, ref: str, version: str | None
) -> None:
    content = b"" if stored is None else json.dumps(stored).encode()
    ehr.post("/Task").respond(201, headers=headers, content=content)

    written = client.create("Task", b"{}")

    assert (written.ref, written.version, written.created) == (ref, version, True)


@pytest.mark.parametrize(
    "headers", [{}, {"Location": ""}, {"Location": f"{BASE}/Patient/p1"}, {"Location": f"{BASE}/Task/.."}]
)
def test_a_create_that_is_nowhere_has_to_be_looked_for(
    ehr: respx.MockRouter, client: FhirClient, headers: dict[str, str]
) -> None:
    ehr.post("/Task").respond(201, headers=headers)

    assert isinstance(failure(lambda: client.create("Task", b"{}")), OutcomeUnknown)


@pytest.mark.parametrize(
    ("status", "headers", "stored", "expected"),
    [
        (200, {"ETag": 'W/"5"'}, None, Written(200, "Task/t9", "5", False, None)),
        # HAPI 8.0.0 answers a PUT that creates without Location (seen 2026-11).
        (201, {"Content-Location": f"{BASE}/Task/t9/_history/1"}, None, Written(201, "Task/t9", "1", True, None)),
        (204, {}, None, Written(204, "Task/t9", None, False, None)),
        # A body about something else says nothing about what was written.
        (200, {}, {**STORED, "id": "other"}, Written(200, "Task/t9", None, False, None)),
        (200, {"Location": f"{BASE}/Task/other/_history/8"}, None, Written(200, "Task/t9", None, False, None)),
    ],
)
def test_an_update_is_where_it_was_sent(
    ehr: respx.MockRouter, client: FhirClient, status: int, headers: dict[str, str], stored: Any, expected: Written
) -> None:
    content = b"" if stored is None else json.dumps(stored).encode()
    ehr.put("/Task/t9").respond(status, headers=headers, content=content)

    assert client.update("Task/t9", b"{}", if_match="4") == expected


def test_a_write_says_what_it_sends_and_on_which_condition(ehr: respx.MockRouter, client: FhirClient) -> None:
    posted = ehr.post("/Task").respond(201, headers={"Location": f"{BASE}/Task/t9"})
    put = ehr.put("/Task/t9").respond(200)

    client.create("Task", b"{}", if_none_exist="identifier=s|v")
    client.update("Task/t9", b"{}", if_match="4")
    client.update("Task/t9", b"{}", create_only=True)

    sent = [posted.calls[0].request, put.calls[0].request, put.calls[1].request]
    assert {one.headers["Content-Type"] for one in sent} == {"application/fhir+json"}
    assert {one.headers["Accept"] for one in sent} == {"application/fhir+json"}
    assert sent[0].headers["If-None-Exist"] == "identifier=s|v"
    assert (sent[1].headers["If-Match"], sent[2].headers["If-None-Match"]) == ('W/"4"', "*")
    assert "If-Match" not in sent[2].headers
    assert len({one.headers["X-Request-Id"] for one in sent}) == 3


# Reads and searches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {"resourceType": "Task", "id": "other"},
        {"resourceType": "Patient", "id": "t1"},
        {"resourceType": "Task"},
        {"resourceType": "Bundle"},
        TOLD,
        [],
        None,
    ],
)
def test_a_read_that_is_answered_with_something_else_is_none(
    ehr: respx.MockRouter, client: FhirClient, content: Any
) -> None:
    ehr.get("/Task/t1").respond(200, json=content)

    assert isinstance(failure(lambda: client.read("Task/t1")), ServerFault)


def test_an_error_inside_a_200_is_an_error(ehr: respx.MockRouter, client: FhirClient) -> None:
    said = {**EMPTY, "entry": [{"resource": TOLD, "search": {"mode": "outcome"}}]}
    ehr.get("/Task").respond(200, json=said)

    error = failure(lambda: client.search("Task", []))

    assert isinstance(error, ServerFault)
    assert error.issues == ("error:processing HAPI-0550",)


def issue(code: str, text: str | None, detail: str | None = None) -> dict[str, Any]:
    """Return a warning."""
    details = {"coding": [{"code": detail}]} if detail else None
    return {"severity": "warning", "code": code, "details": details, "diagnostics": text}


@pytest.mark.parametrize(
    ("said", "unsafe"),
    [
        (issue("not-supported", "The search parameter '_lastUpdated' is not supported"), True),
        (issue("not-supported", None), True),
        (issue("not-supported", "The search parameter 'nickname' is not supported"), False),
        (issue("processing", "Unknown parameter _lastUpdated", "4122"), True),
        (issue("processing", None, "59100"), True),
        (issue("invalid", "Unknown search parameter _lastUpdated was ignored"), True),
        (issue("informational", "Sorted by _lastUpdated"), False),
        (issue("informational", "Additional data may be present", "4119"), False),
    ],
)
def test_a_warning_about_a_filter_makes_a_search_unsafe(
    ehr: respx.MockRouter, client: FhirClient, said: dict[str, Any], unsafe: bool
) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [said]}
    ehr.get("/Task").respond(200, json={**EMPTY, "entry": [{"resource": outcome, "search": {"mode": "outcome"}}]})
    params = [("_lastUpdated", "ge2026-01-01T00:00:00Z")]

    if unsafe:
        error = failure(lambda: client.search("Task", params, critical=("_lastUpdated",)))
        assert isinstance(error, UnsafeAnswer)
    assert len(client.search("Task", params).outcomes) == 1


@pytest.mark.parametrize(
    ("self_url", "unsafe"),
    [
        (f"{BASE}/Task?_count=5&_lastUpdated=ge2026-01-01T00%3A00%3A00Z&_sort=_lastUpdated", False),
        (f"{BASE}/Task?_sort=_lastUpdated&_count=5", True),
        (f"{BASE}/Task", False),
        (f"{BASE}?_getpages=6f1c", False),
        ("not a url [", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_a_self_link_that_lacks_a_filter_shows_that_it_was_ignored(
    ehr: respx.MockRouter, client: FhirClient, self_url: str | None, unsafe: bool
) -> None:
    links = [] if self_url is None else [{"relation": "self", "url": self_url}]
    ehr.get("/Task").respond(200, json={**EMPTY, "link": links})
    params = [("_lastUpdated", "ge2026-01-01T00:00:00Z"), ("_sort", "_lastUpdated"), ("_count", "5")]

    if unsafe:
        assert isinstance(failure(lambda: client.search("Task", params, critical=("_lastUpdated",))), UnsafeAnswer)
    else:
        client.search("Task", params, critical=("_lastUpdated",))


@pytest.mark.parametrize("url", ["Task?_page=2", "/fhir/Task?_page=2", "./Task?_page=2", f"{BASE}/Task?_page=2"])
def test_a_next_link_may_be_relative(ehr: respx.MockRouter, client: FhirClient, url: str) -> None:
    ehr.get("/Task", params={"_page": "2"}).respond(200, json=EMPTY)

    assert client.next_page(url).entries == ()


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_next_link_that_is_not_served_is_an_expired_cursor(
    ehr: respx.MockRouter, client: FhirClient, status: int
) -> None:
    ehr.route().respond(status, json=TOLD)

    assert isinstance(failure(lambda: client.next_page(f"{BASE}?_getpages=1")), CursorExpired)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_a_next_link_that_fails_otherwise_has_not_expired(
    ehr: respx.MockRouter, client: FhirClient, status: int
) -> None:
    ehr.route().respond(status)

    assert not isinstance(failure(lambda: client.next_page(f"{BASE}?_getpages=1")), CursorExpired)


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/fhir/Task",
        "//evil.example/fhir/Task",
        "https://ehr.example/fhir/Task",
        "http://ehr.example:8080/fhir/Task",
        "http://user@ehr.example/fhir/Task",
        "http://ehr.example\\@evil.example/fhir",
        "http://ehr.example/admin",
        "/admin",
        "../admin",
        "Task/../../admin",
        "Task/%2e%2e/%2e%2e/admin",
        "http://ehr.example:80:80/fhir/Task",
        "http://[",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "Task?\x00",
    ],
)
def test_a_next_link_off_the_base_is_never_asked_for(ehr: respx.MockRouter, client: FhirClient, url: str) -> None:
    anything = ehr.route().respond(200, json=EMPTY)

    assert isinstance(failure(lambda: client.next_page(url)), UnsafeAnswer)
    assert not anything.called


def test_reading_by_ids_follows_links_only_as_far_as_there_are_ids(ehr: respx.MockRouter, client: FhirClient) -> None:
    pages = iter(range(1000))

    def endless(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={**EMPTY, "link": [{"relation": "next", "url": f"Task?_page={next(pages)}"}]})

    route = ehr.route().mock(side_effect=endless)

    assert client.batch_read(["Task/a", "Task/b", "Task/c"]) == ()
    assert route.call_count == 4


def test_a_total_that_is_no_number_is_none(ehr: respx.MockRouter, client: FhirClient) -> None:
    ehr.get("/Task").respond(200, json={**EMPTY, "total": "many"})

    assert client.count("Task") is None


@pytest.mark.parametrize("content", [{}, [], None, "x", EMPTY, {"resourceType": "CapabilityStatement", "rest": 5}])
def test_a_capability_statement_that_is_none_is_a_fault(
    ehr: respx.MockRouter, client: FhirClient, content: Any
) -> None:
    ehr.get("/metadata").respond(200, json=content)

    assert isinstance(failure(client.capability), ServerFault)
