"""Business days and hours, zones, daylight saving, partial dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.cases.calendar import Calendar, Span, Unit, last_day, parse_span, plausible
from bridge.cases.snapshot import When

NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"
KOLKATA = "Asia/Kolkata"
ALWAYS = {day: (time(0), time(23, 59)) for day in range(7)}


def at(text: str) -> datetime:
    """Return an instant in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def office(zone: str = NEW_YORK, *holidays: date) -> Calendar:
    """Return an office that opens Monday to Friday from 8 to 17."""
    return Calendar(ZoneInfo(zone), holidays=frozenset(holidays))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("2 business days", Span(2, Unit.BUSINESS_DAYS)),
        ("1 business day", Span(1, Unit.BUSINESS_DAYS)),
        ("4 business hours", Span(4, Unit.BUSINESS_HOURS)),
        ("30 minutes", Span(30, Unit.MINUTES)),
        ("3 days", Span(3, Unit.DAYS)),
        (" 1 week ", Span(1, Unit.WEEKS)),
        ("0 hours", Span(0, Unit.HOURS)),
    ],
)
def test_a_span_is_read_and_says_itself_again(text: str, span: Span) -> None:
    assert parse_span(text) == span
    assert parse_span(str(span)) == span


@pytest.mark.parametrize(
    "text", ["", "soon", "two days", "-1 days", "1.5 days", "3 business weeks", "5 business minutes"]
)
def test_another_form_of_span_is_refused_and_the_message_shows_the_right_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span such as '2 business days'"):
        parse_span(text)


@pytest.mark.parametrize(
    ("start", "span", "end", "why"),
    [
        ("2026-06-01T10:00-04:00", "0 business days", "2026-06-01T17:00-04:00", "the same day's closing"),
        ("2026-06-01T10:00-04:00", "2 business days", "2026-06-03T17:00-04:00", "Monday to Wednesday"),
        ("2026-06-05T16:59-04:00", "1 business day", "2026-06-08T17:00-04:00", "Friday to Monday"),
        ("2026-06-05T17:00-04:00", "1 business day", "2026-06-09T17:00-04:00", "after closing counts as Monday"),
        ("2026-06-06T12:00-04:00", "1 business day", "2026-06-09T17:00-04:00", "Saturday counts as Monday"),
        ("2026-06-01T07:00-04:00", "1 business day", "2026-06-02T17:00-04:00", "before opening counts as that day"),
        ("2026-07-02T10:00-04:00", "1 business day", "2026-07-06T17:00-04:00", "over a holiday and a weekend"),
        ("2026-06-02T00:30+00:00", "1 business day", "2026-06-03T17:00-04:00", "Monday evening at the site"),
        ("2026-06-01T10:00-04:00", "4 business hours", "2026-06-01T14:00-04:00", "within the day"),
        ("2026-06-01T15:00-04:00", "4 business hours", "2026-06-02T10:00-04:00", "over the night"),
        ("2026-06-01T13:00-04:00", "4 business hours", "2026-06-01T17:00-04:00", "to the minute of closing"),
        ("2026-06-05T16:00-04:00", "10 business hours", "2026-06-08T17:00-04:00", "one hour and a whole day"),
        ("2026-06-06T16:00-04:00", "1 business hour", "2026-06-08T09:00-04:00", "from a Saturday"),
        ("2026-06-01T06:00-04:00", "1 business hour", "2026-06-01T09:00-04:00", "from before opening"),
        ("2026-06-01T18:00-04:00", "0 business hours", "2026-06-02T08:00-04:00", "at the next opening"),
        ("2026-06-01T10:00-04:00", "90 minutes", "2026-06-01T11:30-04:00", "by the clock"),
        ("2026-06-06T22:00-04:00", "2 hours", "2026-06-07T00:00-04:00", "hours do not care for Sundays"),
        ("2026-06-01T10:00-04:00", "2 weeks", "2026-06-15T10:00-04:00", "the same time of day"),
    ],
)
def test_time_after(start: str, span: str, end: str, why: str) -> None:
    calendar = office(NEW_YORK, date(2026, 7, 3))

    assert calendar.after(at(start), parse_span(span)) == at(end), why


@pytest.mark.parametrize(
    ("end", "span", "latest"),
    [
        ("2026-06-19T10:00-04:00", "2 business days", "2026-06-17T17:00-04:00"),
        ("2026-06-22T10:00-04:00", "1 business day", "2026-06-19T17:00-04:00"),
        ("2026-06-20T10:00-04:00", "1 business day", "2026-06-19T17:00-04:00"),
        ("2026-06-20T10:00-04:00", "0 business days", "2026-06-19T17:00-04:00"),
        ("2026-07-06T10:00-04:00", "1 business day", "2026-07-02T17:00-04:00"),
        ("2026-06-19T10:00-04:00", "3 hours", "2026-06-19T07:00-04:00"),
        ("2026-06-19T10:00-04:00", "15 minutes", "2026-06-19T09:45-04:00"),
        ("2026-06-19T10:00-04:00", "1 week", "2026-06-12T10:00-04:00"),
    ],
)
def test_time_before(end: str, span: str, latest: str) -> None:
    calendar = office(NEW_YORK, date(2026, 7, 3))

    assert calendar.before(at(end), parse_span(span)) == at(latest)


def test_business_hours_are_not_counted_backwards() -> None:
    with pytest.raises(ValueError, match="not supported"):
        office().before(at("2026-06-19T10:00-04:00"), parse_span("2 business hours"))


@pytest.mark.parametrize(
    ("zone", "start", "span", "end", "why"),
    [
        (NEW_YORK, "2026-03-13T10:00-04:00", "1 business day", "2026-03-16T17:00-04:00", "closing in summer time"),
        (NEW_YORK, "2026-10-30T10:00-04:00", "1 business day", "2026-11-02T17:00-05:00", "closing in winter time"),
        (NEW_YORK, "2026-10-31T10:00-04:00", "1 day", "2026-11-01T10:00-05:00", "a day of 25 hours"),
        (NEW_YORK, "2027-03-13T10:00-05:00", "1 day", "2027-03-14T10:00-04:00", "a day of 23 hours"),
        (NEW_YORK, "2026-10-31T10:00-04:00", "24 hours", "2026-11-01T09:00-05:00", "hours are hours"),
        (NEW_YORK, "2027-03-13T02:30-05:00", "1 day", "2027-03-14T03:30-04:00", "02:30 does not exist"),
        (NEW_YORK, "2026-10-31T01:30-04:00", "1 day", "2026-11-01T01:30-04:00", "01:30 is there twice: the first"),
        (LORD_HOWE, "2026-10-03T02:15+10:30", "1 day", "2026-10-04T02:45+11:00", "02:15 does not exist (30 minutes)"),
        (LORD_HOWE, "2027-04-03T01:45+11:00", "1 day", "2027-04-04T01:45+11:00", "01:45 is there twice: the first"),
        (LORD_HOWE, "2026-10-02T10:00+10:30", "1 business day", "2026-10-05T17:00+11:00", "over the change"),
        (KOLKATA, "2026-06-01T23:00+05:30", "1 business day", "2026-06-03T17:00+05:30", "no change, half an hour off"),
        (KOLKATA, "2026-06-01T16:45+05:30", "1 business hour", "2026-06-02T08:45+05:30", "business hours there"),
    ],
)
def test_time_after_in_zones_and_over_clock_changes(zone: str, start: str, span: str, end: str, why: str) -> None:
    assert office(zone).after(at(start), parse_span(span)) == at(end), why


@pytest.mark.parametrize(
    ("end", "latest"),
    [("2026-11-02T10:00-05:00", "2026-10-31T10:00-04:00"), ("2027-03-15T10:00-04:00", "2027-03-13T10:00-05:00")],
)
def test_days_before_keep_the_time_of_day_over_a_clock_change(end: str, latest: str) -> None:
    assert office().before(at(end), parse_span("2 days")) == at(latest)


@pytest.mark.parametrize(
    ("zone", "text", "end"),
    [
        (NEW_YORK, "2026-06-01", "2026-06-01T17:00-04:00"),
        (NEW_YORK, "2026-06-06", "2026-06-06T23:59:59-04:00"),
        (NEW_YORK, "2026-11-01", "2026-11-01T23:59:59-05:00"),
        (NEW_YORK, "2026-02", "2026-02-28T23:59:59-05:00"),
        (NEW_YORK, "2028-02", "2028-02-29T17:00-05:00"),
        (NEW_YORK, "2026-12", "2026-12-31T17:00-05:00"),
        (NEW_YORK, "2026", "2026-12-31T17:00-05:00"),
        (KOLKATA, "2026-06-01", "2026-06-01T17:00+05:30"),
        (LORD_HOWE, "2026-10-04", "2026-10-04T23:59:59+11:00"),
    ],
)
def test_a_partial_date_ends_with_its_last_day_at_the_site(zone: str, text: str, end: str) -> None:
    assert office(zone).end_of(When(text)) == at(end)


def test_an_instant_ends_when_it_says() -> None:
    told = at("2026-06-01T23:15+02:00")

    assert office().end_of(When("2026-06-01T23:15:00+02:00", told)) == told


@pytest.mark.parametrize("text", ["0001-01-01", "0001", "1899-12", "9999-12-31", "9999-12", "9999"])
@pytest.mark.parametrize("zone", [NEW_YORK, KOLKATA])
def test_a_date_that_stands_for_none_has_no_end(text: str, zone: str) -> None:
    """0001-01-01 and 9999-12-31 are what systems write for dates that are not set; no zone fits on them."""
    assert office(zone).end_of(When(text)) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0001-01-01T00:00+00:00", False),
        ("1899-12-31T23:59+00:00", False),
        ("1900-01-01T00:00+00:00", True),
        ("8999-12-31T23:59+00:00", True),
        ("9999-12-31T23:59+00:00", False),
    ],
)
def test_an_instant_is_plausible_within_reach_of_the_living(text: str, meant: bool) -> None:
    told = datetime.fromisoformat(text)

    assert (plausible(told) == told) is meant
    assert plausible(None) is None


def test_last_day_refuses_what_is_no_date() -> None:
    with pytest.raises(ValueError, match="day is out of range"):
        last_day("2026-02-30")


def test_a_site_that_never_opens_is_named_instead_of_searched_for_ever() -> None:
    closed = Calendar(hours={})

    with pytest.raises(ValueError, match="no open day within ten years"):
        closed.after(at("2026-06-01T10:00+00:00"), parse_span("1 business day"))


def test_a_site_that_is_always_open_counts_weekends() -> None:
    calendar = Calendar(ZoneInfo(NEW_YORK), ALWAYS)

    assert calendar.after(at("2026-06-05T10:00-04:00"), parse_span("1 business day")) == at("2026-06-06T23:59-04:00")


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("span", ["0 business hours", "0 days", "1 business hour", "1 day", "0 business days"])
def test_nothing_ends_before_it_began_on_the_night_when_an_hour_comes_twice(zone: str, span: str) -> None:
    """A clinic that is open at that hour; the island's clock goes back by half an hour only."""
    always = Calendar(ZoneInfo(zone), dict.fromkeys(range(7), (time(0, 0), time(23, 59))))
    begins = datetime(2026, 10, 31, tzinfo=UTC) if "York" in zone else datetime(2026, 4, 4, tzinfo=UTC)

    for minutes in range(0, 60 * 48, 10):
        start = begins + timedelta(minutes=minutes)
        assert always.after(start, parse_span(span)) >= start
