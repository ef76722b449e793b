"""Quiet hours on the clock of the site, also over midnight and when the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cases.quiet import Quiet, parse_quiet

NEW_YORK = ZoneInfo("America/New_York")
NIGHT = Quiet(time(21), time(8))
NOON = Quiet(time(12), time(13, 30))


def test_what_is_written_is_read() -> None:
    assert str(NIGHT) == "21:00 to 08:00"
    assert parse_quiet("21:00 to 08:00") == NIGHT
    assert parse_quiet(NIGHT) is NIGHT
    assert parse_quiet("none") is None


@pytest.mark.parametrize(
    "text", ["", "21 to 8", "21:00-08:00", "24:00 to 08:00", "21:00 to 21:00", 21, "9:00 to 17:00"]
)
def test_anything_else_is_refused_with_what_was_expected(text: object) -> None:
    with pytest.raises(ValueError, match="neither 'none' nor like '21:00 to 08:00'"):
        parse_quiet(text)


@pytest.mark.parametrize(
    ("quiet", "at", "over"),
    [
        (NIGHT, datetime(2026, 6, 1, 20, 59), None),
        (NIGHT, datetime(2026, 6, 1, 21, 0), datetime(2026, 6, 2, 8)),
        (NIGHT, datetime(2026, 6, 1, 7, 59, 59), datetime(2026, 6, 1, 8)),
        (NIGHT, datetime(2026, 6, 1, 8), None),
        (NOON, datetime(2026, 6, 1, 12), datetime(2026, 6, 1, 13, 30)),
        (NOON, datetime(2026, 6, 1, 13, 30), None),
        (NOON, datetime(2026, 6, 1, 0), None),
        (NIGHT, datetime(2026, 3, 7, 23), datetime(2026, 3, 8, 8)),
        (NIGHT, datetime(2026, 10, 31, 23), datetime(2026, 11, 1, 8)),
    ],
)
def test_they_hold_on_the_clock_of_the_site(quiet: Quiet, at: datetime, over: datetime | None) -> None:
    begun = at.replace(tzinfo=NEW_YORK)

    assert quiet.holds(begun, NEW_YORK) is (over is not None)
    assert quiet.over(begun, NEW_YORK) == (over or at).replace(tzinfo=NEW_YORK)


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    quiet=st.sampled_from((NIGHT, NOON, Quiet(time(1, 15), time(1, 45)), Quiet(time(23), time(2, 30)))),
)
def test_what_is_moved_is_moved_ahead_and_out_of_them(at: datetime, quiet: Quiet) -> None:
    """At the end of daylight saving time the hour that comes twice is not quiet twice."""
    moved = quiet.over(at.replace(tzinfo=UTC), NEW_YORK)

    assert moved >= at.replace(tzinfo=UTC)
    assert not quiet.holds(moved, NEW_YORK) or moved.astimezone(NEW_YORK).fold == 1
