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
nothing is written at all. Work that could not be read then has no case to hold this against: that is done for each as
soon as it has one (``Adoption.place``), and before anything is written for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from bridge.cases.book import Book
from bridge.cases.changes import Cause, CauseKind, Fact, NoteAdded, OutreachLogged
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.model import Attempt, Case, CaseNote
from bridge.cases.reconcile import rederive
from bridge.errors import AuthExpired, Gone, NotFound, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient, escape
from bridge.fhir.source import SourceVersion
from bridge.fhir.times import format_instant, instant_in
from bridge.store.port import Store, Tx
from bridge.store.rows import Adrift, Differing, Restored
from bridge.sync.adrift import adrift_messages, adrift_task, has_case, last_words, name_of_task, named_by, stands
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line
from bridge.sync.lookback import every_page
from bridge.sync.restored import A_DAY, RESTORED
from bridge.sync.taken_up import take_up
from bridge.tasks.coordination_task import Form, render_task
from bridge.tasks.elements import Json
from bridge.tasks.found_again import as_note, attempt_told, differences, gist, is_ended_elsewhere, root_of, text_of
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM, case_of_task, life_of_task
from bridge.tasks.intents import retraction, task_again
from bridge.tasks.merge import decode, patient_of
from bridge.tasks.transitions import FINAL

_ALL = 1_000_000
_Of = TypeVar("_Of")

log = logging.getLogger(__name__)


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

    def attempts(self, keep: Callable[[], None]) -> int:
        """
        Enter the attempts again that were recorded on the EHR after the backup; returns how many.

        Args:
            keep: Called between its steps: another process takes over from one that is silent.

        Raises:
            RemoteError: The EHR does not answer.
        """
        return sum(self._enter(message) for message in _kept(self._messages(keep), keep))

    def take_up(self, unread: Collection[str], keep: Callable[[], None]) -> None:
        """
        Make the cases anew of which only our Task is known, but for work of types that could not be read yet.

        Raises:
            RemoteError: The EHR does not answer.
        """
        for version in _kept(self._newest(_kept(self._search("Task", CASE_SYSTEM, keep), keep)), keep):
            if adrift_task(version).root.partition("/")[0] not in unread:
                self._take_up(version)

    def _take_up(self, version: SourceVersion) -> None:
        name = name_of_task(version)
        if name is not None:
            with self._store.transaction() as tx:
                tx.lock(self._line.name)
                take_up(tx, self._line, decode(version.raw), case_of_task(name), self._clock())

    def rest(self, keep: Callable[[], None]) -> Restored:
        """
        Take over messages that stand already, note where Tasks say otherwise, and return what was found.

        Raises:
            RemoteError: The EHR does not answer.
        """
        told = self._search("Communication", MESSAGE_SYSTEM, keep)
        tasks = self._newest(_kept(self._search("Task", CASE_SYSTEM, keep), keep))
        messages = [one for one in _kept(told, keep) if not self._knows(decode(one.raw))]
        last = last_words(told)
        taken = self._take_over(_kept(messages, keep), last)
        adrift = adrift_messages([one for one in messages if one.ref not in taken and stands(one)], told)
        adrift += [adrift_task(one) for one in tasks]
        holders = self._holders(one.root for one in adrift)
        adrift = [replace(one, waits=not has_case(one, holders)) for one in adrift]
        patients = {one.ref: patient_of(decode(one.raw)) for one in (*messages, *tasks)}
        self._take_back(_kept(adrift, keep), patients)
        differing = [one for task in _kept(tasks, keep) if (one := self._compare(task)) is not None]
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

    def due(self) -> list[Adrift]:
        """
        Return what was found about work that was not known then and is by now.

        Where all of a type was read since, and the work is not among it, our Task alone tells of it; one that is over
        may wait.
        """
        since, waiting = self._row.ready_at, self._row.waiting
        if since is None or not waiting:
            return []
        holders = self._holders(one.root for one in waiting)
        with self._store.reading() as tx:
            read = {at.stream for at in tx.cursors(self._line.name) if at.checked_at and at.checked_at > since}
        told = {one.ref for one in waiting if one.life and not one.is_over and one.root.partition("/")[0] in read}
        return [one for one in waiting if one.root in holders or one.ref in told]

    def place(self, keep: Callable[[], None]) -> Restored:
        """
        Hold what was found against the cases that there are by now, and return what is known then.

        Raises:
            RemoteError: The EHR does not answer.
        """
        due, attempts, differing = self.due(), 0, list[Differing]()
        for one in _kept(due, keep):
            version = self._read(one.ref)
            if version is None or not stands(version):
                continue
            if version.type == "Task":
                self._take_up(version)
                found = self._compare(version)
                differing += [found] if found is not None else []
            elif not self._knows(decode(version.raw)):
                attempts += self._enter(version)
            self._take_back([one], {one.ref: patient_of(decode(version.raw))})
        done, seen = {one.ref for one in due}, {one.ref for one in differing}
        with self._store.transaction() as tx:
            row = tx.restored(self._line.name) or self._row
            row = replace(
                row,
                attempts=row.attempts + attempts,
                differing=(*(one for one in row.differing if one.ref not in done | seen), *differing),
                adrift=tuple(replace(one, waits=one.waits and one.ref not in done) for one in row.adrift),
                problems=tuple(dict.fromkeys([*row.problems, *self._problems])),
            )
            tx.save_restored(row)
        return row

    def _read(self, ref: str) -> SourceVersion | None:
        try:
            return self._client.read(ref)
        except (Gone, NotFound):
            return None
        except (Refused, UnsafeAnswer) as error:
            self._problems.append(f"{ref}: {error}")
            return None

    # What of ours is on the EHR ---------------------------------------------------------------------------

    def _search(self, kind: str, system: str, keep: Callable[[], None]) -> list[SourceVersion]:
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
                named = [name for name, _ in asked]
                pages = list(_kept(every_page(self._client, kind, [*asked, count], named), keep))
            except (Refused, UnsafeAnswer, AuthExpired) as error:
                problem = f"{kind}: {error}"
                continue
            found = {version.ref: version for page in pages for version in page.entries if version.type == kind}
            return [one for one in found.values() if one.issue is None and named_by(decode(one.raw), system)]
        self._problems.append(problem)
        return []

    def _newest(self, found: Iterable[SourceVersion]) -> list[SourceVersion]:
        """Return those Tasks that the database does not know to have written so, the last life of a case alone."""
        last: dict[str, tuple[int, SourceVersion]] = {}
        for version in found:
            name = name_of_task(version)
            if name is not None:
                case_id, life = case_of_task(name), life_of_task(name)
                if case_id not in last or last[case_id][0] < life:
                    last[case_id] = life, version
        return [version for case_id, (_, version) in last.items() if not self._wrote(case_id, version)]

    def _wrote(self, case_id: str, version: SourceVersion) -> bool:
        with self._store.reading() as tx:
            rows = tx.written(case_id, [IntentKind.COORDINATION_TASK])
        return any((row.written, row.written_version) == (version.ref, version.version) for row in rows)

    def _messages(self, keep: Callable[[], None]) -> list[SourceVersion]:
        """Return the Communications that the database knows nothing of."""
        found = self._search("Communication", MESSAGE_SYSTEM, keep)
        return [one for one in _kept(found, keep) if not self._knows(decode(one.raw))]

    def _knows(self, message: Json) -> bool:
        with self._store.reading() as tx:
            case, name = self._case_with(tx, message), named_by(message, MESSAGE_SYSTEM)
            if case is None:
                return False
            logged = any(f"outreach/{one.id}" == name for one in case.outreach)
            return logged or any(row.intent.key == name for row in tx.outbox(case_ids=[case.id], limit=_ALL))

    def _holders(self, roots: Iterable[str]) -> dict[str, str]:
        """Return the root of the case of each piece of work (``Type/id``): its own, or that of what it belongs to."""
        asked = set(roots)
        with self._store.reading() as tx:
            belongs = self._belonging(tx, asked)
            cases = tx.cases_of_roots(self._line.name, asked | set(belongs.values()))
        held = {root: root if root in cases else belongs.get(root) for root in asked}
        return {root: holder for root, holder in held.items() if holder in cases}

    def _case_with(self, tx: Tx, message: Json) -> Case | None:
        """Return the case that a message is about, or that its work belongs to by now: attempts move with it."""
        case, about = self._case_of(tx, message), root_of(message)
        if case is not None or about is None:
            return case
        root = self._belonging(tx, [about]).get(about)
        return self._case_of(tx, message, root) if root is not None else None

    def _belonging(self, tx: Tx, refs: Iterable[str]) -> dict[str, str]:
        """
        Return to what work each of these belongs, where that was read itself.

        Until then it may be another patient's, and what names it stands by itself once that is known.
        """
        rows = tx.sources(self._line.name, refs)
        read = tx.sources(self._line.name, {row.root for row in rows.values()})
        return {ref: row.root for ref, row in rows.items() if row.root in read}

    def _case_of(self, tx: Tx, message: Json, root: str | None = None) -> Case | None:
        root = root or root_of(message)
        case = tx.cases_of_roots(self._line.name, [root]).get(root) if root is not None else None
        while case is not None and case.merged_into is not None:
            case = tx.case(case.merged_into)
        return case if case is not None and case.patient_ref == patient_of(message) else None

    # What is made of it -----------------------------------------------------------------------------------

    def _enter(self, version: SourceVersion) -> int:
        message, now = decode(version.raw), self._clock()
        kind, told = (named_by(message, MESSAGE_SYSTEM) or "").split("/")[0], attempt_told(message)
        if kind != "outreach" or told is None or message.get("status") == "entered-in-error":
            return 0
        made_at = min(instant_in(message.get("sent")) or version.updated_at or now, now)
        own_id = (named_by(message, MESSAGE_SYSTEM) or "").partition("/")[2]
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

    def _take_over(self, messages: Iterable[SourceVersion], last: Mapping[str, str]) -> set[str]:
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

    def _take_back(self, adrift: Iterable[Adrift], patients: Mapping[str, str | None]) -> None:
        """Have the cases looked through of which something may stand in another patient's record than theirs."""
        now = self._clock()
        for one in adrift:
            with self._store.transaction() as tx:
                case = tx.cases_of_roots(self._line.name, [one.root]).get(one.root)
                if case is not None and case.patient_ref is not None and case.patient_ref != patients[one.ref]:
                    tx.add_intents([retraction(case, f"adrift-{one.ref}")], now)

    def _compare(self, version: SourceVersion) -> Differing | None:
        task, name = decode(version.raw), name_of_task(version)
        now = self._clock()
        if name is None:
            return None
        with self._store.transaction() as tx:
            tx.lock(self._line.name)
            case = tx.case_for_update(case_of_task(name))
            if case is None:
                return Differing(case_id=case_of_task(name), ref=version.ref, words="its case is not known here")
            if case.patient is None or case.patient_ref != patient_of(task):
                return None
            rendered = render_task(case, str(task.get("status")), self._form, lane_title=case.lane)
            found = differences(task, rendered, case) if case.merged_into is None else []
            held, said = is_ended_elsewhere(task, case), as_note(task, version.ref)
            if found and all(note.text != said for note in case.notes):
                self._write(tx, case, NoteAdded(CaseNote(now, RESTORED, said)), now)
            # What was over before the database knew of it has nothing else to be written.
            if not held if case.is_open else task.get("status") not in FINAL:
                tx.add_intents([task_again(case, f"restored-{version.ref}-{version.version}")], now)
        if not found:
            return None
        return Differing(case_id=case.id, ref=version.ref, words="; ".join(found), held=held)


def _kept(items: Iterable[_Of], keep: Callable[[], None]) -> Iterator[_Of]:
    """Keep the turn before each."""
    for item in items:
        keep()
        yield item
