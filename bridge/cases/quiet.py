"""Quiet hours: when nobody rings at a patient's, and when the next attempt that falls into them is due instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bridge.cases.terms import Channel

RINGS = frozenset({Channel.PHONE, Channel.VOICEMAIL, Channel.TEXT})
"""Channels that make themselves heard where the patient is; what lies there until it is read disturbs nobody."""

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d) to ([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Quiet:
    """
    From when to when nobody rings, on the clock of the site; usually over midnight.

    The patient's own zone is not known to most EHRs. 08:00 to 21:00, the shipped lanes' hours for ringing, are those
    in which United States rules on telephone solicitation allow calls (47 CFR 64.1200(c)(1)).
    """

    begins: time
    ends: time

    def __str__(self) -> str:
        return f"{self.begins:%H:%M} to {self.ends:%H:%M}"

    def holds(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether *at* falls into them; their end does not."""
        on_the_wall = at.astimezone(zone).time()
        if self.begins < self.ends:
            return self.begins <= on_the_wall < self.ends
        return on_the_wall >= self.begins or on_the_wall < self.ends

    def over(self, at: datetime, zone: ZoneInfo) -> datetime:
        """Return when they are over (aware UTC): *at* itself where they do not hold."""
        if not self.holds(at, zone):
            return at
        local = at.astimezone(zone)
        day = local.date() if local.time() < self.ends else local.date() + timedelta(days=1)
        return max(at, datetime.combine(day, self.ends, zone).astimezone(UTC))


def parse_quiet(text: object) -> Quiet | None:
    """
    Read ``21:00 to 08:00``; ``none`` for none.

    Raises:
        ValueError: *text* has another form, or ends when it begins.
    """
    if isinstance(text, Quiet) or text is None or text == "none":
        return text if isinstance(text, Quiet) else None
    match = _SPAN.fullmatch(str(text))
    if match is None or match[1] + match[2] == match[3] + match[4]:
        raise ValueError(f"{text!r} is neither 'none' nor like '21:00 to 08:00'")
    hours = [int(part) for part in match.groups()]
    return Quiet(time(hours[0], hours[1]), time(hours[2], hours[3]))
