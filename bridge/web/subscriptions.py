"""How each Subscription stands: do notifications arrive, and what is done about it where they do not."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bridge.store.port import Tx
from bridge.store.rows import Subscribed
from bridge.sync.hearing import Condition, condition


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True):
    """
    One Subscription on the EHR. ``state`` is the EHR's word, ``condition`` what it is worth.

    ``missed`` counts changes that the poll found and nobody rang for, ``gaps`` events that were lost on the way
    and caught up with. ``problem`` is what stands against it.
    """

    types: tuple[str, ...]
    about: str
    flavor: str
    resource: str | None
    made_by_hand: bool
    state: str
    condition: Condition
    sentence: str
    active_since: datetime | None
    last_notification_at: datetime | None
    last_event_at: datetime | None
    ends_at: datetime | None
    missed: int
    gaps: int
    problem: str | None


SENTENCES = {
    Condition.WORKING: "Active.",
    Condition.STARTING: "The EHR has yet to make it active.",
    Condition.FAILING: "Not active; changes are found by polling alone.",
    Condition.SILENT: "Two heartbeats did not come; changes are found by polling alone.",
    Condition.NOT_ARRIVING: "Called active, but notifications do not arrive; changes are found by polling alone.",
}


def subscription_views(tx: Tx, connection: str, now: datetime) -> tuple[SubscriptionView, ...]:
    """Read how the Subscriptions of a connection stand."""
    return tuple(_view(row, now) for row in tx.subscribed(connection))


def _view(row: Subscribed, now: datetime) -> SubscriptionView:
    worth = condition(row, now)
    return SubscriptionView(
        types=row.types,
        about=row.about,
        flavor=row.flavor,
        resource=row.ref,
        made_by_hand=not row.ours,
        state=row.state,
        condition=worth,
        sentence=SENTENCES[worth],
        active_since=row.active_at,
        last_notification_at=row.heard_at,
        last_event_at=row.rang_at,
        ends_at=row.ends_at,
        missed=row.missed,
        gaps=row.gaps,
        problem=row.problem,
    )
