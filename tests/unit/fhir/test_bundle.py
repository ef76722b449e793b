"""Bundles are taken apart entry by entry: exact bytes, and one bad entry never spoils the page."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SourceError
from bridge.fhir.bundle import received, split
from bridge.fhir.source import content_version

TASK = b'{"resourceType": "Task",  "id":"t1","meta":{"versionId":"7","lastUpdated":"2026-03-07T10:00:00.120Z"}}'
GOOD = b'{"resourceType":"Task","id":"good"}'


def bundle(*entries: bytes, **members: Any) -> bytes:
    """Return a searchset of entries given as raw JSON."""
    head = json.dumps({"resourceType": "Bundle", "type": "searchset", **members}).encode()[:-1]
    return head + b',"entry":[' + b",".join(entries) + b"]}"


def entry(resource: bytes, mode: str = "match") -> bytes:
    return b'{"fullUrl":"http://x","resource":' + resource + b',"search":{"mode":"' + mode.encode() + b'"}}'


def test_a_page_is_taken_apart_and_the_bytes_are_kept() -> None:
    links = [{"relation": "self", "url": "http://e/s"}, {"relation": "next", "url": "http://e/n"}]

    page = split(bundle(entry(TASK), link=links, total=3, meta={"lastUpdated": "2026-03-07T11:00:00Z"}))

    (version,) = page.entries
    assert (version.ref, version.version, version.raw, version.issue) == ("Task/t1", "7", TASK, None)
    assert version.updated_at == datetime(2026, 3, 7, 10, 0, 0, 120_000, tzinfo=UTC)
    assert (page.next_url, page.self_url, page.total, page.type) == ("http://e/n", "http://e/s", 3, "searchset")
    assert page.updated_at == datetime(2026, 3, 7, 11, tzinfo=UTC)


def test_what_was_included_and_what_was_said_are_no_matches() -> None:
    said = b'{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"incomplete"}]}'

    page = split(bundle(entry(GOOD), entry(TASK, "include"), entry(said, "outcome"), entry(said)))

    assert [version.id for version in page.entries] == ["good"]
    assert [version.id for version in page.included] == ["t1"]
    assert [outcome.summary() for outcome in page.outcomes] == [("warning:incomplete",)] * 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","entry":[],"link":[]}',
        b'{"resourceType":"Bundle","entry":null,"link":null,"total":null}',
        b'\xef\xbb\xbf{"resourceType":"Bundle"}',
    ],
)
def test_a_page_may_be_empty(body: bytes) -> None:
    """HAPI 8.0.0 leaves `link` out of some last pages (seen 2026-11)."""
    page = split(body)

    assert (page.entries, page.next_url, page.total) == ((), None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"<html>Sign in</html>",
        b'{"resourceType":"OperationOutcome"}',
        b'{"resourceType":"Bundle","entry":{}}',
        b'{"resourceType":"Bundle","entry":"x"}',
        b'{"resourceType":"Bundle","link":{}}',
        b'{"resourceType":"Bundle"} and more',
        b'{"resourceType":"Bundle","entry":[' + entry(GOOD),
        b'{"resourceType":"Bundle","entry":[' + entry(GOOD) + b",]}",
        b'{"resourceType":"Bundle","x":NaN, 5}',
        b'\xff\xfe{\x00"\x00',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=range(16),
)
def test_what_is_no_bundle_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(SourceError) as refused:
        split(body)

    assert refused.value.code == "unreadable-bundle"


BAD = [
    b"null",
    b"5",
    b'"text"',
    b"[]",
    b"{}",
    b'{"resource":null}',
    b'{"resource":5}',
    b'{"resource":{}}',
    b'{"resource":{"resourceType":5,"id":"a"}}',
    b'{"resource":{"resourceType":"task","id":"a"}}',
    b'{"resource":{"resourceType":"Task"}}',
    b'{"resource":{"resourceType":"Task","id":5}}',
    b'{"resource":{"resourceType":"Task","id":""}}',
    b'{"resource":{"resourceType":"Task","id":".."}}',
    b'{"resource":{"resourceType":"Task","id":"a/b"}}',
    b'{"resource":{"resourceType":"Task","id":"a","id":[]}}',
    b'{"resource":{"resourceType":"Task","id":"' + b"a" * 200 + b'"}}',
    b'{"resource":{"resourceType":"Task","id":"\xff"}}',
    b'{"resource":{"resourceType":"Task","id":"\\ud83d"}}',
    b'{"resource":{"resourceType":"Task","id":"a","note":"\\ud83d"}}',
    b'{"resource":{"resourceType":"Task","id":"a","x":NaN}}',
    b'{"resource":{"resourceType":"Task","id":"a","x":-Infinity}}',
    b'{"resource":{"resourceType":"Task","id":"a","x":"\n"}}',
    b'{"resource":' + b"[" * 400 + b"]" * 400 + b"}",
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_one_bad_entry_is_set_aside_and_the_others_are_read(bad: bytes) -> None:
    page = split(bundle(entry(GOOD), bad, entry(TASK), link=[{"relation": "next", "url": "http://e/n"}]))

    first, odd, last = page.entries
    assert (first.id, first.raw, last.id, last.raw) == ("good", GOOD, "t1", TASK)
    assert odd.issue is not None
    assert odd.raw in bad
    assert page.next_url == "http://e/n"


@pytest.mark.parametrize(
    "odd",
    [
        b'{"resourceType":"Task","id":"a","meta":5}',
        b'{"resourceType":"Task","id":"a","meta":{"versionId":5,"lastUpdated":{}}}',
        b'{"resourceType":"Task","id":"a","meta":{"versionId":"","lastUpdated":"yesterday"}}',
        b'{"resourceType":"Task","id":"a","meta":{"versionId":"1\\r\\nX-Evil: 1"}}',
        b'{"resourceType":"Task","id":"a","meta":{"versionId":"\\u0000"}}',
        b'{"resourceType":"Task","id":"a","meta":{"versionId":"1\\""}}',
        b'{"resourceType":"Task","id":"a","meta":{"versionId":"' + b"1" * 300 + b'"}}',
        b'{"resourceType":"Task","id":"a","meta":{"lastUpdated":"0001-01-01T00:00:00+14:00"}}',
        b'{"resourceType":"Task","id":"a","x":' + b"9" * 10_000 + b"}",
        b'{"resourceType":"Task","id":"a","x":1e999}',
    ],
    ids=range(10),
)
def test_a_resource_without_a_usable_version_gets_the_hash_of_its_content(odd: bytes) -> None:
    """A version that no ETag can hold would be an injection into `If-Match`."""
    (version,) = split(bundle(entry(odd))).entries

    assert (version.ref, version.issue, version.updated_at) == ("Task/a", None, None)
    assert version.version == content_version(odd)


def test_what_a_resource_says_is_its_version_however_it_is_written() -> None:
    """Some servers give `lastUpdated` anew with every answer, and elements in any order."""
    one = content_version(b'{"resourceType":"Task","id":"a","meta":{"lastUpdated":"2026-06-01T08:00:00Z"},"x":1}')
    same = content_version(b'{ "x":1, "id":"a","meta":{"lastUpdated":"2026-06-02T08:00:00Z"}, "resourceType":"Task"}')
    other = content_version(b'{"resourceType":"Task","id":"a","meta":{"lastUpdated":"2026-06-01T08:00:00Z"},"x":2}')

    assert one == same != other
    assert content_version(b"{no json") == f"sha256:{sha256(b'{no json').hexdigest()}"


@pytest.mark.parametrize("mode", [b"5", b'"x"', b'{"mode":[]}', b"null", b"{}"])
def test_an_odd_search_mode_does_not_cost_the_match(mode: bytes) -> None:
    page = split(bundle(b'{"resource":' + GOOD + b',"search":' + mode + b"}"))

    (version,) = page.entries
    assert version.id == "good" or version.issue is not None


@pytest.mark.parametrize("link", [[{"relation": ["next"], "url": 5}], [None], [{}], [{"relation": "next", "url": ""}]])
def test_a_link_that_is_none_is_left_out(link: Any) -> None:
    assert split(bundle(entry(GOOD), link=link)).next_url is None


def test_an_outcome_that_cannot_be_read_counts_as_an_error() -> None:
    (outcome,) = split(bundle(entry(b'{"resourceType":"OperationOutcome","issue":5}', "outcome"))).outcomes

    assert outcome.is_error


def test_a_body_of_many_entries_is_read_within_its_size() -> None:
    page = split(bundle(*[entry(GOOD)] * 20_000))

    assert len(page.entries) == 20_000


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
ODD_ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "resource": st.fixed_dictionaries(
            {}, optional={"resourceType": JSON | st.just("Task"), "id": JSON | st.just("a"), "meta": JSON}
        )
        | JSON,
        "search": JSON,
        "fullUrl": JSON,
    },
)


@given(
    st.lists(ODD_ENTRY | JSON, max_size=4), st.dictionaries(st.sampled_from(["link", "total", "meta", "type"]), JSON)
)
def test_any_json_ends_in_a_page_or_in_one_error(entries: list[Any], members: dict[str, Any]) -> None:
    body = bundle(*(json.dumps(one).encode() for one in entries), **members)

    try:
        page = split(body)
    except SourceError:
        return

    assert len(page.entries) + len(page.included) + len(page.outcomes) == len(entries)


@given(st.binary(max_size=60))
def test_any_bytes_end_in_a_page_or_in_one_error(body: bytes) -> None:
    received(body)
    with contextlib.suppress(SourceError):
        split(body)
