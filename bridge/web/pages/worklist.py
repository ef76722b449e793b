"""The worklist: cases with status, owner, next action, due time, blocker, last contact and write-back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec.structs import replace

from bridge.cases.model import Attempt
from bridge.cases.terms import BlockerCategory, Status
from bridge.store.port import Tx
from bridge.store.queries import CaseFilter, CaseOrder
from bridge.web.bodies import FormBody
from bridge.web.connections import Freshness, freshness
from bridge.web.context import WebContext
from bridge.web.pages.frame import frame
from bridge.web.pages.render import COUNTED_TO, html, live, page
from bridge.web.problems import ApiError
from bridge.web.reading import Listed, list_cases
from bridge.web.views import CaseView
from bridge.web.who import queues, who

View = Literal[
    "open", "mine", "team", "unowned", "overdue", "today", "escalated", "blocked", "waiting", "recent", "closed"
]

VIEWS: dict[str, str] = {
    "open": "Open",
    "mine": "Mine",
    "team": "My team",
    "unowned": "Not taken",
    "overdue": "Overdue",
    "today": "Due today",
    "escalated": "Escalated",
    "blocked": "Blocked",
    "waiting": "Waiting on the EHR",
    "recent": "Closed recently",
    "closed": "Closed",
}
assert tuple(VIEWS) == get_args(View)

RECENTLY = timedelta(days=14)
"""How long a case counts as closed recently (rule ours)."""

_ORDERS = {"recent": CaseOrder.CLOSED, "closed": CaseOrder.CLOSED}
_NOT_OPEN = {"recent": False, "closed": False, "waiting": None}
"""Whether the cases of a view are open, where it is not only those; what waits on the EHR may be closed here."""

PAGE_SIZE = 50
Choice = Annotated[str | None, Query(max_length=256)]


class Filters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worklist's address says; nothing in it is about a patient."""

    view: str = "open"
    connection: str = ""
    lane: str = ""
    status: str = ""
    owner: str = ""
    blocker: str = ""
    cursor: str = ""

    def address(self, **changed: str) -> str:
        """Return the address of the worklist with some filters changed."""
        query = urlencode(msgspec.to_builtins(replace(self, **changed)))
        return f"/?{query}" if query else "/"


class Row(msgspec.Struct, frozen=True):
    """A case as one line: the case, its last contact, and the state of its write-back as a whole."""

    case: CaseView
    last: Attempt | None
    mark: str
    words: str


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    pages = APIRouter(default_response_class=Response, include_in_schema=False)

    @pages.get("/")
    def worklist(
        request: Request,
        view: View = "open",
        connection: Choice = "",
        lane: Choice = "",
        status: Choice = "",
        owner: Choice = "",
        blocker: Choice = "",
        cursor: Choice = "",
        left: bool = True,
    ) -> Response:
        filters = Filters(
            view=view,
            connection=connection or "",
            lane=lane or "",
            status=status or "",
            owner=owner or "",
            blocker=blocker or "",
            cursor=cursor or "",
        )
        where = _where(filters, context, who(context, request))
        listed = list_cases(context, where, limit=PAGE_SIZE, cursor=filters.cursor or None, up_to=COUNTED_TO + 1)
        values = _values(context, request, filters, listed)
        values = {**values, "left": left}
        return live(request, "worklist.html", "_worklist.html", values)

    @pages.post("/search")
    def search(request: Request, form: FormBody) -> Response:
        q = form.get("q", "").strip()[:256]
        if not q:
            raise ApiError(422, "Type a word of the patient's name or of the title.")
        cursor = form.get("cursor") or None
        listed = list_cases(context, CaseFilter(q=q), limit=PAGE_SIZE, cursor=cursor, up_to=COUNTED_TO + 1)
        values = frame(context, request, q=q, rows=_rows(listed), total=listed.total, next=listed.next)
        return html(page("search.html", **values))

    return pages


def _where(filters: Filters, context: WebContext, me: str, *, view: str | None = None) -> CaseFilter:
    view, now = view or filters.view, context.clock()
    due = {"overdue": now, "today": tomorrow(now, context.zone)}.get(view)
    return CaseFilter(
        connection=filters.connection or None,
        lane=filters.lane or None,
        status=filters.status or None,
        owner=filters.owner or None,
        owners={"mine": (me,), "team": queues(context, me)}.get(view),
        blocker=filters.blocker or ("any" if view == "blocked" else None),
        is_open=_NOT_OPEN.get(view, True),
        overdue_at=due,
        due_from=now if view == "today" else None,
        unowned=view == "unowned",
        escalated=view == "escalated",
        waiting_on_ehr=view == "waiting",
        closed_since=now - RECENTLY if view == "recent" else None,
        order=_ORDERS.get(view, CaseOrder.DUE),
    )


def tomorrow(now: datetime, zone: ZoneInfo) -> datetime:
    """
    Return when the site's next day begins (UTC).

    A midnight that a clock skips is when the clock has skipped it, one that it strikes twice is the first.
    """
    day = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def _values(context: WebContext, request: Request, filters: Filters, listed: Listed) -> Mapping[str, Any]:
    return frame(
        context,
        request,
        filters=filters,
        tabs=_tabs(context, filters, who(context, request)),
        order=_ORDERS.get(filters.view, CaseOrder.DUE).value,
        rows=_rows(listed),
        total=listed.total,
        next=filters.address(cursor=listed.next) if listed.next else None,
        first=filters.address(cursor="") if filters.cursor else None,
        filtered=any((filters.connection, filters.lane, filters.status, filters.owner, filters.blocker)),
        unfiltered=Filters(view=filters.view).address(),
        connections=_freshness(context),
        next_from=_next_from(context, who(context, request)) if filters.view in ("team", "unowned", "mine") else [],
        **_choices(context),
    )


def _freshness(context: WebContext) -> list[Freshness]:
    """How fresh each connection's data is; nothing is asked of an EHR for it, so it never waits for one."""
    now, stale_after = context.clock(), context.stale_after
    with context.store.reading() as tx:
        return [
            freshness(name, line.types, tx.cursors(name), now=now, stale_after=stale_after, pauses=tx.pauses(name))
            for name, line in context.lines.items()
        ]


def _tabs(context: WebContext, filters: Filters, me: str) -> list[tuple[str, str, str, int]]:
    """Each view's name, words, address and how many cases it holds."""
    with context.store.reading() as tx:
        totals = _totals(tx, {view: _where(filters, context, me, view=view) for view in VIEWS})
    return [(view, words, filters.address(view=view, cursor=""), totals[view]) for view, words in VIEWS.items()]


def _totals(tx: Tx, wheres: Mapping[str, CaseFilter]) -> Mapping[str, int]:
    """Count each view; where a lane has nothing at all its parts are not looked for one by one."""
    whole = ("open", "closed", "waiting")
    found = dict(zip(whole, tx.count_cases([wheres[view] for view in whole], COUNTED_TO + 1), strict=True))
    parts = [view for view in wheres if view not in whole and found["closed" if view == "recent" else "open"]]
    totals = tx.count_cases([wheres[view] for view in parts], COUNTED_TO + 1)
    return {**dict.fromkeys(wheres, 0), **found, **dict(zip(parts, totals, strict=True))}


def _next_from(context: WebContext, me: str) -> list[tuple[str, str, int]]:
    """The queues that whoever acts works: name, words, and how many cases wait there."""
    titles, mine = _choices(context)["owners"], queues(context, me)
    with context.store.reading() as tx:
        waiting = [CaseFilter(owner=role, is_open=True, unowned=True) for role in mine]
        totals = tx.count_cases(waiting, COUNTED_TO + 1)
    return [(role, titles[role], total) for role, total in zip(mine, totals, strict=True) if total]


def _choices(context: WebContext) -> dict[str, Any]:
    lanes = {lane.name: lane.title for line in context.lines.values() for lane in line.rules.lanes.all}
    owners = {entry.name: entry.display for line in context.lines.values() for entry in line.rules.owners.entries()}
    return {
        "lanes": lanes,
        "owners": dict(sorted(owners.items(), key=lambda item: item[1].casefold())),
        "statuses": [status for status in Status if status is not Status.CLOSED],
        "blockers": list(BlockerCategory),
    }


def _rows(listed: Listed) -> list[Row]:
    return [Row(case, _last(case), *_mark(case)) for case in listed.cases]


def _last(case: CaseView) -> Attempt | None:
    return max(case.outreach, key=lambda attempt: attempt.at, default=None)


def _mark(case: CaseView) -> tuple[str, str]:
    """The state of a case's write-back as a whole: what needs somebody comes before what is well."""
    states = {write.state for write in case.write_back}
    for state, mark, words in (
        ("parked", "stuck", "Not written"),
        ("sent", "waiting", "Sending"),
        ("queued", "waiting", "Queued"),
        ("confirmed", "done", "In the EHR"),
        ("not-writable", "never", "Not writable"),
    ):
        if state in states:
            return mark, words
    return "none", "Nothing yet"
