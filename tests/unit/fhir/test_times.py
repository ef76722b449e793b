"""FHIR dates and times keep their precision, and nothing that is none gets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.fhir.times import format_instant, instant_in, parse_instant, parse_moment

DENVER = ZoneInfo("America/Denver")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "precision", "at"),
    [
        ("2026", "year", None),
        ("2026-03", "month", None),
        ("2026-03-07", "day", None),
        ("2026-03-07T10:20:30Z", "second", utc(2026, 3, 7, 10, 20, 30)),
        ("2026-03-07T10:20:30z", "second", utc(2026, 3, 7, 10, 20, 30)),
        ("2026-03-07T10:20:30.5Z", "second", utc(2026, 3, 7, 10, 20, 30, 500_000)),
        ("2026-03-07T10:20:30.123456789Z", "second", utc(2026, 3, 7, 10, 20, 30, 123_456)),
        ("2026-03-07T10:20:30-07:00", "second", utc(2026, 3, 7, 17, 20, 30)),
        ("2026-03-07T10:20:30+05:45", "second", utc(2026, 3, 7, 4, 35, 30)),
        ("2026-03-07T00:30:00+14:00", "second", utc(2026, 3, 6, 10, 30)),
        ("2016-12-31T23:59:60Z", "second", utc(2016, 12, 31, 23, 59, 59)),
        ("2026-03-07T10:20Z", "second", utc(2026, 3, 7, 10, 20)),
    ],
)
def test_a_time_is_read_as_precisely_as_it_is_given(text: str, precision: str, at: datetime | None) -> None:
    moment = parse_moment(text)

    assert (moment.precision, moment.at, moment.text) == (precision, at, text)
    if at is not None:
        assert parse_instant(text) == at


def test_a_time_without_an_offset_is_only_a_day() -> None:
    """FHIR wants an offset with every time; without one, no instant can be told."""
    moment = parse_moment("2026-03-07T10:20:30")

    assert (moment.precision, moment.text, moment.at) == ("day", "2026-03-07", None)


HOSTILE = [
    "",
    "soon",
    "26",
    "0000",
    "2026-13",
    "2026-00",
    "2026-02-30",
    "2026-03-07T24:00:00Z",
    "2026-03-07T25:00:00Z",
    "2026-03-07T10:60:00Z",
    "2026-03-07T10:20:61Z",
    "2026-03-07T10:20:30Z\n",
    " 2026-03-07",
    "2026-03-07T",
    "２０２６-03-07",
    "2026-03-07T10:20:30." + "1" * 100_000 + "Z",
    "9" * 100_000,
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:30])
def test_what_is_no_time_is_refused_without_repeating_it(text: str) -> None:
    for parse in (parse_moment, parse_instant):
        with pytest.raises(ValueError) as refused:
            parse(text)

        assert not text or text not in str(refused.value)


@pytest.mark.parametrize("text", ["2026-03-07T10:20:30+15:00", "2026-03-07T10:20:30+05:60", "2026-03-07T10:20:30.Z"])
def test_only_the_faster_reader_lets_other_iso_forms_pass(text: str) -> None:
    assert parse_instant(text).tzinfo is UTC
    with pytest.raises(ValueError):
        parse_moment(text)


@pytest.mark.parametrize("text", ["2026", "2026-03", "2026-03-07", "2026-03-07T10:20:30"])
def test_what_is_no_instant_is_refused_as_one(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)


@given(st.text(max_size=40))
def test_no_text_ends_in_anything_but_a_value_error(text: str) -> None:
    for parse in (parse_moment, parse_instant):
        try:
            parse(text)
        except ValueError:
            continue


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS))
def test_both_readers_agree_and_what_is_written_is_read_back(at: datetime) -> None:
    text = at.isoformat()

    assert parse_instant(text) == parse_moment(text).at == at
    assert parse_instant(format_instant(at)) == at


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (utc(2026, 3, 7, 10), "2026-03-07T10:00:00.000Z"),
        (utc(2026, 3, 7, 10, 0, 0, 120_000), "2026-03-07T10:00:00.120Z"),
        (utc(2026, 3, 7, 10, 0, 0, 120_001), "2026-03-07T10:00:00.120001Z"),
        (datetime(2026, 3, 7, 10, tzinfo=DENVER), "2026-03-07T17:00:00.000Z"),
    ],
)
def test_an_instant_is_written_in_utc_without_losing_precision(at: datetime, text: str) -> None:
    """A bound of a search must not be later than the row it came from."""
    assert format_instant(at) == text


def test_a_naive_time_is_never_written() -> None:
    with pytest.raises(ValueError, match="zone"):
        format_instant(datetime(2026, 3, 7))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", utc(2026, 1, 1, 7), utc(2027, 1, 1, 6, 59, 59, 999_999)),
        ("2026-03", utc(2026, 3, 1, 7), utc(2026, 4, 1, 5, 59, 59, 999_999)),
        ("2026-12", utc(2026, 12, 1, 7), utc(2027, 1, 1, 6, 59, 59, 999_999)),
        ("2028-02", utc(2028, 2, 1, 7), utc(2028, 3, 1, 6, 59, 59, 999_999)),
        ("2026-03-08", utc(2026, 3, 8, 7), utc(2026, 3, 9, 5, 59, 59, 999_999)),
        ("2026-03-08T10:00:00Z", utc(2026, 3, 8, 10), utc(2026, 3, 8, 10)),
    ],
)
def test_a_partial_date_covers_civil_days_where_it_is_read(text: str, first: datetime, last: datetime) -> None:
    """2026-03-08 has 23 hours in Denver: the clocks go forward."""
    assert parse_moment(text).bounds(DENVER) == (first, last)


@pytest.mark.parametrize("text", ["0001", "0001-01-01", "9999", "9999-12", "9999-12-31"])
@pytest.mark.parametrize("hours", [-14, 0, 14])
def test_the_ends_of_the_calendar_have_bounds(text: str, hours: int) -> None:
    first, last = parse_moment(text).bounds(timezone(timedelta(hours=hours)))

    assert first < last


@pytest.mark.parametrize(
    "value", [None, 7, True, ["2026-06-01T08:00:00Z"], "", "soon", "2026-06-01", "2026-06-01T08:00:00"]
)
def test_what_is_no_instant_gives_none(value: object) -> None:
    assert instant_in(value) is None


def test_an_instant_among_json_values_is_read() -> None:
    assert instant_in("2026-06-01T08:00:00+02:00") == datetime(2026, 6, 1, 6, tzinfo=UTC)
