"""
A clinic and its coordinators at work in any order, and what must hold after every step.

Versions are written in the EHR and come to Bridge late, repeated and out of order; people act on cases in
between; resources are deleted and the sweep finds out; time passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.cases import commands as do
from bridge.cases.changes import Escalated, fold
from bridge.cases.model import Case
from bridge.cases.patients import CONTACTS_PATIENT
from bridge.cases.people import Person, heir
from bridge.cases.snapshot import Effect
from bridge.cases.sources import SourceRow
from bridge.cases.status_table import EFFECTS
from bridge.cases.suggesting import Said, suggestions
from bridge.cases.terms import (
    CLINICAL,
    Action,
    AttemptOutcome,
    BlockerCategory,
    Channel,
    ClosureReason,
    Concern,
    OwnerKind,
    Status,
)
from bridge.config import Settings
from bridge.errors import CommandRefused
from bridge.fhir.source import SourceVersion
from bridge.store.memory import MemoryStore
from bridge.store.queries import CaseFilter
from bridge.sync.command import execute
from bridge.sync.ingest import IngestReport, Intake, ingest
from bridge.sync.people import read_wanted
from bridge.sync.retention import Keeping, forget
from bridge.sync.sweep import sweep
from bridge.sync.timers import tick
from bridge.wiring import make_line, read_lanes
from tests.stateful.small_ehr import SmallEhr
from tests.stateful.world import BASE, NOW

_SETTINGS = Settings.model_validate(
    {
        "site": {"time_zone": "America/New_York"},
        "connections": {"main": {"base_url": BASE}},
        "owners": {
            "ann": {"kind": "person", "display": "Ann", "references": ["Practitioner/ann"]},
            "cleo": {"kind": "person", "display": "Cleo, RN", "licensed": True},
        },
    }
)
LINE = make_line("main", _SETTINGS.connections["main"], _SETTINGS, read_lanes(_SETTINGS))
REFS = ("ServiceRequest/1", "ServiceRequest/2", "MedicationRequest/1", "Appointment/1", "Task/1", "Task/2", "Task/3")
PATIENTS = ("Patient/a", "Patient/a", "Patient/b", None)
PATIENT_REFS = ("Patient/a", "Patient/b")
OWNERS = ("Practitioner/ann", "Organization/1", "Patient/a", None)
LINKS = (None, *REFS)

RIDE = suggestions([Said("Has no ride.", "note:1", NOW)])[0].key

words = st.sampled_from(("why", "no car", "later"))
commands = st.one_of(
    st.builds(do.Assign, owner=st.sampled_from(("ann", "scheduler", "supervisor", "nobody"))),
    st.builds(
        do.LogOutreach,
        channel=st.sampled_from(Channel),
        outcome=st.sampled_from(AttemptOutcome),
        promised_by=st.sampled_from((None, "patient")),
        promised_for=st.sampled_from((None, NOW + timedelta(days=9))),
        concerns=st.sampled_from(((), (), (), *((one,) for one in Concern))),
    ),
    st.just(do.Claim()),
    st.builds(do.RaiseBlocker, category=st.sampled_from(BlockerCategory), text=words),
    st.just(do.ClearBlocker()),
    st.sampled_from((do.AcceptSuggestion(key=RIDE), do.DismissSuggestion(key=RIDE))),
    st.builds(do.SetNextAction, code=st.sampled_from(Action), due_at=st.sampled_from((None, NOW))),
    st.builds(do.Snooze, until=st.just(NOW + timedelta(days=20)), reason=words),
    st.builds(do.Escalate, why=words),
    st.builds(do.AcknowledgeEscalation, resolved=st.booleans()),
    st.builds(do.Note, text=words | st.just("Has no ride.")),
    st.builds(do.Close, reason=st.sampled_from(ClosureReason), outcome=st.sampled_from(("", "seen"))),
    st.builds(do.Reopen, why=words),
)


class Coordination(RuleBasedStateMachine):
    """One EHR, one Bridge over a store in memory, and coordinators."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.ehr = SmallEhr()
        for own_id in ("a", "b"):
            self.ehr.admit({"resourceType": "Patient", "id": own_id})
        self.store = MemoryStore()
        self.acts = 0
        self.attempts: dict[str, set[str]] = defaultdict(set)
        self.notes: dict[str, set[str]] = defaultdict(set)

    # The clinic -------------------------------------------------------------------------------------------

    @rule(refs=st.lists(st.sampled_from(REFS), min_size=1, max_size=4), data=st.data())
    def write(self, refs: list[str], data: st.DataObject) -> None:
        for ref in refs:
            self._write(ref, data, data.draw(st.sampled_from(PATIENTS), "patient"))

    def _write(self, ref: str, data: st.DataObject, patient: str | None) -> None:
        kind, _, own_id = ref.partition("/")
        found: dict[str, Any] = {"resourceType": kind, "id": own_id}
        found["status"] = data.draw(st.sampled_from(sorted(set(EFFECTS[kind]) - {"ended"})), "status")
        reference = {"reference": patient}
        match kind:
            case "Appointment":
                found["participant"] = [{"actor": reference, "status": "accepted"}] if patient else []
                found["start"] = data.draw(st.sampled_from(("2026-05-20T10:00:00Z", "2026-06-10T10:00:00Z")), "start")
                link = data.draw(st.sampled_from((None, "ServiceRequest/1", "ServiceRequest/2")), "basedOn")
                found |= {"basedOn": [{"reference": link}]} if link else {}
            case "Task":
                found |= {"intent": "order"} | ({"for": reference} if patient else {})
                link, owner = data.draw(st.sampled_from(LINKS), "focus"), data.draw(st.sampled_from(OWNERS), "owner")
                found |= {"focus": {"reference": link}} if link else {}
                found |= {"owner": {"reference": owner}} if owner else {}
            case _:
                found |= {"intent": "order"} | ({"subject": reference} if patient else {})
        if kind == "MedicationRequest":
            end = data.draw(st.sampled_from(("2026-05-30", "2026-06-20", "2026-12-31")), "supply")
            found["dispenseRequest"] = {"validityPeriod": {"end": end}}
        self.ehr.write(found)

    @precondition(lambda self: self.ehr.current)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.ehr.delete(data.draw(st.sampled_from(sorted(self.ehr.current)), "ref"))

    @precondition(lambda self: self._cases())
    @rule(own_id=st.sampled_from(("a", "b")), into=st.sampled_from((None, *PATIENT_REFS)), dead=st.booleans())
    def a_patient_changes(self, own_id: str, into: str | None, dead: bool) -> None:
        """Somebody dies, is merged or is not so any longer, and the next sweep sees it."""
        found: dict[str, Any] = {"resourceType": "Patient", "id": own_id, "deceasedBoolean": dead}
        found |= {"link": [{"type": "replaced-by", "other": {"reference": into}}]} if into else {}
        self.ehr.admit(found)
        self.read_whom_cases_name()
        self.compare_with_the_ehr()

    # The way in -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.ehr.versions)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        picked = data.draw(st.lists(st.sampled_from(self.ehr.versions), min_size=1, max_size=5), "versions")
        self._take(picked)

    @precondition(lambda self: self.ehr.versions)
    @rule()
    def deliver_the_newest(self) -> None:
        self._take(self.ehr.versions[-1:])

    @precondition(lambda self: self.ehr.versions)
    @rule()
    def deliver_everything(self) -> None:
        self._take(self.ehr.versions)

    @rule()
    def deliver_again(self) -> None:
        tick(self.store, LINE, self.now)
        again = self._delivered()
        before = self._cases()

        report = self._take(again)

        assert report.counts.duplicate == report.counts.received
        assert self._cases() == before

    def _take(self, versions: Sequence[SourceVersion]) -> IngestReport:
        report = ingest(Intake("Any", versions, "poll"), self.store, LINE, self.now)
        counts = report.counts
        assert counts.received == len(versions)
        assert counts.received == counts.applied + counts.duplicate + counts.ignored + counts.parked
        assert counts.parked == 0
        return report

    @rule()
    def read_whom_cases_name(self) -> None:
        read_wanted(self.ehr.client(self.now), self.store, LINE, lambda: self.now)

    @rule()
    def compare_with_the_ehr(self) -> None:
        # What a sweep finds may open a case, or join one, whose other resources only the next sweep compares. So may
        # what is gone, and a patient who is not merged any longer.
        for _ in range(len(REFS)):
            found = sweep(self.ehr.client(self.now), self.store, LINE, lambda: self.now)
            if not found.repaired + found.gone + found.renewed:
                break
        rows, known = self._rows(), self._people()
        for case in self._open():
            assert case.patient_ref not in known or known[case.patient_ref].version == self._version_of(case)
            for line in case.sources:
                newest = self.ehr.current.get(line.ref)
                if rows[line.ref].gone_at is None:
                    assert newest is not None
                    assert line.version == newest.version

    # People and time --------------------------------------------------------------------------------------

    @precondition(lambda self: self._cases())
    @rule(data=st.data(), command=commands, by=st.sampled_from(("ann", "cleo")))
    def act(self, data: st.DataObject, command: do.AnyCommand, by: str) -> None:
        cases = self._cases()
        case = cases[data.draw(st.sampled_from(sorted(cases)), "case")]
        self.acts += 1
        name = f"act-{self.acts}"
        if isinstance(command, do.Note):
            command = do.Note(text=name)
        try:
            after = execute(
                self.store,
                {"main": LINE},
                case.id,
                command,
                by=by,
                expected_version=case.version,
                now=self.now,
                new_id=name,
            )
        except CommandRefused:
            assert self._cases() == cases
            return
        assert after.version > case.version
        assert after.first_response_at is not None
        if isinstance(command, do.Claim):
            assert (case.owner.kind, after.owner.id) == (OwnerKind.ROLE, by)
        if isinstance(command, do.Close):
            assert self._is_proven(command, after)
        if isinstance(command, do.LogOutreach):
            self.attempts[case.id].add(name)
        if isinstance(command, do.Note):
            self.notes[case.id].add(name)

    @staticmethod
    def _is_proven(command: do.Close, case: Case) -> bool:
        """Whether there is what the shipped lanes ask for, in the words of their file."""
        vain = [one for one in case.outreach if one.outcome.value not in ("reached", "declined")]
        seen = any(line.effect is Effect.ATTENDED for line in case.sources)
        match command.reason:
            case ClosureReason.UNABLE_TO_REACH:
                return len(vain) >= 3
            case ClosureReason.COMPLETED:
                return bool(command.outcome) or seen
            case ClosureReason.OTHER:
                return bool(command.outcome)
        return True

    @rule(minutes=st.sampled_from((7, 60, 30 * 60, 14 * 24 * 60)))
    def pass_time(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        tick(self.store, LINE, self.now)
        assert tick(self.store, LINE, self.now) == 0

    @rule(minutes=st.sampled_from((1, 45, 20 * 60, 6 * 24 * 60)))
    def pass_time_and_let_nobody_look(self, minutes: int) -> None:
        """What comes next has to bring about first what time alone would have."""
        self.now += timedelta(minutes=minutes)

    @rule()
    def forget_what_is_not_needed(self) -> None:
        """However short ago it came: what is delivered again afterwards is a repeat, and no work."""
        before, had = self._cases(), self._bodies()

        forget(self.store, Keeping(timedelta(0), timedelta(0)), self.now + timedelta(seconds=1))

        assert self._cases() == before
        # What was dropped while a case was closed is not there again because somebody reopens it.
        assert self._bodies() == had & {line.ref for case in self._open() for line in case.sources}

    def _bodies(self) -> set[str]:
        """Return the resources of which some version is kept as it was received."""
        with self.store.reading() as tx:
            return {row.ref for row in map(tx.inbox_row, range(1, 1 + tx.sizes().versions)) if row and row.raw}

    # What must hold ---------------------------------------------------------------------------------------

    def _cases(self) -> dict[str, Case]:
        with self.store.reading() as tx:
            return {case.id: case for case in tx.list_cases(CaseFilter(merged=True), limit=1000).cases}

    def _people(self) -> dict[str, Person]:
        with self.store.reading() as tx:
            return tx.people("main", PATIENT_REFS)

    def _version_of(self, case: Case) -> str:
        assert case.patient_ref is not None
        return self.ehr.people[case.patient_ref].version

    def _delivered(self) -> list[SourceVersion]:
        with self.store.reading() as tx:
            known = tx.known_versions("main", {(one.ref, one.version) for one in self.ehr.versions})
        return [one for one in self.ehr.versions if (one.ref, one.version) in known]

    def _open(self) -> list[Case]:
        return [case for case in self._cases().values() if case.is_open]

    def _rows(self) -> dict[str, SourceRow]:
        with self.store.reading() as tx:
            return tx.sources("main", REFS)

    @invariant()
    def an_open_case_can_be_worked_and_a_closed_one_is_over(self) -> None:
        for case in self._cases().values():
            assert case.is_open == (case.closure is None) == (case.closed_at is None)
            assert case.is_open == (case.next_action is not None) == (case.due_at is not None)
            assert case.owner.id
            assert case.backup is not None
            assert case.backup.id != case.owner.id
            assert case.is_open or case.blocker is None
            assert (case.status is Status.ESCALATED) == (case.escalation is not None and case.is_open)

    @invariant()
    def each_step_is_taken_once_and_nobody_is_asked_about_what_is_over(self) -> None:
        for case in self._cases().values():
            with self.store.reading() as tx:
                told = [one.fact.escalation for one in tx.history(case.id) if isinstance(one.fact, Escalated)]
            keys = [(one.trigger, one.begun_at) for one in case.escalations]
            assert len(set(keys)) == len(keys)
            assert case.is_open or not any(one.is_open for one in case.escalations)
            for key in keys:
                levels = [one.level for one in told if (one.trigger, one.begun_at) == key]
                assert levels == sorted(levels)
            for one in case.escalations:
                assert one.trigger not in CLINICAL or LINE.rules.owners.is_licensed(one.to.id)
                assert one.trigger not in CLINICAL or one.acknowledged_by in (None, "cleo")

    @invariant()
    def a_case_is_the_fold_of_its_history(self) -> None:
        for case in self._cases().values():
            with self.store.reading() as tx:
                history = tx.history(case.id)
            folded = None
            for change in history:
                folded = fold(folded, change)
            assert folded == case
            assert [change.seq for change in history] == list(range(1, len(history) + 1))

    @invariant()
    def each_piece_of_work_has_one_case_of_one_patient(self) -> None:
        people = self._people()
        groups: dict[str, list[SourceRow]] = defaultdict(list)
        for row in self._rows().values():
            groups[row.root].append(row)
        alive = [case for case in self._cases().values() if case.merged_into is None]
        by_root = {case.root: case for case in alive}
        assert len(by_root) == len(alive)
        assert set(by_root) == {root for root, rows in groups.items() if any(row.opened for row in rows)}
        for root, rows in groups.items():
            named = [row.snapshot.patient.ref for row in rows if row.snapshot.patient is not None]
            assert len({heir(ref, people) for ref in named if ref is not None}) <= 1
            if root in by_root:
                assert {line.ref for line in by_root[root].sources} == {row.ref for row in rows}
                told = {(line.ref, line.version, line.gone) for line in by_root[root].sources}
                assert told == {(row.ref, row.snapshot.version, row.gone_at is not None) for row in rows}

    @invariant()
    def an_open_case_is_the_patients_who_is_known_now(self) -> None:
        people, rows = self._people(), self._rows()
        for case in self._open():
            assert case.patient_ref is None or case.patient_ref == heir(case.patient_ref, people)
            named = [rows[line.ref].snapshot.patient for line in case.sources]
            refs = {heir(party.ref, people) for party in named if party is not None and party.ref is not None}
            assert refs == {case.patient_ref} - {None}
            who = people.get(case.patient_ref or "")
            if who is not None and who.deceased:
                assert case.next_action is not None
                assert case.next_action.code not in CONTACTS_PATIENT

    @invariant()
    def what_people_did_is_never_lost(self) -> None:
        cases = self._cases()
        for case_id, case in cases.items():
            holders = [case, cases[case.merged_into]] if case.merged_into is not None else [case]
            for holder in holders:
                assert self.attempts[case_id] <= {attempt.id for attempt in holder.outreach}
                assert self.notes[case_id] <= {note.text for note in holder.notes}
                assert len({attempt.id for attempt in holder.outreach}) == len(holder.outreach)

    @invariant()
    def the_newest_version_delivered_is_the_one_shown(self) -> None:
        newest = {one.ref: one.version for one in self._delivered()}
        assert {ref: row.snapshot.version for ref, row in self._rows().items()} == newest


Coordination.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestCoordination = Coordination.TestCase
