"""Make one intent true on the EHR: check the patient, look what stands there, write only what differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.model import Case
from bridge.cases.terms import ClosureReason
from bridge.errors import Gone, NotFound
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.store.rows import OutboxRow
from bridge.sync.copies import Copies
from bridge.sync.evidence import proven as proven_evidence
from bridge.sync.hand import Done, EndedThere, Hand, NotYet, Stop
from bridge.sync.known import PATIENT_MISMATCH, tasks_that_ask_us
from bridge.sync.ours import Ours
from bridge.sync.restored import RESTORED
from bridge.sync.scene import Scene, scene_of
from bridge.sync.whose import Whose
from bridge.tasks.check import checked
from bridge.tasks.communication import render_message
from bridge.tasks.coordination_task import render_task
from bridge.tasks.elements import Json
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM, message_ref, task_identifier, task_ref
from bridge.tasks.merge import decode, merge_task, move_source_task, refuse_modifiers, same
from bridge.tasks.route import How
from bridge.tasks.standing import ENDS, asked_status, coordination_status, steps
from bridge.tasks.transitions import FINAL

if TYPE_CHECKING:
    from bridge.sync.deliver import Channel


CREATING = (IntentKind.COORDINATION_TASK, IntentKind.STATUS_MESSAGE, IntentKind.OUTREACH_RECORD)
"""What may make something new on the EHR."""
_LOOK_AGAIN = timedelta(seconds=5)
_IN_ERROR = ENDS[ClosureReason.ENTERED_IN_ERROR]


class Writer:
    """Writes the intents of one connection. Safe to share between threads."""

    def __init__(self, store: Store, channel: Channel, clock: Callable[[], datetime]) -> None:
        self._store, self._channel = store, channel
        self._client, self._line = channel.client, channel.line
        self._clock = clock
        self._hand = Hand(channel.client, clock)
        self._whose = Whose(channel.client, channel.line)
        self._copies = Copies(store, channel, self._hand, self._whose, clock)
        self._ours = Ours(store, channel, self._hand, self._whose, self._copies)

    @property
    def written(self) -> int:
        """How many resources were created or changed on the EHR."""
        return self._hand.written

    def make_true(self, row: OutboxRow) -> Done:
        """
        Make the intent of *row* true; nothing is written once its lease has run out.

        Raises:
            Stop: It ends without a write.
            NotYet: What an earlier try may have made would not show yet.
            Overtaken: The lease ran out before it came to a write.
            VersionConflict: Somebody else wrote first; try again from the start.
            RemoteError, DomainError: As the EHR answered, or a rule of ours forbids it.
        """
        self._hand.lease(row.lease_until)
        scene, intent = scene_of(self._store, row), row.intent
        route = self._channel.plan[intent.kind]
        if route.how is How.NOT_WRITABLE:
            raise Stop(IntentState.NOT_WRITABLE, "no-route", route.why)
        if intent.is_copy:
            return self._copy(scene)
        if intent.kind is IntentKind.RETRACTION:
            return self._ours.taken_back(scene)
        if scene.held:
            reason = (
                "the EHR says that this case was closed after the backup that Bridge was restored from: look at the "
                "case, and close it here or replay this"
            )
            raise Stop(IntentState.PARKED, RESTORED, reason)
        if scene.waits:
            raise NotYet(self._clock() + _LOOK_AGAIN, "what a restore found of ours is held against the case first")
        if scene.case.patient_ref is None:
            how = "only by name or identifier" if scene.case.patient is not None else "nowhere"
            reason = f"the EHR names the patient {how}: nothing is written until it refers to a record"
            raise Stop(IntentState.NOT_WRITABLE, "no-patient", reason)
        if intent.kind is IntentKind.SOURCE_TASK:
            return self._source_task(scene)
        if intent.kind is IntentKind.COORDINATION_TASK:
            return self._coordination_task(scene, route.how)
        return self._message(scene, route.how)

    # Our own Task -----------------------------------------------------------------------------------------

    def _coordination_task(self, scene: Scene, how: How) -> Done:
        case, theirs = self._ours.standing(scene, how)
        if theirs is None:
            self._ours.end_earlier(scene, case, how)
        if theirs is None and case.merged_into is not None:
            raise Stop(IntentState.SUPERSEDED, "merged", "the case was merged before its Task was written")
        goals = coordination_status(case, knows_ready=self._channel.knows_ready)
        try:
            self._whose.check(
                scene.case, scene.rows, scene.intent.kind, retiring=theirs is not None and not case.is_open
            )
        except Stop:
            if theirs is not None and goals == _IN_ERROR:
                return self._ours.retracted(theirs, case)
            raise
        part_of = [task.ref for task in tasks_that_ask_us(self._line, scene.rows) if task.ref != case.root]
        if theirs is None:
            self._check_shows(how, self._task_doubted_at(case))
            status = steps(None, goals)[0]
            body = checked(self._rendered(case, status, part_of, self._proven(case)), self._line.fhir_version)
            made = self._hand.create(how, "Task", task_ref(case), CASE_SYSTEM, task_identifier(case), body)
            if made.created or how is How.PUT_OWN_ID:
                return Done(made.ref, made.version)
            theirs = self._client.read(made.ref)
        return self._bring_up_to_date(case, theirs, goals, part_of)

    def _copy(self, scene: Scene) -> Done:
        """Take a second copy back; what was kept instead may be of a life of the case that is over."""
        done = self._copies.retire(scene)
        if scene.case.round > 1:
            self._ours.end_earlier(scene, scene.case, self._channel.plan[IntentKind.COORDINATION_TASK].how)
        return done

    def _task_doubted_at(self, case: Case) -> datetime | None:
        """Return when the case's Task may have been created last; messages create it too."""
        with self._store.reading() as tx:
            return tx.doubted_at(case.id, CREATING)

    def _check_shows(self, how: How, doubted_at: datetime | None) -> None:
        """
        Raise NotYet while what was sent at *doubted_at* may stand on the EHR and not show in a search.

        Until then it is looked for again and again, in steps twice as long each time (rule ours). What we choose the
        id of needs no search.
        """
        if doubted_at is None or how is How.PUT_OWN_ID:
            return
        now, shows_at = self._clock(), doubted_at + self._line.shows_within
        if now < shows_at:
            reason = (
                f"a create that was sent at {doubted_at:%H:%M:%S} UTC was not answered, and nothing is to be found; "
                f"what it made may not show before {shows_at:%H:%M:%S} UTC, and nothing is created until then"
            )
            raise NotYet(min(shows_at, now + max(now - doubted_at, _LOOK_AGAIN)), reason)

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

    # A Task that asked us ---------------------------------------------------------------------------------

    def _source_task(self, scene: Scene) -> Done:
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

    def _message(self, scene: Scene, how: How) -> Done:
        """
        A Communication is written once and never changed.

        One that went into another patient's record is taken back: an attempt to reach a patient may move, with its
        case, to work that is somebody else's.
        """
        case, intent = scene.case, scene.intent
        stale = intent.kind is IntentKind.STATUS_MESSAGE and (
            intent.message is None or intent.message.status != case.status.value or case.merged_into is not None
        )
        others = self._records_elsewhere(scene)
        theirs = self._ours.message(scene, how, [row.written for row in others if row.written is not None])
        if theirs is not None and not self._whose.is_theirs(decode(theirs.raw), case):
            return self._ours.retracted(theirs, case)
        if theirs is not None:
            return Done(theirs.ref, theirs.version)
        if stale:
            raise Stop(IntentState.SUPERSEDED, "old-news", "the status changed before the message was sent")
        told = self._ours.told_already(scene)
        if told is not None:
            return Done(told.ref, told.version, "told before the database was restored, and not told again")
        doubts = [row.unsure_at for row in (scene.row, *others) if row.unsure_at is not None]
        self._check_shows(how, max(doubts, default=None))
        task = self._task_first(scene)
        self._whose.check(scene.case, scene.rows, scene.intent.kind, retiring=False)
        resource = render_message(case, intent, self._channel.form, part_of=task)
        self._whose.check_lives(resource, case)
        body = checked(resource, self._line.fhir_version)
        made = self._hand.create(how, "Communication", message_ref(intent.key), MESSAGE_SYSTEM, intent.key, body)
        return Done(made.ref, made.version)

    def _records_elsewhere(self, scene: Scene) -> list[OutboxRow]:
        """
        Return the records of the same attempt for other cases: it moves with work that is merged, or split again.

        A search may not show yet what was written for one of them a moment ago.

        Raises:
            NotYet: An earlier one is being written at this moment.
        """
        if scene.intent.kind is not IntentKind.OUTREACH_RECORD:
            return []
        with self._store.reading() as tx:
            rows = tx.records_of(scene.intent.connection, scene.intent.key)
        others = [row for row in rows if row.intent.case_id != scene.case.id]
        mine = scene.row.id or 0
        if any(row.state is IntentState.SENDING and (row.id or 0) < mine for row in others):
            raise NotYet(self._clock() + _LOOK_AGAIN, "this attempt is being recorded for the case that had it before")
        return others

    def _task_first(self, scene: Scene) -> str | None:
        """
        Return our Task that a message is part of; it is written first where it does not stand yet.

        One that stands is brought up to date by an intent of its own: what holds that up holds up no message.
        """
        how = self._channel.plan[IntentKind.COORDINATION_TASK].how
        if scene.task_on_ehr is not None or how is How.NOT_WRITABLE or scene.case.merged_into is not None:
            return scene.task_on_ehr
        case, theirs = self._ours.standing(scene, how)
        if theirs is not None:
            self._ours_for_this_patient(decode(theirs.raw), case, theirs.ref)
            return theirs.ref
        try:
            return self._coordination_task(scene, how).ref
        except EndedThere as ended:
            return ended.ref
