"""Search values are escaped and encoded so that no character changes what is asked."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.fhir.bundle import BundlePage
from bridge.fhir.outcome import Issue, Outcome
from bridge.fhir.query import cut_short, encode, escape


@pytest.mark.parametrize(
    ("value", "escaped"),
    [("a", "a"), ("a|b", "a\\|b"), ("a,b", "a\\,b"), ("a$b", "a\\$b"), ("a\\b", "a\\\\b"), ("a&b=%26", "a&b=%26")],
)
def test_the_four_characters_of_a_search_are_escaped(value: str, escaped: str) -> None:
    assert escape(value) == escaped


def test_a_query_carries_nothing_that_a_server_could_take_for_its_own() -> None:
    query = encode(
        [("identifier", "http://a|b+c&d=e"), ("_lastUpdated", "ge2026-01-01T00:00:00+02:00"), ("x:exact", "é")]
    )

    assert query == (
        "identifier=http%3A%2F%2Fa%7Cb%2Bc%26d%3De&_lastUpdated=ge2026-01-01T00%3A00%3A00%2B02%3A00&x:exact=%C3%A9"
    )


NAMES = st.sampled_from(["identifier", "_id", "code:in", "_lastUpdated"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(NAMES, TEXTS)))
def test_a_query_is_read_back_as_it_was_meant(params: list[tuple[str, str]]) -> None:
    assert parse_qsl(encode(params), keep_blank_values=True) == params


@given(TEXTS)
def test_an_escaped_value_is_one_value(value: str) -> None:
    plain = escape(value).replace("\\\\", "").replace("\\,", "").replace("\\|", "").replace("\\$", "")

    assert not set(plain) & set("\\,|$")


@pytest.mark.parametrize(
    "issue",
    [
        Issue("information", "processing", ("59133",)),
        Issue("warning", "processing", ("4127",)),
        Issue("warning", "too-costly"),
        Issue("warning", "incomplete"),
        Issue("information", "informational", mentions="Too many results: only the first 1000 were returned"),
        Issue("warning", "processing", mentions="The search exceeded the maximum number of results"),
    ],
)
def test_an_answer_that_was_cut_short_says_so_in_many_ways(issue: Issue) -> None:
    """Epic's codes and FHIR's issue types; the words are those of nobody in particular."""
    page = BundlePage(entries=(), outcomes=(Outcome((Issue("warning", "processing"), issue)),))

    assert cut_short(page) == issue.words()


@pytest.mark.parametrize(
    "issue",
    [
        Issue("warning", "suppressed", mentions="Some results may be hidden"),
        Issue("warning", "processing", ("4119",)),
        Issue("warning", "processing", ("4101",), mentions="The search gave no results"),
    ],
)
def test_what_we_may_not_see_is_not_cut_short(issue: Issue) -> None:
    assert cut_short(BundlePage(entries=(), outcomes=(Outcome((issue,)),))) is None
