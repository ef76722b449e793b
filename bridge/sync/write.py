"""Make one intent true on the EHR: check the patient, look what stands there, write only what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.cases.model import Case, ClosureReason
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow
from bridge.errors import Gone, NotFound
from bridge.fhir.client import Written, escape
from bridge.fhir.source import SourceVersion
from bridge.mappers import normalize
from bridge.store.port import Store
from bridge.sync.known import tasks_that_ask_us
from bridge.tasks.check import checked, encode
from bridge.tasks.communication import render_message
from bridge.tasks.coordination_task import render_task
from bridge.tasks.elements import Json
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM, message_ref, task_identifier, task_ref
from bridge.tasks.merge import decode, merge_task, move_source_task, patient_of, refuse_modifiers, retract, same
from bridge.tasks.route import How
from bridge.tasks.standing import ENDS, asked_status, coordination_status, steps

if TYPE_CHECKING:
    from bridge.sync.deliver import Channel


@dataclass(frozen=True)
class Done:
    """What stands on the EHR now: the resource and its version, ``None`` where nothing had to be there."""

    ref: str | None
    version: str | None


class Stop(Exception):
    """This intent ends here, without a write: its state, a stable code, and a reason a person can act on."""

    def __init__(self, state: IntentState, code: str, reason: str) -> None:
        super().__init__(reason)
        self.state, self.code, self.reason = state, code, reason


@dataclass(frozen=True)
class _Scene:
    """An intent with everything it is about: the case as it is now and the sources of its group."""

    intent: Intent
    case: Case
    rows: Sequence[SourceRow]
    task_on_ehr: str | None


_IN_ERROR = ENDS[ClosureReason.ENTERED_IN_ERROR]
_MOST_MESSAGES = 10_000


class Writer:
    """Writes the intents of one connection. Safe to share between threads."""

    def __init__(self, store: Store, channel: Channel) -> None:
        self._store, self._channel = store, channel
        self._client, self._line = channel.client, channel.line
        self._lock = Lock()
        self.written = 0

    def make_true(self, intent: Intent) -> Done:
        """
        Make *intent* true.

        Raises:
            Stop: It ends without a write.
            VersionConflict: Somebody else wrote first; try again from the start.
            RemoteError, DomainError: As the EHR answered, or a rule of ours forbids it.
        """
        scene = self._scene(intent)
        route = self._channel.plan[intent.kind]
        if route.how is How.NOT_WRITABLE:
            raise Stop(IntentState.NOT_WRITABLE, "no-route", route.why)
        if intent.kind is IntentKind.RETRACTION:
            return self._retraction(scene)
        if scene.case.patient is None:
            reason = "the case has no patient; nothing is written until one is known"
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
        stands = standing[-1].written if standing and case.round == 1 else None
        return _Scene(intent, case, rows, stands)

    # Who the patient is -----------------------------------------------------------------------------------

    def _check_patient(self, scene: _Scene, *, retiring: bool) -> None:
        """
        Read the root now and refuse to write unless its patient is the case's.

        Where the root names none, or was never there (a Task may name a request that its server does not have),
        another resource of the group has to. A root that is gone allows only the *retiring* of what we wrote.
        """
        case = scene.case
        try:
            if self._same_patient(self._client.read(case.root), case).patient is not None:
                return
        except (Gone, NotFound):
            if retiring:
                return
            if any(row.ref == case.root for row in scene.rows):
                raise self._root_missing(scene) from None
        self._check_witness(scene)

    def _check_witness(self, scene: _Scene) -> None:
        for row in scene.rows:
            stated = row.snapshot.patient
            if row.ref != scene.case.root and row.gone_at is None and stated is not None and stated.ref is not None:
                try:
                    self._same_patient(self._client.read(row.ref), scene.case)
                except (Gone, NotFound):
                    continue
                return
        raise self._root_missing(scene)

    def _root_missing(self, scene: _Scene) -> Stop:
        """What is over with its request concerns nobody; an attempt made, or work still open, needs a person."""
        case = scene.case
        if not case.is_open and scene.intent.kind is not IntentKind.OUTREACH_RECORD:
            return Stop(IntentState.SUPERSEDED, "root-gone", f"{case.root} is gone, and the case is over with it")
        reason = f"{case.root} is not on the EHR, so nobody can confirm the patient; nothing was written"
        return Stop(IntentState.PARKED, "root-missing", reason)

    def _same_patient(self, version: SourceVersion, case: Case) -> Snapshot:
        """
        Return what *version* says now.

        Raises:
            Stop: It cannot be read, or it names another patient than the case. One that names none passes.
        """
        verdict = normalize(version, base_url=self._line.base_url, fhir_version=self._line.fhir_version)
        if not isinstance(verdict, Snapshot):
            reason = f"{version.ref} cannot be read any longer: {verdict.reason}"
            raise Stop(IntentState.PARKED, "root-unreadable", reason)
        assert case.patient is not None
        stated = verdict.patient.ref if verdict.patient is not None else None
        if verdict.patient is not None and stated != case.patient.ref:
            reason = f"the patient of {version.ref} is not the patient of the case; nothing was written"
            raise Stop(IntentState.PARKED, "patient-mismatch", reason)
        return verdict

    # Our own Task -----------------------------------------------------------------------------------------

    def _coordination_task(self, scene: _Scene, how: How) -> Done:
        case = scene.case
        theirs = self._look(how, task_ref(case), CASE_SYSTEM, task_identifier(case))
        if theirs is None and case.merged_into is not None:
            raise Stop(IntentState.SUPERSEDED, "merged", "the case was merged before its Task was written")
        goals = coordination_status(case, knows_ready=self._channel.knows_ready)
        try:
            self._check_patient(scene, retiring=theirs is not None and not case.is_open)
        except Stop:
            if theirs is not None and goals == _IN_ERROR:
                return self._retracted(theirs, case)
            raise
        part_of = [task.ref for task in tasks_that_ask_us(self._line, scene.rows) if task.ref != case.root]
        if theirs is None:
            status = steps(None, goals)[0]
            body = checked(self._rendered(case, status, part_of), self._line.fhir_version)
            made = self._create(how, "Task", task_ref(case), CASE_SYSTEM, task_identifier(case), body)
            if made.created or how is How.PUT_OWN_ID:
                return Done(made.ref, made.version)
            theirs = self._client.read(made.ref)
        return self._bring_up_to_date(case, theirs, goals, part_of)

    def _bring_up_to_date(
        self, case: Case, theirs: SourceVersion, goals: tuple[str, ...], part_of: Sequence[str]
    ) -> Done:
        current = decode(theirs.raw)
        self._ours_for_this_patient(current, case, theirs.ref)
        refuse_modifiers(current)
        way = steps(current.get("status"), goals, direct_cancel=self._channel.direct_cancel)
        version = theirs.version
        for status in way or (str(current.get("status")),):
            ours = self._rendered(case, status, part_of)
            checked(ours, self._line.fhir_version)
            merged = merge_task(current, ours)
            if same(current, merged):
                continue
            version, current = self._update(theirs.ref, merged, version), merged
        return Done(theirs.ref, version)

    def _rendered(self, case: Case, status: str, part_of: Sequence[str]) -> Json:
        lanes = self._line.rules.lanes
        title = lanes[case.lane].title if case.lane in lanes else case.lane
        return render_task(case, status, self._channel.form, lane_title=title, part_of=part_of)

    def _ours_for_this_patient(self, current: Json, case: Case, ref: str) -> None:
        assert case.patient is not None
        stated = (current.get("for") or {}).get("reference")
        if stated != case.patient.ref:
            reason = f"{ref} on the EHR is for another patient than the case; nothing was written"
            raise Stop(IntentState.PARKED, "patient-mismatch", reason)

    # What was written for another patient -----------------------------------------------------------------

    def _retraction(self, scene: _Scene) -> Done:
        """Take back every Task and message of the case that stands in another patient's record."""
        done = Done(None, None)
        for theirs in self._written_by(scene.case):
            if patient_of(decode(theirs.raw)) != scene.case.patient_ref:
                done = self._retracted(theirs, scene.case)
        return done

    def _written_by(self, case: Case) -> Iterator[SourceVersion]:
        plan = self._channel.plan
        task, message = plan[IntentKind.COORDINATION_TASK].how, plan[IntentKind.STATUS_MESSAGE].how
        for number in range(1, case.round + 1):
            stands = self._look(task, task_ref(case, number), CASE_SYSTEM, task_identifier(case, number))
            if stands is not None:
                yield stands
        with self._store.reading() as tx:
            rows = tx.outbox(case_ids=[case.id], limit=_MOST_MESSAGES)
        for row in rows:
            if row.intent.message is not None and message is not How.NOT_WRITABLE:
                stands = self._look(message, message_ref(row.intent.key), MESSAGE_SYSTEM, row.intent.key)
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
        return Done(theirs.ref, self._update(theirs.ref, taken_back, theirs.version))

    # A Task that asked us ---------------------------------------------------------------------------------

    def _source_task(self, scene: _Scene) -> Done:
        case, target = scene.case, scene.intent.target
        assert target is not None
        try:
            theirs = self._client.read(target)
        except (Gone, NotFound):
            raise Stop(IntentState.SUPERSEDED, "gone", f"{target} is not on the EHR any longer") from None
        snapshot = self._same_patient(theirs, case)
        if target != case.root:
            self._check_patient(scene, retiring=not case.is_open)
        if not self._line.rules.owners.is_us(snapshot.owner):
            raise Stop(IntentState.SUPERSEDED, "not-ours", f"{target} does not ask us any longer")
        way = asked_status(
            case,
            snapshot,
            acknowledge_with=self._line.acknowledge_with if self._channel.knows_ready else "accepted",
            direct_cancel=self._channel.direct_cancel,
        )
        current, version = decode(theirs.raw), theirs.version
        for status in way:
            current = move_source_task(current, case, status, self._channel.form)
            version = self._update(target, current, version)
        return Done(target, version)

    # Communications ---------------------------------------------------------------------------------------

    def _message(self, scene: _Scene, how: How) -> Done:
        """A Communication is written once and never changed."""
        case, intent = scene.case, scene.intent
        stale = intent.kind is IntentKind.STATUS_MESSAGE and (
            intent.message is None or intent.message.status != case.status.value or case.merged_into is not None
        )
        theirs = self._look(how, message_ref(intent.key), MESSAGE_SYSTEM, intent.key)
        if theirs is not None:
            return Done(theirs.ref, theirs.version)
        if stale:
            raise Stop(IntentState.SUPERSEDED, "old-news", "the status changed before the message was sent")
        task = self._task_first(scene)
        self._check_patient(scene, retiring=False)
        resource = render_message(case, intent, self._channel.form, part_of=task)
        body = checked(resource, self._line.fhir_version)
        made = self._create(how, "Communication", message_ref(intent.key), MESSAGE_SYSTEM, intent.key, body)
        return Done(made.ref, made.version)

    def _task_first(self, scene: _Scene) -> str | None:
        """Return our Task that a message is part of; it is written first where it does not stand yet."""
        how = self._channel.plan[IntentKind.COORDINATION_TASK].how
        if scene.task_on_ehr is not None or how is How.NOT_WRITABLE or scene.case.merged_into is not None:
            return scene.task_on_ehr
        return self._coordination_task(scene, how).ref

    # Looking and writing ----------------------------------------------------------------------------------

    def _look(self, how: How, ref: str, system: str, value: str) -> SourceVersion | None:
        """Return what stands on the EHR under our identifier; a deleted one does not stand."""
        if how is How.PUT_OWN_ID:
            try:
                return self._client.read(ref)
            except (Gone, NotFound):
                return None
        kind = ref.partition("/")[0]
        token = f"{escape(system)}|{escape(value)}"
        page = self._client.search(kind, [("identifier", token), ("_count", "10")], critical=("identifier",))
        found = [version for version in page.entries if version.type == kind]
        if len(found) > 1:
            reason = f"the EHR holds {len(found)} resources {kind} with our identifier {value}; keep one, then replay"
            raise Stop(IntentState.PARKED, "duplicate-on-server", reason)
        return found[0] if found else None

    def _create(self, how: How, kind: str, ref: str, system: str, value: str, body: bytes) -> Written:
        if how is How.PUT_OWN_ID:
            resource = {**decode(body), "id": ref.partition("/")[2]}
            written = self._client.update(ref, encode(resource), create_only=True)
        else:
            condition = f"identifier={system}|{value}"
            written = self._client.create(kind, body, if_none_exist=condition)
        self._count()
        return written

    def _update(self, ref: str, resource: Json, version: str) -> str:
        """Write over *version* and return the version that this made."""
        if not _is_version(version):
            raise Stop(
                IntentState.NOT_WRITABLE,
                "no-version",
                f"the EHR gives no version of {ref}: it cannot be changed without the risk of overwriting",
            )
        written = self._client.update(ref, encode(resource), if_match=version)
        self._count()
        return written.version or self._client.read(ref).version

    def _count(self) -> None:
        with self._lock:
            self.written += 1


def _is_version(version: str) -> bool:
    """Whether a version is the server's own, fit for ``If-Match``, rather than a hash of ours."""
    return not version.startswith("sha256:")
