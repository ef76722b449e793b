"""How a server goes about its notifications; by the book where nothing else is set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(slots=True)
class Habits:
    """
    Switches of one server's notifications. They may be changed while it runs.

    Attributes:
        fires: Whether anything is ever sent; where not, a Subscription is accepted and called active all the same.
        handshake: Whether a topic Subscription is proven by a handshake before it is active; if it is not answered
            2xx, it becomes ``error`` (Subscriptions R5 Backport IG 1.1.0, notifications).
        activation_delay: How long a new Subscription stays ``requested``.
        delay: How long after its change a notification is sent first.
        delay_at_most: Where it is longer than *delay*, each is sent after a chance time between the two.
        retry_every: When an attempt that failed is repeated.
        give_up_after: How long after the first attempt a notification is given up.
        attempts: After how many attempts it is given up; 0 for any number.
        giving_up: What then becomes of the Subscription: ``active`` (nothing), ``error`` or ``off``.
        blocks: Whether nothing is sent to anybody while an attempt to one subscriber waits to be repeated.
        lose_every: Every so many notifications is lost without an attempt; 0 for none, 1 for all.
        copies: How often each is sent.
        fail_after: After so many notifications the Subscription fails; 0 for never.
        fail_as: What it then becomes: ``error``, ``off`` or ``gone`` (deleted).
        numbering: Events are numbered since the Subscription's ``start``, within each ``bundle``, or not at all:
            ``stuck``.
        restart_every: The counter starts again after so many events; 0 for never.
        form: How topic Bundles are written: as the ``guide`` says, as ``hapi`` or as ``athenahealth`` does.
        silent_topics_in: FHIR versions (``4.0``) in which topic Subscriptions never fire.
        classic_post: Whether a classic hook with a payload POSTs to the endpoint itself, instead of PUT below it.
        bundle_in_answer: Whether a 200 to a topic Bundle counts as failed unless it holds a Bundle.
        signature: Header that carries the HMAC-SHA256 of the body, where the Subscription has a secret.
        operations: Whether ``$status`` and ``$events`` are there; HAPI 8.0.0 answered 400, seen 2026-11.
        timeout_seconds: How long an answer is waited for.
    """

    fires: bool = True
    handshake: bool = True
    activation_delay: timedelta = timedelta(0)
    delay: timedelta = timedelta(0)
    delay_at_most: timedelta = timedelta(0)
    retry_every: timedelta = timedelta(seconds=5)
    give_up_after: timedelta = timedelta(seconds=60)
    attempts: int = 0
    giving_up: str = "error"
    blocks: bool = False
    lose_every: int = 0
    copies: int = 1
    fail_after: int = 0
    fail_as: str = "error"
    numbering: str = "start"
    restart_every: int = 0
    form: str = "guide"
    silent_topics_in: frozenset[str] = frozenset()
    classic_post: bool = False
    bundle_in_answer: bool = False
    signature: str | None = None
    operations: bool = True
    timeout_seconds: float = 10
