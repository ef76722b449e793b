"""What every page shares: times in the site's zone, who acts, and who there is to act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import Request

from bridge.web import words
from bridge.web.context import WebContext
from bridge.web.pages.render import address_of
from bridge.web.who import people, who


def frame(context: WebContext, request: Request, **more: Any) -> Mapping[str, Any]:
    """Return what every page needs: the clock in the site's zone, who acts, and who there is."""
    now, acting_as, known = context.clock(), who(context, request), people(context)

    def clock(at: datetime | None) -> str:
        return words.clock_text(at, context.zone, now)

    def named(by: str) -> str:
        """Return who did something as people call them."""
        return "the lane" if by.startswith("rule:") else known[by].display if by in known else by

    return {
        "clock": clock,
        "named": named,
        "now": now,
        "zone": context.zone.key,
        "acting_as": known[acting_as].display if acting_as in known else acting_as,
        "me": acting_as if acting_as in known else "",
        "people": list(known.values()),
        "back": address_of(request) if request.method == "GET" else "/",
        **more,
    }
