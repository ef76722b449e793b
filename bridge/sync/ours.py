"""
What we wrote on the EHR: found again by our identifier, ended with the life it was of, taken back.

A case may end and come back, and each of its lives has a Task of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bridge.cases.intents import IntentKind
from bridge.cases.model import Case
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.store.rows import OutboxRow
from bridge.sync.copies import Copies
from bridge.sync.hand import Done, Hand, Several
from bridge.sync.scene import Scene
from bridge.sync.whose import Whose
from bridge.tasks.check import checked
from bridge.tasks.elements import Json
from bridge.tasks.found_again import is_own_json, says_the_same
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM, message_ref, task_identifier, task_ref
from bridge.tasks.merge import (
    OVER,
    carries_identifier,
    decode,
    is_taken_back,
    patient_of,
    refuse_modifiers,
    retract,
    said_closed,
)
from bridge.tasks.merge import end_earlier as ended_earlier
from bridge.tasks.route import How
from bridge.tasks.standing import steps
from bridge.tasks.transitions import FINAL

if TYPE_CHECKING:
    from bridge.sync.deliver import Channel

_MOST_MESSAGES = 10_000
_MESSAGES = (IntentKind.STATUS_MESSAGE, IntentKind.OUTREACH_RECORD)
_REOPENED = "The case was reopened; a newer Task says where the work stands."
_MERGED = "The work goes on in another case."


class Ours:
    """What one connection's cases have on the EHR. Safe to share between threads."""

    def __init__(self, store: Store, channel: Channel, hand: Hand, whose: Whose, copies: Copies) -> None:
        """Look and write by *hand*, and ask *whose* record it is; of several of one, *copies* keeps one."""
        self._store = store
        self._plan, self._direct_cancel = channel.plan, channel.direct_cancel
        self._fhir_version = channel.line.fhir_version
        self._hand, self._whose, self._copies = hand, whose, copies

    def standing(self, scene: Scene, how: How) -> tuple[Case, SourceVersion | None]:
        """
        Return our Task of the life that the case is in, if it stands, and the case with that life's number.

        A database that was lost, or restored from before a case came back, counts too few lives: where the Task of
        one is over, the next one's is looked for, and what we ended ourselves is never taken up again.
        """
        case = replace(scene.case, round=max(scene.case.round, scene.life))
        theirs = self.look(scene, how, case.round) or self._without_identifier(scene.written)
        while theirs is not None and (current := decode(theirs.raw)).get("status") in FINAL:
            later = replace(case, round=case.round + 1)
            next_one = self.look(scene, how, later.round)
            ended_by_us = said_closed(current) or is_taken_back(current) or not self._whose.is_theirs(current, case)
            if next_one is None and not (case.is_open and ended_by_us):
                break
            case, theirs = later, next_one
        return case, theirs

    def look(self, scene: Scene, how: How, number: int) -> SourceVersion | None:
        """
        Return the case's Task of one of its lives.

        One that was written first for the sake of a message is known by that message alone.
        """
        ref, name = task_ref(scene.case, number), task_identifier(scene.case, number)
        stands = self._one(scene, how, ref, (CASE_SYSTEM, name), (*scene.tasks, *scene.adrift))
        if stands is not None or how is How.PUT_OWN_ID:
            return stands
        with self._store.reading() as tx:
            messages = tx.written(scene.case.id, _MESSAGES)
        return self._hand.whole_of((row.written for row in messages), CASE_SYSTEM, name)

    def message(self, scene: Scene, how: How, written: Iterable[str] = ()) -> SourceVersion | None:
        """
        Return the Communication that the intent is about, if it stands.

        Args:
            written: Where it may be known to stand.
        """
        key = scene.intent.key
        return self._one(scene, how, message_ref(key), (MESSAGE_SYSTEM, key), written)

    def told_already(self, scene: Scene) -> SourceVersion | None:
        """
        Return the Communication that said the same before the database was lost, if its requester heard nothing since.

        It is read now: what stands there decides, and not what was seen after the restore.
        """
        message = scene.intent.message
        theirs = self._hand.read(scene.last_word) if scene.last_word is not None and message is not None else None
        if theirs is None or message is None:
            return None
        current = decode(theirs.raw)
        same = says_the_same(current, scene.case, message.text) and self._whose.is_theirs(current, scene.case)
        return theirs if same else None

    def _one(
        self, scene: Scene, how: How, ref: str, name: tuple[str, str], written: Iterable[str] = ()
    ) -> SourceVersion | None:
        try:
            return self._hand.look(how, ref, *name, written)
        except Several as several:
            return self._copies.keep(scene, several)

    def _without_identifier(self, ref: str | None) -> SourceVersion | None:
        """Return the Task that we wrote, where somebody's form dropped the identifier that it is found by."""
        theirs = self._hand.read(ref) if ref is not None else None
        if theirs is None:
            return None
        current = decode(theirs.raw)
        return theirs if current.get("status") not in FINAL and not carries_identifier(current) else None

    def end_earlier(self, scene: Scene, case: Case, how: How) -> None:
        """
        End the Tasks of the case's earlier lives that are not over, so that no two say where the work stands.

        A case may end and come back before its end was sent. This comes before the Task of its new life is
        created: a process that dies in between finds that one missing, and begins here again.
        """
        standing = [(one, decode(one.raw)) for one in self._tasks(scene, how, range(1, case.round))]
        live = [(one, current) for one, current in standing if current.get("status") not in FINAL]
        ours = [(one, current) for one, current in live if self._whose.is_theirs(current, case)]
        for theirs, current in live:
            if (theirs, current) not in ours:
                self.retracted(theirs, case)
        if ours:
            self._whose.check(scene.case, scene.rows, scene.intent.kind, retiring=True)
        for theirs, current in ours:
            self._ended(theirs, current, case)

    def _ended(self, theirs: SourceVersion, current: Json, case: Case) -> None:
        refuse_modifiers(current)
        if patient_of(current) != case.patient_ref:
            current = {**current, "for": {"reference": case.patient_ref}}
        words, version = _REOPENED if case.merged_into is None else _MERGED, theirs.version
        for status in steps(current.get("status"), OVER, direct_cancel=self._direct_cancel):
            current = ended_earlier(current, status, words, case.updated_at, self._fhir_version)
            version = self._hand.update(theirs.ref, current, version)

    def taken_back(self, scene: Scene) -> Done:
        """Take back every Task and message of the case that stands in another patient's record."""
        done = Done(None, None)
        for theirs in self._written_by(scene):
            if not self._whose.is_theirs(decode(theirs.raw), scene.case):
                done = self.retracted(theirs, scene.case)
        return done

    def _tasks(self, scene: Scene, how: How, rounds: range) -> Iterator[SourceVersion]:
        """Find the case's Tasks of these rounds that stand on the EHR."""
        for number in rounds:
            stands = self.look(scene, how, number)
            if stands is not None:
                yield stands

    def _written_by(self, scene: Scene) -> Iterator[SourceVersion]:
        case = scene.case
        plan = self._plan
        task, message = plan[IntentKind.COORDINATION_TASK].how, plan[IntentKind.STATUS_MESSAGE].how
        yield from self._tasks(scene, task, range(1, max(case.round, scene.life) + 1))
        with self._store.reading() as tx:
            rows = tx.outbox(case_ids=[case.id], limit=_MOST_MESSAGES)
        rows = [row for row in rows if row.intent.message is not None]
        for row in rows if message is not How.NOT_WRITABLE else ():
            ref, written = message_ref(row.intent.key), [row.written] if row.written is not None else []
            stands = self._one(scene, message, ref, (MESSAGE_SYSTEM, row.intent.key), written)
            if stands is not None:
                yield stands
        yield from self._under_other_keys(scene, rows)

    def _under_other_keys(self, scene: Scene, rows: Iterable[OutboxRow]) -> Iterator[SourceVersion]:
        """Find what a restore found on the EHR: under which keys it stands, nobody knows any more."""
        if not scene.was_restored:
            return
        written = [row.written for row in rows if row.written is not None]
        for ref in dict.fromkeys([*written, *scene.adrift]):
            stands = self._hand.read(ref)
            if stands is not None and is_own_json(decode(stands.raw)):
                yield stands

    def retracted(self, theirs: SourceVersion, case: Case) -> Done:
        """Only the status of our own resource changes; whose it is stays, so the case's patient is not asked for."""
        current = decode(theirs.raw)
        if current.get("status") == "entered-in-error":
            return Done(theirs.ref, theirs.version)
        refuse_modifiers(current)
        taken_back = retract(current, case.updated_at, self._fhir_version)
        checked(taken_back, self._fhir_version)
        return Done(theirs.ref, self._hand.update(theirs.ref, taken_back, theirs.version))
