"""
What the rest of Bridge asks of its store; three implementations satisfy one contract suite.

One ``Tx`` is one database transaction: it commits when its ``with`` block ends and rolls back when the block
raises. Everything is batch-wise, because a page of resources is what arrives. Every key names the connection:
``Patient/1`` of one EHR is never ``Patient/1`` of another. Instants go in and come out as aware UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from bridge.cases.changes import Change
from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.cases.model import Case
from bridge.cases.people import Person
from bridge.cases.sources import SourceRow
from bridge.store.queries import AgainPage, CaseFilter, CasePage, HistoryPage
from bridge.store.rows import (
    Budget,
    Counts,
    Cursor,
    Delivered,
    Forgotten,
    Hint,
    InboxRow,
    InboxState,
    Late,
    OutboxRow,
    Pause,
    Restored,
    Settlement,
    Sizes,
    Subscribed,
    Unfinished,
)


class Tx(Protocol):
    """One transaction."""

    # Intake -----------------------------------------------------------------------------------------------
    def lock(self, connection: str) -> None:
        """Make this the only transaction that takes in resources of *connection* until it ends."""

    def known_versions(self, connection: str, versions: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those (ref, version) pairs that the inbox holds already, in whatever state."""

    def add_versions(self, rows: Sequence[InboxRow]) -> None:
        """Keep received versions with their raw bytes; a pair that is already there is an error."""

    def settle_version(self, row: InboxRow) -> None:
        """
        Give an inbox row (by ``id``) another state, code and reason: a replay; raw is left alone.

        The totals are the caller's to move: ``count(..., Counts(applied=1, parked=-1))`` adds up too.
        """

    def count(self, connection: str, stream: str, counts: Counts) -> None:
        """Add *counts* to the stream's running totals."""

    def cursor(self, connection: str, stream: str) -> Cursor | None:
        """Return where the stream stands, or ``None`` before its first page."""

    def save_cursor(self, cursor: Cursor) -> None:
        """Move the stream's cursor."""

    def count_late(self, connection: str, found: Mapping[tuple[str, str], int]) -> None:
        """Add to how many versions came late, by (type, path)."""

    def late(self, connection: str) -> list[Late]:
        """Return how many versions came late, most first."""

    # Sources and cases ------------------------------------------------------------------------------------
    def sources(self, connection: str, refs: Iterable[str]) -> dict[str, SourceRow]:
        """Return the known sources among *refs*."""

    def sources_of_roots(self, connection: str, roots: Iterable[str]) -> list[SourceRow]:
        """Return every source whose group has one of *roots*."""

    def sources_aside(self, connection: str, parents: Iterable[str]) -> list[SourceRow]:
        """Return the sources that stand aside from one of *parents*."""

    def save_sources(self, rows: Sequence[SourceRow]) -> None:
        """Insert or replace sources by (connection, ref)."""

    def sources_to_watch(self, connection: str, now: datetime, limit: int) -> list[SourceRow]:
        """Return sources whose ``watch_at`` has come, the earliest first."""

    def sources_to_sweep(self, connection: str, after: str, limit: int) -> list[SourceRow]:
        """Return sources of open cases, gone ones too, with ``ref`` greater than *after*, ordered by ref."""

    def cases_of_roots(self, connection: str, roots: Iterable[str]) -> dict[str, Case]:
        """Return the case of each root, merged ones too, locked for update where the database can."""

    def case(self, case_id: str) -> Case | None:
        """Return one case, merged ones too."""

    def case_for_update(self, case_id: str) -> Case | None:
        """Return one case, locked until the transaction ends."""

    def cases_of_people(self, connection: str, refs: Iterable[str]) -> list[Case]:
        """Return the unmerged cases whose patient, or owner in the EHR, is one of these (``Type/id``)."""

    def patients(self, connection: str) -> list[str]:
        """Return the patients (``Patient/id``) of the connection's unmerged cases, in order."""

    def change_counts(self, case_ids: Iterable[str]) -> dict[str, int]:
        """Return the last ``seq`` in each case's history (0 where there is none)."""

    def cases_to_wake(self, connection: str, now: datetime, limit: int) -> list[str]:
        """Return the roots of the cases that time alone changes by now, the earliest first."""

    def set_wakes(self, wakes: Mapping[str, datetime | None]) -> None:
        """Say when time alone will change cases next, by case id; one that is not stored is passed over."""

    def wake_open(self, connection: str, at: datetime) -> None:
        """Say that every open case is to be looked at again at *at*."""

    def save_cases(
        self, cases: Sequence[Case], changes: Sequence[Change], wakes: Mapping[str, datetime | None] | None = None
    ) -> None:
        """
        Write current states and append their history.

        Args:
            wakes: When time alone will change these cases next, by id; never, for one that is not in it.

        Raises:
            StaleVersion: A stored case is not at the version before the one given.
        """

    # People -----------------------------------------------------------------------------------------------
    def people(self, connection: str, refs: Iterable[str]) -> dict[str, Person]:
        """Return what is known of these Patients, Practitioners and the like."""

    def want_people(self, connection: str, refs: Iterable[str], now: datetime) -> None:
        """Note that these should be read; known or already wanted ones are left alone."""

    def wanted_people(self, connection: str, now: datetime, limit: int) -> list[str]:
        """Return references to read now, those waiting longest first."""

    def save_people(self, connection: str, people: Sequence[Person], now: datetime) -> None:
        """Keep what was read."""

    def people_unreadable(self, connection: str, refs: Iterable[str], retry_at: datetime) -> None:
        """Note that these could not be read now; they are wanted again at *retry_at*."""

    # Hints ------------------------------------------------------------------------------------------------
    def note_hints(self, connection: str, refs: Iterable[str], now: datetime, mark: int) -> None:
        """Note that these should be read again; one that is noted already gets the new *mark*."""

    def hints(self, connection: str, limit: int, but: Collection[str] = ()) -> list[Hint]:
        """Return what should be read again, what waits longest first; nothing of the types in *but*."""

    def drop_hints(self, connection: str, hints: Sequence[Hint]) -> None:
        """Forget these, but not those that were noted again meanwhile (another mark)."""

    # Subscriptions ----------------------------------------------------------------------------------------
    def subscribed(self, connection: str) -> list[Subscribed]:
        """Return the connection's Subscriptions by ``key``, in a transaction that writes locked until it ends."""

    def save_subscribed(self, rows: Sequence[Subscribed]) -> None:
        """Insert or replace Subscriptions by (connection, key)."""

    def drop_subscribed(self, connection: str, keys: Iterable[str]) -> None:
        """Forget these."""

    # Outbox -----------------------------------------------------------------------------------------------
    def add_intents(self, intents: Sequence[Intent], now: datetime, due_at: datetime | None = None) -> None:
        """
        Queue intents; a queued level intent of the same slot becomes superseded, a known key is a no-op.

        Slots and keys are those of a case. A parked or not-writable level intent of the same slot is
        superseded too: the newer one is tried. It takes over ``unsure_at``, so that it looks for what the older
        one may have left on the EHR.

        Args:
            due_at: Before this they are not tried; at once where it is not given.

        Raises:
            DomainError: The case of an intent is not stored.
        """

    def claim(self, connection: str, now: datetime, lease_until: datetime, limit: int) -> list[OutboxRow]:
        """
        Claim due intents, those due longest first: one of a case, none where one is in ``sending``.

        Rows whose lease ran out are claimed again with ``unsure_at`` set, as they may have been sent until then. Each
        claim gives a new ``token``.
        """

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """
        Record how attempts ended; returns how many still held their lease (others change nothing).

        A level intent to be tried again or given up while a newer one of its slot waits is superseded.
        """

    def release_leases(self, now: datetime) -> int:
        """Make every ``sending`` row claimable now, unsure since now; only where nobody else is at work."""

    def next_due(self, connection: str) -> datetime | None:
        """Return when the earliest queued or leased intent may be tried, or ``None``."""

    def written(self, case_id: str, kinds: Iterable[IntentKind]) -> list[OutboxRow]:
        """Return the confirmed rows of one case, oldest first: what of it stands on the EHR."""

    def doubted_at(self, case_id: str, kinds: Iterable[IntentKind]) -> datetime | None:
        """Return when one of these for the case may have been sent last that is not confirmed since."""

    def records_of(self, connection: str, key: str) -> list[OutboxRow]:
        """Return the outreach records of this key, of whichever case, oldest first: merges move attempts."""

    def given_up_at(self, case_id: str, slot: str, code: str) -> datetime | None:
        """Return when an intent of the slot was tried and given up last for the reason *code*."""

    def copies(self, connection: str) -> Mapping[IntentState, int]:
        """Return how many second copies of our resources were found on the EHR, by how far they are taken back."""

    def our_tasks(self, connection: str, refs: Iterable[str]) -> set[str]:
        """Return those of *refs* that are coordination Tasks which we wrote, whatever they say by now."""

    def found_sent(self, found: Mapping[int, tuple[str, str | None]], now: datetime) -> int:
        """
        Confirm queued intents (by ``id``) of which a resource and its version were found on the EHR; returns how many.

        For what was sent before the database was put back from a backup that does not know of it.
        """

    def requeue(self, ids: Sequence[int], now: datetime) -> int:
        """Queue parked or not-writable intents again (a person's replay); returns how many."""

    # Reading for people -----------------------------------------------------------------------------------
    def list_cases(
        self, where: CaseFilter, *, limit: int, cursor: str | None = None, up_to: int | None = None
    ) -> CasePage:
        """
        Return one page of cases.

        Args:
            up_to: The total is counted no further than this.

        Raises:
            ValueError: *cursor* is not one that this store gave out.
        """

    def count_cases(self, wheres: Sequence[CaseFilter], up_to: int | None = None) -> list[int]:
        """Return how many cases each filter lets through, or *up_to* where there are at least so many."""

    def blocked_again(self, where: CaseFilter, *, limit: int) -> AgainPage:
        """Return the open cases that are held up by a kind of blocker that held them up before."""

    def history(self, case_id: str) -> list[Change]:
        """Return a case's changes in order."""

    def histories(
        self, connection: str, *, since: datetime, before: datetime, limit: int, after: int = 0
    ) -> HistoryPage:
        """
        Return what was recorded before *before* of cases that had begun by then, merged ones too.

        Cases that are closed and of which nothing was recorded since *since* are left out. To be asked page by page,
        each in a transaction of its own: history is append-only, so that pages read one after the other belong
        together as long as *before* has passed.

        Args:
            limit: How many cases to look at; a page may hold fewer, even none.
            after: The ``next`` of the page before.
        """

    def outbox(
        self,
        *,
        connection: str | None = None,
        case_ids: Sequence[str] | None = None,
        state: IntentState | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[OutboxRow]:
        """Return outbox rows by ``id`` ascending, greater than *after*."""

    def outbox_row(self, row_id: int) -> OutboxRow | None:
        """Return one outbox row."""

    def inbox(
        self,
        *,
        connection: str | None = None,
        state: InboxState | None = None,
        code: str | None = None,
        ref: str | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[InboxRow]:
        """Return inbox rows without raw bytes, by ``id`` ascending, greater than *after*."""

    def inbox_row(self, row_id: int) -> InboxRow | None:
        """Return one inbox row with its raw bytes."""

    def totals(self, connection: str) -> dict[str, Counts]:
        """Return the running totals of each stream of the connection."""

    def cursors(self, connection: str) -> list[Cursor]:
        """Return every stream's cursor."""

    def parked_groups(self, connection: str | None = None) -> list[tuple[str, str, str, int]]:
        """Return (connection, type, code, count) of parked inbox rows, most first."""

    def outbox_counts(self, connection: str) -> Mapping[IntentState, int]:
        """Return how many intents are in each state."""

    def case_counts(self, connection: str | None = None) -> Mapping[tuple[str, str], int]:
        """Return how many unmerged cases there are by (lane, status)."""

    def overdue_counts(self, connection: str, now: datetime) -> Mapping[str, int]:
        """Return how many open cases were due before *now*, by lane."""

    # Figures ----------------------------------------------------------------------------------------------
    def count_deliveries(self, connection: str, found: Mapping[tuple[str, str, str], int]) -> None:
        """Add to how many deliveries ended how, by (kind, outcome, code)."""

    def deliveries(self, connection: str) -> list[Delivered]:
        """Return how many deliveries ended how, in order."""

    def unfinished(self, connection: str) -> list[Unfinished]:
        """
        Return the queued, sending, parked and not-writable intents by state and code, in order.

        The time it takes grows with these alone, not with what was delivered. ``since`` is when they were queued or,
        of what is parked or not writable, when that was settled.
        """

    def parked_since(self, connection: str) -> datetime | None:
        """Return when the version was received that has been parked in the inbox for the longest time."""

    # Budgets ----------------------------------------------------------------------------------------------
    def budget(self, connection: str) -> Budget:
        """Return how the EHR is to be asked, locked until the transaction ends where that may write."""

    def save_budget(self, row: Budget) -> None:
        """Replace the budget of a connection."""

    def workers(self, name: str, now: datetime, since: datetime) -> int:
        """Note that the process *name* is at work, forget those not seen *since*, and return how many are left."""

    # Pauses -----------------------------------------------------------------------------------------------
    def pause(self, row: Pause) -> bool:
        """Note that a connection or type is to be left alone; false, and nothing changes, where it is already."""

    def resume(self, connection: str, type_: str | None) -> bool:
        """Take a pause back; false where there is none."""

    def pauses(self, connection: str) -> list[Pause]:
        """Return what of a connection is to be left alone, the whole of it first."""

    # Retention --------------------------------------------------------------------------------------------
    def forget_bodies(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        """
        Drop the raw bytes of versions that were received before *before*; ``inbox_row`` gives ``b""`` for them then.

        Kept are those of parked versions, and of resources that an open case rests on. The rows stay.

        Args:
            after: Where the step before ended.
            limit: How many stored pages to look at.
        """

    def forget_writes(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        """
        Delete intents that ended before *before*, unless they say what no later one does (``outbox_rules.outlived``).

        Args:
            after: Where the step before ended.
            limit: How many to look at.
        """

    def sizes(self) -> Sizes:
        """Return how much there is; it takes a pass over everything."""

    # Restores ---------------------------------------------------------------------------------------------
    def restored(self, connection: str) -> Restored | None:
        """Return how the last restore of this database went for a connection, ``None`` where there was none."""

    def save_restored(self, row: Restored) -> None:
        """Replace what is kept of the last restore."""

    # Timers -----------------------------------------------------------------------------------------------
    def win_tick(self, name: str, now: datetime, next_at: datetime) -> bool:
        """Compare and set: true for exactly one caller per due time of the timer *name*."""

    def take_turn(self, name: str, now: datetime, until: datetime) -> int | None:
        """
        Take a turn at what only one may do at a time; ``None`` while somebody has it.

        Returns its number. A turn that is not kept up ends at *until*, and the next one has another number.
        """

    def keep_turn(self, name: str, number: int, until: datetime) -> bool:
        """Make a turn last until *until* (or end it, with now); false where somebody else has taken the next."""

    def end_turns(self, now: datetime) -> None:
        """Take every turn from whoever has it: they are not at work on this database any more."""


class Store(Protocol):
    """A database."""

    def transaction(self) -> AbstractContextManager[Tx]:
        """
        Open a transaction that may write (``BEGIN IMMEDIATE`` on SQLite).

        Not to be opened inside another of the same thread. A rule that the database holds and that was about
        to be broken comes out as ``DomainError``, and nothing is saved.
        """

    def reading(self) -> AbstractContextManager[Tx]:
        """Open a transaction that only reads, and never waits for a writer."""

    @property
    def problem(self) -> str | None:
        """Why the database did not save the last transaction that was to write, in words; ``None`` where it did."""

    def close(self) -> None:
        """Give back every connection."""
