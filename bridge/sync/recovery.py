"""
After a restore: what Bridge wrote after the backup was made is found again on the EHR, before anything is written.

Theory of operation. ``mark_restored`` notes in the restored database that it is older than its EHR, and has every
stream begin a day before where it stood. The next start of each connection then (``Connector.recover``) reads
everything again, and looks for the Tasks and Communications that carry an identifier of ours and that the database
does not know. A Task needs no more: it is found by its identifier, as ever, when the next one of its case is due. A
message that is about to be told again in other words, or under another key, is taken for the one that stands. An
attempt to reach a patient is entered again from its Communication. What people decided lived in Bridge alone: where a
Task says what the case does not know, a note on the case keeps its words; where it says that the case was closed,
nothing is written for that case until a person has acted on it or replayed what waits. Until all of that is done,
nothing is written at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.cases.book import Book
from bridge.cases.changes import Cause, CauseKind, Fact, NoteAdded, OutreachLogged
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.model import Attempt, Case, CaseNote
from bridge.cases.reconcile import rederive
from bridge.errors import AuthExpired, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient, escape
from bridge.fhir.source import SourceVersion
from bridge.fhir.times import format_instant, parse_instant
from bridge.store.port import Store, Tx
from bridge.store.rows import Adrift, Budget, Differing, Restored
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line
from bridge.sync.lookback import every_page
from bridge.sync.noticed import task_name
from bridge.tasks.coordination_task import Form, render_task
from bridge.tasks.elements import Json
from bridge.tasks.found_again import as_note, attempt_told, differences, gist, is_ended_elsewhere, root_of, text_of
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM, case_of_task, life_of_task
from bridge.tasks.intents import retraction
from bridge.tasks.merge import decode, patient_of

RESTORED = "restored"
"""Who enters what a restore found, and the code of what waits for a person after one."""

A_DAY = timedelta(days=1)
"""How far before the backup everything is read again: what became visible late is among it (rule ours)."""

_ALL = 1_000_000

log = logging.getLogger(__name__)


def mark_restored(tx: Tx, connections: Iterable[str], now: datetime) -> None:
    """
    Note that this database was put back from a backup: each connection begins by finding out what it does not know.

    Streams begin a day before where they stood, numbers of notifications anew; no EHR counts as away, and whoever had a
    turn or a delivery when the backup was made has it no longer.
    """
    tx.end_turns(now)
    tx.release_leases(now)
    for name in connections:
        cursors = [cursor for cursor in tx.cursors(name) if cursor.rung is not None]
        known = max((cursor.checked_at for cursor in cursors if cursor.checked_at is not None), default=None)
        for cursor in cursors:
            back = cursor.watermark - A_DAY if cursor.watermark is not None else None
            tx.save_cursor(replace(cursor, watermark=back, position=None, started_at=None, place=None, read=0))
        anew = {"counter": None, "began": None, "gap": None, "unheard_ref": None, "unheard_at": None}
        tx.save_subscribed([replace(row, **anew) for row in tx.subscribed(name)])
        tx.save_budget(Budget(connection=name))
        tx.save_restored(_noted(tx.restored(name), name, known, now, distinct(tx, name)))


def _noted(before: Restored | None, connection: str, known_until: datetime | None, now: datetime, had: int) -> Restored:
    """Return the restore as it is noted; what an earlier one found, or did not come to find, is of this one as well."""
    noted = Restored(connection=connection, restored_at=now, known_until=known_until, had=had)
    if before is None:
        return noted
    held = tuple(one for one in before.differing if one.held)
    since = noted.known_until if before.ready_at is not None else before.known_until
    return replace(noted, known_until=since, differing=held, adrift=before.adrift)


def distinct(tx: Tx, connection: str) -> int:
    """Return how many versions were received, each counted once."""
    return sum(counts.received - counts.duplicate for counts in tx.totals(connection).values())


def let_go(tx: Tx, connection: str, case_ids: Iterable[str], *, goes_on: bool = False) -> None:
    """
    Write for these cases again: a person has looked at them since the restore.

    Args:
        goes_on: Whether the person goes on with cases that the EHR calls closed: a closing is news again then.
    """
    row = tx.restored(connection)
    looked_at = set(case_ids) & row.held if row is not None else set[str]()
    if row is None or not looked_at:
        return
    seen = [replace(one, held=one.held and one.case_id not in looked_at) for one in row.differing]
    cases = [tx.case(case_id) for case_id in looked_at] if goes_on else []
    roots = {case.root for case in cases if case is not None}
    adrift = [replace(one, is_last=one.is_last and one.root not in roots) for one in row.adrift]
    tx.save_restored(replace(row, differing=tuple(seen), adrift=tuple(adrift)))


class Adoption:
    """
    Finds on one EHR what of ours its restored database does not know.

    Args:
        row: The restore, as it was marked.
        form: How Tasks are written there.
    """

    def __init__(
        self,
        client: FhirClient,
        store: Store,
        line: Line,
        clock: Callable[[], datetime],
        row: Restored,
        form: Form | None = None,
    ) -> None:
        self._client, self._store, self._line, self._clock, self._row = client, store, line, clock, row
        self._form = form or Form(fhir_version=line.fhir_version)
        self._problems: list[str] = []

    def attempts(self) -> int:
        """
        Enter the attempts again that were recorded on the EHR after the backup; returns how many.

        Raises:
            RemoteError: The EHR does not answer.
        """
        return sum(self._enter(message) for message in self._messages())

    def rest(self) -> Restored:
        """
        Take over messages that stand already, note where Tasks say otherwise, and return what was found.

        Raises:
            RemoteError: The EHR does not answer.
        """
        told = self._search("Communication", MESSAGE_SYSTEM)
        tasks = self._newest(self._search("Task", CASE_SYSTEM))
        messages = [one for one in told if not self._knows(decode(one.raw))]
        last = _last_words(told)
        taken = self._take_over(messages, last)
        adrift = [_adrift(one, told, last) for one in messages if one.ref not in taken and _stands(one)]
        adrift += [_life(one) for one in tasks]
        self._take_back(adrift, {one.ref: patient_of(decode(one.raw)) for one in (*messages, *tasks)})
        differing = [one for task in tasks if (one := self._compare(task)) is not None]
        seen, found = {one.case_id for one in differing}, {version.ref for version in (*told, *tasks)}
        return replace(
            self._row,
            tasks=len(tasks),
            messages=len(messages),
            taken_over=self._row.taken_over + len(taken),
            differing=(*differing, *(one for one in self._row.differing if one.case_id not in seen)),
            adrift=(*adrift, *(one for one in self._row.adrift if one.ref not in found)),
            problems=tuple(dict.fromkeys(self._problems)),
        )

    # What of ours is on the EHR ---------------------------------------------------------------------------

    def _search(self, kind: str, system: str) -> list[SourceVersion]:
        """Return what carries an identifier of ours and changed since the backup."""
        if not self._line.writes:
            return []
        since: list[tuple[str, str]] = []
        if self._row.known_until is not None:
            since = [("_lastUpdated", f"ge{format_instant(self._row.known_until - A_DAY)}")]
        count = (self._line.count_param, str(self._line.page_size))
        ours = [("identifier", f"{escape(system)}|")]
        for asked in ([*ours, *since], since, ours) if since else (ours, []):
            try:
                pages = list(every_page(self._client, kind, [*asked, count], [name for name, _ in asked]))
            except (Refused, UnsafeAnswer, AuthExpired) as error:
                problem = f"{kind}: {error}"
                continue
            found = {version.ref: version for page in pages for version in page.entries if version.type == kind}
            return [one for one in found.values() if one.issue is None and _named(decode(one.raw), system)]
        self._problems.append(problem)
        return []

    def _newest(self, found: Sequence[SourceVersion]) -> list[SourceVersion]:
        """Return those Tasks that the database does not know to have written so, the last life of a case alone."""
        last: dict[str, tuple[int, SourceVersion]] = {}
        for version in found:
            name = task_name(version)
            if name is not None:
                case_id, life = case_of_task(name), life_of_task(name)
                if case_id not in last or last[case_id][0] < life:
                    last[case_id] = life, version
        return [version for case_id, (_, version) in last.items() if not self._wrote(case_id, version)]

    def _wrote(self, case_id: str, version: SourceVersion) -> bool:
        with self._store.reading() as tx:
            rows = tx.written(case_id, [IntentKind.COORDINATION_TASK])
        return any((row.written, row.written_version) == (version.ref, version.version) for row in rows)

    def _messages(self) -> list[SourceVersion]:
        """Return the Communications that the database knows nothing of."""
        found = self._search("Communication", MESSAGE_SYSTEM)
        return [one for one in found if not self._knows(decode(one.raw))]

    def _knows(self, message: Json) -> bool:
        with self._store.reading() as tx:
            case, name = self._case_with(tx, message), _named(message, MESSAGE_SYSTEM)
            if case is None:
                return False
            logged = any(f"outreach/{one.id}" == name for one in case.outreach)
            return logged or any(row.intent.key == name for row in tx.outbox(case_ids=[case.id], limit=_ALL))

    def _case_with(self, tx: Tx, message: Json) -> Case | None:
        """Return the case that a message is about, or that its work belongs to by now: attempts move with it."""
        case, about = self._case_of(tx, message), root_of(message)
        if case is not None or about is None:
            return case
        row = tx.sources(self._line.name, [about]).get(about)
        return self._case_of(tx, message, row.root) if row is not None else None

    def _case_of(self, tx: Tx, message: Json, root: str | None = None) -> Case | None:
        root = root or root_of(message)
        case = tx.cases_of_roots(self._line.name, [root]).get(root) if root is not None else None
        while case is not None and case.merged_into is not None:
            case = tx.case(case.merged_into)
        return case if case is not None and case.patient_ref == patient_of(message) else None

    # What is made of it -----------------------------------------------------------------------------------

    def _enter(self, version: SourceVersion) -> int:
        message, now = decode(version.raw), self._clock()
        kind, told = (_named(message, MESSAGE_SYSTEM) or "").split("/")[0], attempt_told(message)
        if kind != "outreach" or told is None or message.get("status") == "entered-in-error":
            return 0
        made_at = min(_sent(message) or version.updated_at or now, now)
        own_id = (_named(message, MESSAGE_SYSTEM) or "").partition("/")[2]
        attempt = Attempt(id=own_id, at=made_at, channel=told[0], outcome=told[1], by=RESTORED)
        with self._store.transaction() as tx:
            tx.lock(self._line.name)
            case = self._case_with(tx, message)
            return int(case is not None and self._write(tx, case, OutreachLogged(attempt), now))

    def _write(self, tx: Tx, case: Case, fact: Fact, now: datetime) -> bool:
        """Write a fact on a case; one that is derived no longer (its lane is switched off) stays as it is."""
        known = load_roots(tx, self._line.name, {case.root})
        case = known.cases.get(case.root, case)
        rows = [row for row in known.sources.values() if row.root == case.root]
        if case.merged_into is not None or not rows:
            return False
        book, cause = Book(known, self._line.rules, now), Cause(CauseKind.RULE, RESTORED)
        book.write(case.root, cause, fact)
        record(tx, self._line, rederive(case.root, rows, cause, book), now)
        return True

    def _take_over(self, messages: Sequence[SourceVersion], last: Mapping[str, str]) -> set[str]:
        """
        Confirm what is about to be told of a case and was told already, under a key that is not known any more.

        Where the case stands now is news unless the same was the last word; what it went through on the way is not.
        Returns the messages (``Type/id``) that were matched.
        """
        taken = set()
        for version in messages:
            message = decode(version.raw)
            with self._store.transaction() as tx:
                case = self._case_of(tx, message)
                rows = tx.outbox(case_ids=[case.id], state=IntentState.QUEUED, limit=_ALL) if case is not None else []
                rows = [row for row in rows if row.intent.kind is IntentKind.STATUS_MESSAGE]
                old = rows if version.ref in last.values() else rows[:-1]
                text = gist(text_of(message))
                same = [row for row in old if row.intent.message and gist(row.intent.message.text) == text]
                if same and tx.found_sent({same[0].id: (version.ref, version.version)}, self._clock()):
                    taken.add(version.ref)
        return taken

    def _take_back(self, adrift: Sequence[Adrift], patients: Mapping[str, str | None]) -> None:
        """Have the cases looked through of which something may stand in another patient's record than theirs."""
        now = self._clock()
        for one in adrift:
            with self._store.transaction() as tx:
                case = tx.cases_of_roots(self._line.name, [one.root]).get(one.root)
                if case is not None and case.patient_ref is not None and case.patient_ref != patients[one.ref]:
                    tx.add_intents([retraction(case, f"adrift-{one.ref}")], now)

    def _compare(self, version: SourceVersion) -> Differing | None:
        task, name = decode(version.raw), task_name(version)
        now = self._clock()
        if name is None:
            return None
        with self._store.transaction() as tx:
            tx.lock(self._line.name)
            case = tx.case_for_update(case_of_task(name))
            if case is None:
                return Differing(case_id=case_of_task(name), ref=version.ref, words="its case is not known here")
            if case.merged_into is not None or case.patient is None or case.patient_ref != patient_of(task):
                return None
            rendered = render_task(case, str(task.get("status")), self._form, lane_title=case.lane)
            found = differences(task, rendered, case)
            if not found:
                return None
            self._write(tx, case, NoteAdded(CaseNote(now, RESTORED, as_note(task, version.ref))), now)
        held = is_ended_elsewhere(task, case)
        return Differing(case_id=case.id, ref=version.ref, words="; ".join(found), held=held)


def _stands(version: SourceVersion) -> bool:
    return decode(version.raw).get("status") != "entered-in-error"


def _last_words(told: Sequence[SourceVersion]) -> dict[str, str]:
    """Return which Communication (``Type/id``) told of each root last; attempts to reach a patient tell nobody."""
    found: dict[str, tuple[datetime, str]] = {}
    for version in told:
        message = decode(version.raw)
        root, at = root_of(message), _sent(message) or version.updated_at
        if root is None or at is None or attempt_told(message) is not None or not _stands(version):
            continue
        found[root] = max(found.get(root, (at, version.ref)), (at, version.ref))
    return {root: ref for root, (_, ref) in found.items()}


def _adrift(version: SourceVersion, told: Sequence[SourceVersion], last: Mapping[str, str]) -> Adrift:
    root = root_of(decode(version.raw)) or ""
    others = [one.ref for one in told if one.ref != version.ref and root_of(decode(one.raw)) == root]
    is_last = last.get(root) == version.ref
    return Adrift(root=root, ref=version.ref, is_last=is_last, beside=tuple(others) if is_last else ())


def _life(version: SourceVersion) -> Adrift:
    about = decode(version.raw).get("focus") or {}
    return Adrift(root=str(about.get("reference")), ref=version.ref, life=life_of_task(task_name(version) or ""))


def _named(resource: Json, system: str) -> str | None:
    for one in resource.get("identifier") or ():
        if isinstance(one, dict) and one.get("system") == system:
            return str(one.get("value"))
    return None


def _sent(message: Json) -> datetime | None:
    try:
        return parse_instant(message["sent"])
    except (KeyError, TypeError, ValueError):
        return None
