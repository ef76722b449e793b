"""What the store keeps, row by row, as values."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from bridge.cases.enums import quick
from bridge.cases.intents import Intent, IntentState


@quick
class InboxState(StrEnum):
    """What became of one received version. A repeat is counted, never stored again."""

    APPLIED = "applied"
    IGNORED = "ignored"
    PARKED = "parked"


LATE_CODE = "late"
"""The code of an applied version that came after a poll had read past it without finding it."""


class InboxRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    One received version and what became of it.

    ``code`` and ``reason`` say why it was ignored or parked (``code`` from a closed set, no patient data).
    ``raw`` is exactly what was received; readers that do not ask for it get ``b""``.
    """

    connection: str
    ref: str
    type: str
    version: str
    updated_at: datetime | None
    received_at: datetime
    path: str
    """How it came: ``poll``, ``notify``, ``sweep``, ``delivery``, ``replay``."""
    state: InboxState
    code: str | None = None
    reason: str | None = None
    raw: bytes = b""
    id: int | None = None


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """
    How far one stream (a resource type of a connection) is read.

    ``watermark`` is by the server's clock: everything up to it is stored. While a crawl runs, ``position`` is
    how far it got (``_lastUpdated``), or ``place`` whose resources it read last where it goes from one
    patient or schedule to the next; ``started_at`` is the server's clock when it began and ``read`` counts its
    resources. ``checked_at`` is our clock at the last complete crawl. ``problem`` is the last failure, in
    words, ``warnings`` what the server warned of in the last complete crawl. ``rung`` is the way the stream
    was read: what one way has read says nothing about where another has to begin. ``behind_since`` tells, until its
    rung has read it whole, since when that is waited for: since it was first asked for, by our clock, or since what
    another rung had read of it.
    """

    connection: str
    stream: str
    watermark: datetime | None = None
    position: datetime | None = None
    started_at: datetime | None = None
    place: str | None = None
    read: int = 0
    checked_at: datetime | None = None
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    rung: str | None = None
    behind_since: datetime | None = None

    @property
    def known_until(self) -> datetime | None:
        """Up to when everything is stored; ``None`` before the first complete crawl, which may begin at a day."""
        return self.watermark if self.checked_at is not None else None

    def lag(self, now: datetime, ahead: timedelta | None = None) -> timedelta | None:
        """
        Return how far the stream is behind at *now*, by our clock; ``None`` before it was first asked for.

        Args:
            ahead: How far the server's clock is ahead of ours. Of one that tells no time the watermark is that of the
                newest resource, however long nothing changed: then the last complete crawl counts.
        """
        since = self.behind_since if self.checked_at is None else self.checked_at
        if self.checked_at is not None and self.watermark is not None and ahead is not None:
            since = self.watermark - ahead
        return max(timedelta(0), now - since) if since is not None else None


class Counts(msgspec.Struct, frozen=True, gc=False):
    """What came in: ``received`` is always the sum of the other four (a CHECK holds it)."""

    received: int = 0
    applied: int = 0
    duplicate: int = 0
    ignored: int = 0
    parked: int = 0


class Hint(msgspec.Struct, frozen=True):
    """
    Something at the EHR may have changed: ``Type/id``, or ``Type`` where nobody said which.

    ``mark`` tells one note of it from the next.
    """

    ref: str
    noted_at: datetime
    mark: int


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a connection's EHR is to be asked, for every process that asks it.

    ``next_at`` is when the next request may be sent where so many a second are allowed. ``asked_until`` is until
    when the EHR itself asked to be left alone. ``open_until`` is until when nobody tries because it did not
    answer, ``away_since`` when that began and ``trips`` how often in a row it was found away. ``recovered_at`` is
    when it came back. ``reason`` says in words what it answered last while it was away, ``cause`` in one of a few words
    (``governor.Away``). ``ahead`` is how far its clock was ahead of ours when that was noted last.
    """

    connection: str
    next_at: datetime | None = None
    asked_until: datetime | None = None
    away_since: datetime | None = None
    open_until: datetime | None = None
    trips: int = 0
    recovered_at: datetime | None = None
    reason: str | None = None
    cause: str | None = None
    ahead: timedelta | None = None


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """
    One Subscription on an EHR: how it stands there, and what was heard of it.

    ``key`` is ours, or the reference of one that somebody made by hand (``ours`` is false). ``flavor``, ``about``
    and ``state`` are as in ``fhir.subscription``, ``state`` as the EHR last showed it. Instants are by our clock.
    """

    connection: str
    key: str
    flavor: str
    about: str
    types: tuple[str, ...]
    ours: bool = True
    ref: str | None = None
    """Where it is (``Subscription/id``); ``None`` before the EHR has taken it."""
    state: str = "absent"
    looked_at: datetime | None = None
    active_at: datetime | None = None
    """Since when it was seen active without a break."""
    problem: str | None = None
    """What stands against it, in words, without secrets."""

    digest: str | None = None
    """A hash of what we wrote last."""
    wrote_at: datetime | None = None
    ends_at: datetime | None = None
    tries: int = 0
    """Writes since it last was as it should be."""
    next_at: datetime | None = None
    """Before this nothing is written again."""

    heartbeat_seconds: int | None = None
    heard_at: datetime | None = None
    """The last notification of any kind."""
    rang_at: datetime | None = None
    """The last one of an event."""
    counter: int | None = None
    """The highest event number heard."""
    began: str | None = None
    """What the event of number 1 was."""
    restarts: int = 0
    """How often the numbers began anew; a server that does so again and again numbers within each Bundle."""
    gap: tuple[int, int] | None = None
    """Events that were not heard and are still to be caught up with."""
    gaps: int = 0

    unheard_ref: str | None = None
    """A change that was found before anything was heard of it, which still may be."""
    unheard_at: datetime | None = None
    """When it was found."""
    missed: int = 0
    """How many changes were found that were never announced."""
    missed_in_row: int = 0


class Forgotten(msgspec.Struct, frozen=True):
    """
    What one step of retention came to.

    ``next`` is where the next one goes on, ``None`` at the end; ``size`` is in bytes, as they were received.
    """

    next: int | None = None
    rows: int = 0
    size: int = 0


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much a database holds; ``bodies`` are the versions whose content is kept, ``body_bytes`` as it is stored."""

    versions: int
    bodies: int
    body_bytes: int
    writes: int
    cases: int
    changes: int


class Differing(msgspec.Struct, frozen=True, kw_only=True):
    """
    A case of which the EHR says what this database does not know: ``ref`` (``Type/id``) was written after the backup.

    ``held`` is whether nothing is written for the case until a person has looked at it.
    """

    case_id: str
    ref: str
    words: str
    held: bool = False


class Adrift(msgspec.Struct, frozen=True, kw_only=True):
    """
    A Task or Communication of ours (``ref``, ``Type/id``) about *root* that a restored database does not know.

    ``life`` is which life of its case a Task is of (zero for a Communication), ``is_over`` whether it was at an end.
    ``is_last`` is whether it was the last word about the root when the EHR was looked through: who hears it hears
    nothing new when the same is told again. ``beside`` are the other Communications of ours that told of the root then.
    ``waits`` is whether no case of the root was known then: what was found is held against the case once there is one,
    and until then nothing is written for it.
    """

    root: str
    ref: str
    life: int = 0
    is_over: bool = False
    is_last: bool = False
    beside: tuple[str, ...] = ()
    waits: bool = False


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """
    That a connection's database was put back from a backup, and what was found on its EHR that it did not know.

    ``known_until`` is when the backup had last read the EHR, ``ready_at`` when all of it was read again (both by our
    clock): until then nothing is written. ``tasks`` and ``messages`` are how many of ours were found that were written
    after the backup; ``taken_over`` how many messages that were about to be sent again were found to stand already;
    ``attempts`` how many attempts to reach a patient were entered again. ``adrift`` is what of it is not known from
    the database now. ``problems`` are what could not be looked at.
    """

    connection: str
    restored_at: datetime
    known_until: datetime | None = None
    ready_at: datetime | None = None
    had: int = 0
    """How many versions the backup had."""
    changes: int = 0
    """How many were read that it did not have."""
    tasks: int = 0
    messages: int = 0
    taken_over: int = 0
    attempts: int = 0
    differing: tuple[Differing, ...] = ()
    adrift: tuple[Adrift, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What was found, in one line, without patients' data."""
        known = f"the EHR as of {self.known_until:%Y-%m-%d %H:%M} UTC" if self.known_until is not None else "nothing"
        found = (
            f"restored {self.restored_at:%Y-%m-%d %H:%M} UTC from a backup that knew {known}; "
            f"{self.changes} versions read since, {self.tasks} Tasks and {self.messages} messages of ours found that "
            f"it did not know, {self.taken_over} messages taken over, {self.attempts} attempts entered again, "
            f"{len(self.differing)} cases of which the EHR says otherwise"
        )
        return found if self.ready_at is not None else f"{found}; nothing is written yet"

    @property
    def held(self) -> frozenset[str]:
        """The cases (by id) for which nothing is written until a person has looked at them."""
        return frozenset(one.case_id for one in self.differing if one.held)

    @property
    def waiting(self) -> tuple[Adrift, ...]:
        """What was found of ours about work that was not known then."""
        return tuple(one for one in self.adrift if one.waits)


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A connection, or one resource type of it, that a person told Bridge to leave alone."""

    connection: str
    type: str | None
    """``None`` for the whole connection."""
    by: str
    at: datetime


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """How many versions of a type came by *path* after a poll had read past them without finding them."""

    type: str
    path: str
    found: int


class OutboxRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    One intent and where it stands.

    ``token`` fences the lease: a settle with another token changes nothing. ``written`` is the resource on
    the EHR (``Type/id``) and ``written_version`` the version our write made. ``unsure_at`` is when a write
    was, or may have been, sent last of which no answer came. ``reason`` is in words a person can act on, without
    patient data.
    """

    id: int
    intent: Intent
    state: IntentState
    attempts: int
    next_at: datetime
    created_at: datetime
    token: int = 0
    lease_until: datetime | None = None
    unsure_at: datetime | None = None
    code: str | None = None
    reason: str | None = None
    written: str | None = None
    written_version: str | None = None
    settled_at: datetime | None = None

    @property
    def unsure(self) -> bool:
        """Whether something may stand on the EHR of which nobody knows."""
        return self.unsure_at is not None


class Settlement(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    How one delivery attempt ended.

    ``state`` queued means again at ``next_at``; ``spent`` is whether that used up an attempt (waiting for an
    outage does not).
    """

    id: int
    token: int
    state: IntentState
    at: datetime
    next_at: datetime | None = None
    spent: bool = True
    unsure_at: datetime | None = None
    code: str | None = None
    reason: str | None = None
    written: str | None = None
    written_version: str | None = None


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many deliveries of one kind of intent ended one way since the database was made.

    ``outcome`` is the intent's state afterwards, or ``again``. ``code`` says why, from a closed set, where it was not
    confirmed; it is empty otherwise.
    """

    kind: str
    outcome: str
    code: str
    found: int


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """How many intents are in a state that is not the end, for which reason, and since when the oldest of them is."""

    state: IntentState
    code: str | None
    found: int
    since: datetime
