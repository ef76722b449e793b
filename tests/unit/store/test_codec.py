"""How values are kept."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.store.codec import (
    MOST_TOGETHER,
    clean,
    compress,
    decompress,
    folded,
    from_cursor,
    instant,
    micros,
    to_cursor,
    together,
)

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)
KEYS = st.integers(-(2**63), 2**63 - 1)


@given(INSTANTS)
def test_an_instant_comes_back_exactly_and_in_utc(at: datetime) -> None:
    back = instant(micros(at))

    assert back == at
    assert back.tzinfo is UTC


@given(INSTANTS, INSTANTS)
def test_instants_sort_as_their_numbers_do(one: datetime, other: datetime) -> None:
    assert (one < other) == (micros(one) < micros(other))


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        micros(datetime(2026, 3, 2))


@given(st.text())
def test_text_is_kept_but_for_nul(text: str) -> None:
    assert clean(text) == text.replace("\0", "\ufffd")


@given(st.lists(st.binary(max_size=2_000), min_size=1, max_size=5))
def test_bodies_come_back_exactly(bodies: list[bytes]) -> None:
    packed, ends = compress(bodies), list(accumulate(map(len, bodies)))

    back = [decompress(packed, end - len(body), len(body)) for end, body in zip(ends, bodies, strict=True)]

    assert back == bodies


def test_bodies_are_packed_together_only_up_to_a_limit() -> None:
    """Reading one body never unpacks much more than the limit, however large a page was."""

    def sizes(*given: int) -> list[list[int]]:
        return [[len(body) for body in part] for part in together([b"." * size for size in given])]

    half = MOST_TOGETHER // 2

    assert sizes() == []
    assert sizes(0, 1, half) == [[0, 1, half]]
    assert sizes(half, half, 1) == [[half, half], [1]]
    assert sizes(1, 3 * half, 1, 1) == [[1], [3 * half], [1, 1]]


@pytest.mark.parametrize(("one", "other"), [("STRASSE", "stra\xdfe"), ("\xc4", "a\u0308"), ("\ufb01n", "FIN")])
def test_words_that_read_alike_are_searched_alike(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@given(KEYS, KEYS, KEYS)
def test_a_cursor_comes_back(first: int, second: int, third: int) -> None:
    assert from_cursor(to_cursor((first, second, third))) == (first, second, third)


@given(st.text(max_size=40))
def test_a_text_is_a_cursor_or_is_refused_with_a_reason(text: str) -> None:
    with suppress(ValueError):
        assert all(-(2**63) <= part < 2**63 for part in from_cursor(text))
