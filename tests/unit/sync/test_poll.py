"""
The poll: nothing is lost, whatever the server does while it is read.

The numbers in section titles are those of the requirements (FHIR search and sync semantics) that they hold.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.errors import IncompleteScan, RemoteError, ServerFault, UnsafeAnswer
from bridge.sync.poll import MOST_PASSES, note_problem
from conformance.simulator import Options
from tests.unit.sync.rows import (
    NOW,
    STREAM,
    Ehr,
    Order,
    Reader,
    Row,
    always_newest_first,
    as_made,
    at,
    scattered,
    sorting,
)
from tests.unit.sync.world import World, order, patient

any_order = pytest.mark.parametrize("order", [sorting, as_made, always_newest_first, scattered])
any_paging = pytest.mark.parametrize("frozen", [True, False], ids=["snapshot", "offset"])


def rows(*seconds: float) -> list[Row]:
    """Return rows changed so many seconds after the first."""
    return [Row(f"r{number}", at(second)) for number, second in enumerate(seconds)]


# 16: watermark and overlap --------------------------------------------------------------------------------


def test_a_first_poll_reads_everything_and_ends_behind_the_servers_clock() -> None:
    reader = Reader(Ehr(rows(*range(10))))

    report = reader.poll()

    assert reader.missing == set()
    assert report.counts.received == report.counts.applied + report.counts.duplicate
    assert reader.cursor.watermark == NOW - reader.line.lag
    assert (reader.cursor.position, reader.cursor.started_at, reader.cursor.read) == (None, None, 0)


def test_the_next_poll_asks_for_at_or_after_the_watermark_minus_the_overlap() -> None:
    """`ge`, never `gt`: "created at or after" (FHIR R4 http.html#history), and stamps are shared."""
    reader = Reader(Ehr(rows(1)))
    reader.poll()

    reader.poll()

    assert reader.ehr.asked == ["", "ge2026-06-01T13:54:55.000Z"]


def test_the_second_poll_over_the_same_rows_stores_nothing() -> None:
    reader = Reader(Ehr(rows(1, 2, 3)))
    reader.poll(since=at(0))
    before = reader.received

    report = reader.poll()

    assert (report.counts.received, reader.received) == (0, before)


def test_the_watermark_stays_at_the_beginning_of_a_crawl_however_long_it_took() -> None:
    """What changes behind the position while a crawl runs is read by the next one."""
    minutes = iter(range(1000))
    reader = Reader(Ehr(rows(*range(9)), clock=lambda: NOW + timedelta(minutes=next(minutes))))

    reader.poll()

    assert reader.cursor.watermark == NOW - reader.line.lag


def test_a_row_with_a_time_in_the_future_does_not_move_the_watermark_there() -> None:
    reader = Reader(Ehr([*rows(1, 2, 3, 4), Row("ahead", NOW + timedelta(days=900))]))

    reader.poll()

    assert reader.cursor.watermark == NOW - reader.line.lag


def test_the_watermark_never_goes_back() -> None:
    times = iter([NOW, NOW - timedelta(hours=3)])
    reader = Reader(Ehr(rows(1), clock=lambda: next(times)))
    reader.poll()

    reader.poll()

    assert reader.cursor.watermark == NOW - reader.line.lag


# 18: our clock is not the server's ------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [timedelta(minutes=5), timedelta(minutes=-5), timedelta(days=-400)])
def test_our_clock_has_no_part_in_what_is_read(skew: timedelta) -> None:
    reader = Reader(Ehr(rows(*range(7))), clock=lambda: NOW + skew)

    reader.poll()
    reader.poll()

    assert reader.cursor.watermark == NOW - reader.line.lag
    assert reader.missing == set()


@pytest.mark.parametrize("skew", [timedelta(minutes=5), timedelta(minutes=-5), timedelta(days=-400)])
def test_a_server_that_tells_no_time_is_read_on_from_its_newest_row(skew: timedelta) -> None:
    """Without `Date` and `meta.lastUpdated`, a row in the future must not make us blind to the present."""
    ehr = Ehr([*rows(1, 2, 3, 4), Row("ahead", NOW + timedelta(days=900))], clock=None)
    reader = Reader(ehr, clock=lambda: NOW + skew)
    reader.poll()
    assert reader.cursor.watermark <= NOW + skew

    ehr.rows.append(Row("new", NOW + timedelta(minutes=1)))
    reader.poll()

    assert reader.missing == set()


@pytest.mark.parametrize("ahead", [timedelta(minutes=-30), timedelta(0), timedelta(hours=2)])
def test_lag_is_told_by_our_clock_whatever_the_servers_says(ahead: timedelta) -> None:
    reader = Reader(Ehr(rows(1), clock=lambda: NOW + ahead))
    reader.poll()

    assert reader.cursor.lag(NOW + timedelta(minutes=2), ahead) == timedelta(minutes=2) + reader.line.lag


def test_of_a_server_that_tells_no_time_lag_counts_from_the_last_poll() -> None:
    """Its newest row may be from yesterday."""
    reader = Reader(Ehr([Row("old", NOW - timedelta(days=1))], clock=None))
    reader.poll()

    assert reader.cursor.lag(NOW + timedelta(minutes=2)) == timedelta(minutes=2)


# 16: crashes between pages --------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


@any_order
@pytest.mark.parametrize("pages", range(1, 9))
def test_a_crawl_that_is_killed_after_any_page_goes_on_and_loses_nothing(order: Order, pages: int) -> None:
    reader = Reader(Ehr(rows(1, 2, 2, 2, 2, 2, 3, 9, 9, 9, 9, 10), order))
    left = [pages]

    def die(_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    try:
        reader.poll(watch=die)
    except Killed:
        assert reader.cursor.watermark is None, "the watermark moves when everything is stored"
    reader.poll()

    assert reader.missing == set()
    assert reader.cursor.watermark == NOW - reader.line.lag


def test_an_interrupted_backfill_goes_on_at_its_position() -> None:
    reader = Reader(Ehr(rows(*range(100))), page_size=10)

    def fail(before: int) -> None:
        if before == 6:
            raise httpx.ConnectError("gone")

    reader.ehr.meanwhile = fail
    with pytest.raises(RemoteError):
        reader.poll()
    stored, position = len(reader.received), reader.cursor.position
    reader.ehr.meanwhile = lambda _: None
    asked = len(reader.ehr.asked)

    reader.poll()

    assert position == at(stored - 1)
    assert reader.ehr.asked[asked] == "ge2026-05-01T08:00:45.000Z", "it does not begin again"
    assert reader.missing == set()


def test_a_backfill_begins_where_it_is_told_and_tells_how_far_it_is() -> None:
    reader = Reader(Ehr(rows(*range(0, 1000, 100))))
    progress: list[int] = []

    reader.poll(since=at(500), watch=lambda step: progress.append(step.read))

    assert reader.ehr.asked[0] == "ge2026-05-01T08:03:20.000Z"
    assert reader.missing == {("r0", "1"), ("r1", "1")}
    assert progress == sorted(progress)
    assert len(progress) > 2


def test_a_failed_poll_leaves_the_cursor_and_says_why() -> None:
    reader = Reader(Ehr(rows(1)))
    reader.poll()
    before = reader.cursor

    note_problem(reader.store, reader.line, STREAM, "search of ServiceRequest: answered 500")

    assert reader.cursor.watermark == before.watermark
    assert reader.cursor.problem == "search of ServiceRequest: answered 500"
    reader.poll()
    assert reader.cursor.problem is None


# 15: paging -----------------------------------------------------------------------------------------------


@any_order
@any_paging
def test_rows_of_one_timestamp_span_pages(order: Order, frozen: bool) -> None:
    """A bulk load gives thousands of rows one timestamp; HAPI does so for each transaction."""
    reader = Reader(Ehr(rows(1, *[2] * 11, 3, 4, *[5] * 7), order, frozen))

    reader.poll()

    assert reader.missing == set()


def test_next_links_are_followed_only_where_timestamps_do_not_move() -> None:
    reader = Reader(Ehr(rows(*range(50))))

    reader.poll()

    assert all("_search" not in request.url.params for request in reader.ehr.requests)


@any_paging
@pytest.mark.parametrize("moment", range(1, 12))
def test_a_row_that_moves_to_the_end_while_pages_are_read_pushes_none_out(frozen: bool, moment: int) -> None:
    """Paging by offset, the row that slides across the page boundary is never shown (HAPI issues 481, 616)."""
    reader = Reader(Ehr(rows(1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5), frozen=frozen))
    reader.ehr.meanwhile = lambda before: reader.ehr.touch("r1", NOW) if before == moment else None

    reader.poll()
    reader.poll()

    assert reader.missing == set()


def test_a_server_that_answers_in_order_of_creation_only_looks_sorted() -> None:
    """The first page ends with a row that was updated late; what stands behind it is older, and is read."""
    reader = Reader(Ehr([*rows(1, 2), Row("updated", at(900)), Row("a", at(3)), Row("b", at(4))], as_made))

    reader.poll()

    assert reader.missing == set()


def test_a_server_that_refuses_to_sort_backwards_is_read_by_its_links() -> None:
    ehr = Ehr(rows(*range(9)))

    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("_sort") == "-_lastUpdated":
            return httpx.Response(400, request=request)
        return Ehr.handle_request(ehr, request)

    ehr.handle_request = refuse  # type: ignore[method-assign]
    reader = Reader(ehr)

    reader.poll()

    assert reader.missing == set()


def test_rows_without_a_timestamp_are_read_and_do_not_hold_up_the_others() -> None:
    found = rows(*range(12))
    found[2].stamped = found[7].stamped = False
    reader = Reader(Ehr(found))

    reader.poll()

    assert len(reader.received) == 12


def test_a_server_that_says_no_timestamps_at_all_is_read_by_its_links() -> None:
    found = rows(*range(12))
    for row in found:
        row.stamped = False
    reader = Reader(Ehr(found))

    reader.poll()

    assert len(reader.received) == 12


@any_order
def test_a_link_to_itself_is_noticed(order: Order) -> None:
    reader = Reader(Ehr(rows(*[1] * 9), order))
    reader.ehr.next_link = lambda url: url.split("&_offset")[0].split("?")[0] + "?_search=0&_count=3"

    with pytest.raises(UnsafeAnswer, match="circle"):
        reader.poll()

    assert reader.cursor.watermark is None


def test_a_link_that_leads_elsewhere_is_not_followed() -> None:
    reader = Reader(Ehr(rows(*[1] * 9)))
    reader.ehr.next_link = lambda url: url.replace("ehr.example", "ehr.example.evil.test")

    with pytest.raises(UnsafeAnswer, match="leads off"):
        reader.poll()

    assert {request.url.host for request in reader.ehr.requests} == {"ehr.example"}


def test_links_that_expire_are_met_with_larger_pages() -> None:
    """A search cache that forgets (HAPI: 60 minutes; others sooner): the scan begins again and gets further."""
    reader = Reader(Ehr(rows(*[1] * 100), links=1))

    reader.poll()

    assert reader.missing == set()


def test_a_crawl_that_never_comes_to_rest_is_called_incomplete() -> None:
    reader = Reader(Ehr(rows(*range(9)), scattered))

    def another_old_one(before: int) -> None:
        reader.ehr.rows.insert(0, Row(f"old{before}", at(before)))

    reader.ehr.meanwhile = another_old_one

    with pytest.raises(UnsafeAnswer, match=f"{MOST_PASSES} passes"):
        reader.poll()

    assert reader.cursor.watermark is None


def test_new_rows_do_not_keep_a_busy_unsorted_server_from_coming_to_rest() -> None:
    """What changes after the crawl began is the next one's."""
    reader = Reader(Ehr(rows(*range(9)), scattered))
    reader.ehr.meanwhile = lambda before: reader.ehr.rows.append(Row(f"new{before}", NOW + timedelta(seconds=before)))

    reader.poll()
    reader.ehr.meanwhile = lambda _: None
    reader.poll()

    assert reader.missing == set()


# 17: late commits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [1, 120, 290])
def test_a_row_that_becomes_visible_after_its_timestamp_is_found_within_the_overlap(late: int) -> None:
    """LinuxForHealth documents 120 s: a long transaction commits with the time it began."""
    clock = [NOW]
    reader = Reader(Ehr(rows(1), clock=lambda: clock[0]))
    reader.poll()
    clock[0] += timedelta(seconds=late)
    reader.poll()

    reader.ehr.rows.append(Row("late", NOW - timedelta(seconds=1)))
    reader.poll()

    assert reader.missing == set()


def test_late_commits_of_a_simulated_ehr_end_in_the_same_cases() -> None:
    world = World(faults=["late-commit=120"], page_size=2)
    world.ehr.put(patient())
    for number in range(7):
        world.ehr.put(order(f"o{number}"))
        world.clock.advance(seconds=30)
        world.bridge.read()

    world.clock.advance(minutes=2)
    world.bridge.read()

    with world.store.reading() as tx:
        known = {row.ref for row in tx.inbox(limit=100)}
    assert known == {f"ServiceRequest/o{number}" for number in range(7)}


@pytest.mark.parametrize("faults", [["offset-paging"], ["expire-cursors-after=1"], []])
def test_a_simulated_ehr_that_changes_while_it_is_read_loses_nothing(faults: list[str]) -> None:
    world = World(options=Options(), faults=faults, page_size=3)
    world.ehr.put(patient())
    for number in range(20):
        world.ehr.put(order(f"o{number:02}"))
    world.clock.advance(minutes=1)
    step = [0]

    def meanwhile(_: object) -> None:
        step[0] += 1
        if step[0] == 3:
            world.ehr.put(order("o01", priority="urgent"))

    world.bridge.read(meanwhile)
    world.clock.advance(minutes=1)
    _, problems = world.bridge.read()

    assert problems == []
    with world.store.reading() as tx:
        known = {(row.ref, row.version) for row in tx.inbox(limit=100)}
    assert {(f"ServiceRequest/{one['id']}", one["meta"]["versionId"]) for one in world.ehr.all(STREAM)} <= known


# 19: versions ---------------------------------------------------------------------------------------------


def test_two_versions_of_one_timestamp_are_both_kept() -> None:
    reader = Reader(Ehr([Row("r0", NOW)]))
    reader.poll()
    reader.ehr.rows[0].version = 2

    reader.poll()

    assert reader.received == {("r0", "1"), ("r0", "2")}


# 22: what the server says beside its matches ---------------------------------------------------------------


def warning(code: str, text: str, severity: str = "warning") -> dict[str, Any]:
    """Return an OperationOutcome issue."""
    return {"severity": severity, "code": code, "details": {"coding": [{"code": "12345"}]}, "diagnostics": text}


def test_a_warning_is_no_match_and_is_reported_without_its_text() -> None:
    reader = Reader(Ehr(rows(1, 2), warnings=[warning("suppressed", "not shown: Pat Example")]))

    report = reader.poll()

    assert report.warnings == reader.cursor.warnings == ("warning:suppressed 12345",)
    assert report.counts.received == 2


def test_a_warning_is_kept_until_a_poll_ends_without_it() -> None:
    reader = Reader(Ehr(rows(1, 2), warnings=[warning("suppressed", "")]))
    reader.poll()
    reader.ehr.warnings = ()

    reader.poll()

    assert reader.cursor.warnings == ()


@pytest.mark.parametrize(
    ("issue", "error"),
    [
        (warning("not-supported", "unknown parameter _lastUpdated was ignored"), UnsafeAnswer),
        (warning("exception", "the index is down", "error"), ServerFault),
        (warning("exception", "the index is down", "fatal"), ServerFault),
    ],
)
def test_an_answer_that_ignored_the_filter_or_failed_moves_nothing(issue: dict[str, Any], error: type) -> None:
    reader = Reader(Ehr(rows(1, 2)))
    reader.poll()
    before = reader.cursor
    reader.ehr.rows += [Row("new", NOW)]
    reader.ehr.warnings = [issue]

    with pytest.raises(error):
        reader.poll()

    assert reader.cursor == before
    assert ("new", "1") not in reader.received


# 26: answers that were cut short --------------------------------------------------------------------------


def test_a_server_that_sorts_and_gives_no_more_than_a_few_is_read_on_by_timestamp() -> None:
    reader = Reader(Ehr(rows(*range(20)), most=5, counts=True), page_size=10)

    reader.poll()

    assert reader.missing == set()
    assert reader.cursor.watermark == NOW - reader.line.lag


@any_order
@pytest.mark.parametrize("page_size", [3, 10])
def test_a_server_that_counts_more_than_it_gives_moves_nothing(order: Order, page_size: int) -> None:
    reader = Reader(Ehr(rows(*[1] * 12), order, most=5, counts=True), page_size=page_size)

    with pytest.raises(IncompleteScan, match="gave 5 of 12"):
        reader.poll()

    assert reader.cursor.watermark is None
    assert len(reader.received) == 5, "what came is kept"


@pytest.mark.parametrize("page_size", [3, 10])
def test_a_server_that_says_that_it_gave_too_little_moves_nothing(page_size: int) -> None:
    """Epic gives an information 59133 where a search finds too much (its error codes, 2026-07)."""
    said = {"severity": "information", "code": "processing", "details": {"coding": [{"code": "59133"}]}}
    reader = Reader(Ehr(rows(*[1] * 5), warnings=[said]), page_size=page_size)

    with pytest.raises(IncompleteScan, match="59133"):
        reader.poll()

    assert reader.cursor.watermark is None


def test_a_row_that_is_deleted_while_it_is_read_makes_no_scan_incomplete() -> None:
    def delete_one(before: int) -> None:
        if before == 1:
            reader.ehr.rows.pop()

    reader = Reader(Ehr(rows(*[1] * 7), counts=True, meanwhile=delete_one))

    reader.poll()

    assert reader.missing == set()


# 23: caches and formats -----------------------------------------------------------------------------------


def test_every_search_asks_for_fhir_json_past_any_cache() -> None:
    """HAPI answers the same search from its cache for 60 s otherwise (HAPI 8.0.0, seen 2026-11)."""
    reader = Reader(Ehr(rows(*[1] * 9)))

    reader.poll()

    assert {request.headers["Cache-Control"] for request in reader.ehr.requests} == {"no-cache"}
    assert {request.headers["Accept"] for request in reader.ehr.requests} == {"application/fhir+json"}


# All of it together ---------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@example([0, 0, 0, 0, 1, 0], as_made, False, 1, 6, 0, 5)
@example([0, 0, 0, 0], sorting, False, 1, 6, 0, 3)
@given(
    stamps=st.lists(st.integers(0, 6), max_size=24),
    order=st.sampled_from([sorting, as_made, always_newest_first, scattered]),
    frozen=st.booleans(),
    page_size=st.integers(1, 7),
    moment=st.integers(0, 12),
    which=st.integers(0, 23),
    killed_after=st.integers(0, 8),
)
def test_nothing_is_ever_lost(
    stamps: list[int],
    order: Callable[..., Any],
    frozen: bool,
    page_size: int,
    moment: int,
    which: int,
    killed_after: int,
) -> None:
    """Any rows, order, way of paging and page size; one row changes and one process dies on the way."""
    reader = Reader(Ehr(rows(*stamps), order, frozen), page_size=page_size)
    left = [killed_after]

    def change(before: int) -> None:
        if before == moment and which < len(stamps):
            reader.ehr.touch(f"r{which}", NOW)

    def die(_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    reader.ehr.meanwhile = change
    try:
        reader.poll(watch=die)
    except Killed:
        reader.poll()
    reader.poll()

    assert reader.missing == set()
