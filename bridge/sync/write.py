"""Make one intent true on the EHR: check the patient, look what stands there, write only what differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.cases.model import Case, ClosureReason
from bridge.cases.sources import SourceRow
from bridge.errors import Gone, NotFound
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.sync.evidence import proven as proven_evidence
from bridge.sync.hand import Done, EndedThere, Hand, Stop
from bridge.sync.known import PATIENT_MISMATCH, tasks_that_ask_us
from bridge.sync.whose import Whose
from bridge.tasks.check import checked
from bridge.tasks.communication import render_message
from bridge.tasks.coordination_task import render_task
from bridge.tasks.elements import Json
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM, message_ref, task_identifier, task_ref
from bridge.tasks.merge import (
    OVER,
    carries_identifier,
    decode,
    end_earlier,
    merge_task,
    move_source_task,
    patient_of,
    refuse_modifiers,
    retract,
    said_closed,
    same,
)
from bridge.tasks.route import How
from bridge.tasks.standing import ENDS, asked_status, coordination_status, steps
from bridge.tasks.transitions import FINAL

if TYPE_CHECKING:
    from bridge.sync.deliver import Channel


@dataclass(frozen=True)
class _Scene:
    """An intent with everything it is about: the case as it is now and the sources of its group."""

    intent: Intent
    case: Case
    rows: Sequence[SourceRow]
    written: str | None
    """The Task that was last written for the case, in whichever of its lives."""
    task_on_ehr: str | None
    """The same, where it is certainly of the life the case is in."""
    tasks: Sequence[str]
    """The case's Tasks that were written, of all its lives, the last first."""


_IN_ERROR = ENDS[ClosureReason.ENTERED_IN_ERROR]
_MOST_MESSAGES = 10_000
_MESSAGES = (IntentKind.STATUS_MESSAGE, IntentKind.OUTREACH_RECORD)
_REOPENED = "The case was reopened; a newer Task says where the work stands."
_MERGED = "The work goes on in another case."


class Writer:
    """Writes the intents of one connection. Safe to share between threads."""

    def __init__(self, store: Store, channel: Channel, clock: Callable[[], datetime]) -> None:
        self._store, self._channel = store, channel
        self._client, self._line = channel.client, channel.line
        self._hand = Hand(channel.client, clock)
        self._whose = Whose(channel.client, channel.line)

    @property
    def written(self) -> int:
        """How many resources were created or changed on the EHR."""
        return self._hand.written

    def make_true(self, intent: Intent, lease_until: datetime | None = None) -> Done:
        """
        Make *intent* true.

        Args:
            lease_until: When another process may take this over; nothing is written from then on.

        Raises:
            Stop: It ends without a write.
            Overtaken: The lease ran out before it came to a write.
            VersionConflict: Somebody else wrote first; try again from the start.
            RemoteError, DomainError: As the EHR answered, or a rule of ours forbids it.
        """
        self._hand.lease(lease_until)
        scene = self._scene(intent)
        route = self._channel.plan[intent.kind]
        if route.how is How.NOT_WRITABLE:
            raise Stop(IntentState.NOT_WRITABLE, "no-route", route.why)
        if intent.kind is IntentKind.RETRACTION:
            return self._retraction(scene)
        if scene.case.patient_ref is None:
            how = "only by name or identifier" if scene.case.patient is not None else "nowhere"
            reason = f"the EHR names the patient {how}: nothing is written until it refers to a record"
            raise Stop(IntentState.NOT_WRITABLE, "no-patient", reason)
        if intent.kind is IntentKind.SOURCE_TASK:
            return self._source_task(scene)
        if intent.kind is IntentKind.COORDINATION_TASK:
            return self._coordination_task(scene, route.how)
        return self._message(scene, route.how)

    def _scene(self, intent: Intent) -> _Scene:
        with self._store.reading() as tx:
            case = tx.case(intent.case_id)
            if case is None:
                raise Stop(IntentState.PARKED, "no-case", f"case {intent.case_id} is not in the database")
            rows = tx.sources_of_roots(intent.connection, [case.root])
            standing = tx.written(case.id, [IntentKind.COORDINATION_TASK])
        # A reopened case has a Task of its own; what was written may still be that of its earlier life.
        written = standing[-1].written if standing else None
        tasks = dict.fromkeys(row.written for row in reversed(standing) if row.written is not None)
        return _Scene(intent, case, rows, written, written if case.round == 1 else None, tuple(tasks))

    # Our own Task -----------------------------------------------------------------------------------------

    def _coordination_task(self, scene: _Scene, how: How) -> Done:
        case, theirs = self._standing(scene, how)
        if theirs is None:
            self._end_earlier(scene, case, how)
        if theirs is None and case.merged_into is not None:
            raise Stop(IntentState.SUPERSEDED, "merged", "the case was merged before its Task was written")
        goals = coordination_status(case, knows_ready=self._channel.knows_ready)
        try:
            self._whose.check(
                scene.case, scene.rows, scene.intent.kind, retiring=theirs is not None and not case.is_open
            )
        except Stop:
            if theirs is not None and goals == _IN_ERROR:
                return self._retracted(theirs, case)
            raise
        part_of = [task.ref for task in tasks_that_ask_us(self._line, scene.rows) if task.ref != case.root]
        if theirs is None:
            status = steps(None, goals)[0]
            body = checked(self._rendered(case, status, part_of, self._proven(case)), self._line.fhir_version)
            made = self._hand.create(how, "Task", task_ref(case), CASE_SYSTEM, task_identifier(case), body)
            if made.created or how is How.PUT_OWN_ID:
                return Done(made.ref, made.version)
            theirs = self._client.read(made.ref)
        return self._bring_up_to_date(case, theirs, goals, part_of)

    def _standing(self, scene: _Scene, how: How) -> tuple[Case, SourceVersion | None]:
        """
        Return our Task of the life that the case is in, if it stands, and the case with that life's number.

        A database that was lost, or restored from before a case came back, counts too few lives: where the Task of
        one is over, the next one's is looked for, and what we ended ourselves is never taken up again.
        """
        case = scene.case
        theirs = self._look(scene, how, case.round) or self._without_identifier(scene.written)
        while theirs is not None and (current := decode(theirs.raw)).get("status") in FINAL:
            later = replace(case, round=case.round + 1)
            next_one = self._look(scene, how, later.round)
            ended_by_us = said_closed(current) or not self._whose.is_theirs(current, case)
            if next_one is None and not (case.is_open and ended_by_us):
                break
            case, theirs = later, next_one
        return case, theirs

    def _look(self, scene: _Scene, how: How, number: int) -> SourceVersion | None:
        """
        Return the case's Task of one of its lives.

        One that was written first for the sake of a message is known by that message alone.
        """
        ref, name = task_ref(scene.case, number), task_identifier(scene.case, number)
        stands = self._hand.look(how, ref, CASE_SYSTEM, name, scene.tasks)
        if stands is not None or how is How.PUT_OWN_ID:
            return stands
        with self._store.reading() as tx:
            messages = tx.written(scene.case.id, _MESSAGES)
        return self._hand.whole_of((row.written for row in messages), CASE_SYSTEM, name)

    def _without_identifier(self, ref: str | None) -> SourceVersion | None:
        """Return the Task that we wrote, where somebody's form dropped the identifier that it is found by."""
        if ref is None:
            return None
        try:
            theirs = self._client.read(ref)
        except (Gone, NotFound):
            return None
        current = decode(theirs.raw)
        return theirs if current.get("status") not in FINAL and not carries_identifier(current) else None

    def _bring_up_to_date(
        self, case: Case, theirs: SourceVersion, goals: tuple[str, ...], part_of: Sequence[str]
    ) -> Done:
        current = decode(theirs.raw)
        self._ours_for_this_patient(current, case, theirs.ref)
        refuse_modifiers(current)
        if case.closure is None and current.get("status") in FINAL:
            raise EndedThere(theirs.ref, current["status"])
        way = steps(current.get("status"), goals, direct_cancel=self._channel.direct_cancel)
        version, proven = theirs.version, self._proven(case)
        for status in way or (str(current.get("status")),):
            ours = self._rendered(case, status, part_of, proven)
            checked(ours, self._line.fhir_version)
            merged = merge_task(current, ours)
            if same(current, merged):
                continue
            version, current = self._hand.update(theirs.ref, merged, version), merged
        return Done(theirs.ref, version)

    def _proven(self, case: Case) -> frozenset[str]:
        return proven_evidence(self._client, case, self._line.base_url)

    def _rendered(self, case: Case, status: str, part_of: Sequence[str], proven: Collection[str]) -> Json:
        lanes = self._line.rules.lanes
        title = lanes[case.lane].title if case.lane in lanes else case.lane
        return render_task(case, status, self._channel.form, lane_title=title, part_of=part_of, proven=proven)

    def _ours_for_this_patient(self, current: Json, case: Case, ref: str) -> None:
        if not self._whose.is_theirs(current, case):
            reason = f"{ref} on the EHR is for another patient than the case; nothing was written"
            raise Stop(IntentState.PARKED, PATIENT_MISMATCH, reason)

    # What was written before -----------------------------------------------------------------

    def _end_earlier(self, scene: _Scene, case: Case, how: How) -> None:
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
                self._retracted(theirs, case)
        if ours:
            self._whose.check(scene.case, scene.rows, scene.intent.kind, retiring=True)
        for theirs, current in ours:
            self._ended(theirs, current, case)

    def _ended(self, theirs: SourceVersion, current: Json, case: Case) -> None:
        refuse_modifiers(current)
        if patient_of(current) != case.patient_ref:
            current = {**current, "for": {"reference": case.patient_ref}}
        words, version = _REOPENED if case.merged_into is None else _MERGED, theirs.version
        for status in steps(current.get("status"), OVER, direct_cancel=self._channel.direct_cancel):
            current = end_earlier(current, status, words, case.updated_at, self._line.fhir_version)
            version = self._hand.update(theirs.ref, current, version)

    def _retraction(self, scene: _Scene) -> Done:
        """Take back every Task and message of the case that stands in another patient's record."""
        done = Done(None, None)
        for theirs in self._written_by(scene):
            if not self._whose.is_theirs(decode(theirs.raw), scene.case):
                done = self._retracted(theirs, scene.case)
        return done

    def _tasks(self, scene: _Scene, how: How, rounds: range) -> Iterator[SourceVersion]:
        """Find the case's Tasks of these rounds that stand on the EHR."""
        for number in rounds:
            stands = self._look(scene, how, number)
            if stands is not None:
                yield stands

    def _written_by(self, scene: _Scene) -> Iterator[SourceVersion]:
        case = scene.case
        plan = self._channel.plan
        task, message = plan[IntentKind.COORDINATION_TASK].how, plan[IntentKind.STATUS_MESSAGE].how
        yield from self._tasks(scene, task, range(1, case.round + 1))
        with self._store.reading() as tx:
            rows = tx.outbox(case_ids=[case.id], limit=_MOST_MESSAGES)
        for row in rows:
            if row.intent.message is not None and message is not How.NOT_WRITABLE:
                ref, written = message_ref(row.intent.key), [row.written] if row.written is not None else []
                stands = self._hand.look(message, ref, MESSAGE_SYSTEM, row.intent.key, written)
                if stands is not None:
                    yield stands

    def _retracted(self, theirs: SourceVersion, case: Case) -> Done:
        """Only the status of our own resource changes; whose it is stays, so the case's patient is not asked for."""
        current = decode(theirs.raw)
        if current.get("status") == "entered-in-error":
            return Done(theirs.ref, theirs.version)
        refuse_modifiers(current)
        taken_back = retract(current, case.updated_at, self._line.fhir_version)
        checked(taken_back, self._line.fhir_version)
        return Done(theirs.ref, self._hand.update(theirs.ref, taken_back, theirs.version))

    # A Task that asked us ---------------------------------------------------------------------------------

    def _source_task(self, scene: _Scene) -> Done:
        case, target = scene.case, scene.intent.target
        assert target is not None
        try:
            theirs = self._client.read(target)
        except (Gone, NotFound):
            raise Stop(IntentState.SUPERSEDED, "gone", f"{target} is not on the EHR any longer") from None
        snapshot = self._whose.said_by(theirs, case)
        if target != case.root:
            self._whose.check(scene.case, scene.rows, scene.intent.kind, retiring=not case.is_open)
        if not self._line.rules.owners.is_us(snapshot.owner):
            raise Stop(IntentState.SUPERSEDED, "not-ours", f"{target} does not ask us any longer")
        way = asked_status(
            case,
            snapshot,
            acknowledge_with=self._line.acknowledge_with if self._channel.knows_ready else "accepted",
            direct_cancel=self._channel.direct_cancel,
        )
        current, version, proven = decode(theirs.raw), theirs.version, self._proven(case)
        for status in way:
            current = move_source_task(current, case, status, self._channel.form, proven)
            version = self._hand.update(target, current, version)
        return Done(target, version)

    # Communications ---------------------------------------------------------------------------------------

    def _message(self, scene: _Scene, how: How) -> Done:
        """
        A Communication is written once and never changed.

        One that went into another patient's record is taken back: an attempt to reach a patient may move, with its
        case, to work that is somebody else's.
        """
        case, intent = scene.case, scene.intent
        stale = intent.kind is IntentKind.STATUS_MESSAGE and (
            intent.message is None or intent.message.status != case.status.value or case.merged_into is not None
        )
        theirs = self._hand.look(how, message_ref(intent.key), MESSAGE_SYSTEM, intent.key)
        if theirs is not None and not self._whose.is_theirs(decode(theirs.raw), case):
            return self._retracted(theirs, case)
        if theirs is not None:
            return Done(theirs.ref, theirs.version)
        if stale:
            raise Stop(IntentState.SUPERSEDED, "old-news", "the status changed before the message was sent")
        task = self._task_first(scene)
        self._whose.check(scene.case, scene.rows, scene.intent.kind, retiring=False)
        resource = render_message(case, intent, self._channel.form, part_of=task)
        self._whose.check_lives(resource, case)
        body = checked(resource, self._line.fhir_version)
        made = self._hand.create(how, "Communication", message_ref(intent.key), MESSAGE_SYSTEM, intent.key, body)
        return Done(made.ref, made.version)

    def _task_first(self, scene: _Scene) -> str | None:
        """Return our Task that a message is part of; it is written first where it does not stand yet."""
        how = self._channel.plan[IntentKind.COORDINATION_TASK].how
        if scene.task_on_ehr is not None or how is How.NOT_WRITABLE or scene.case.merged_into is not None:
            return scene.task_on_ehr
        try:
            return self._coordination_task(scene, how).ref
        except EndedThere as ended:
            return ended.ref
