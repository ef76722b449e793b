"""
What must hold, told from the EHR's resources and from what Bridge shows, by rules of its own.

O1 to O10 are the invariants of the fault tests: no loss, no duplicate case, no duplicate effect, monotone, cursor
safety, accounted for, bounded, local truth survives, a sound database, never the wrong patient.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bridge.cases.changes import fold
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.model import Case
from bridge.cases.sources import SourceRow
from bridge.store.rows import Cursor, InboxRow, InboxState, OutboxRow
from conformance.simulator.store import Version

from .clinic import REFS, is_nonsense, is_ours
from .drawn import LAGGING
from .registry import deleted, heir, linked, unspoken
from .truth import Json, patient_of, reference

if TYPE_CHECKING:
    from .world import World

OVER = {
    "ServiceRequest": {"completed", "revoked", "entered-in-error"},
    "MedicationRequest": {"completed", "stopped", "cancelled", "entered-in-error"},
    "Appointment": {"fulfilled", "entered-in-error"},
    "Task": {"completed", "rejected", "cancelled", "failed", "entered-in-error"},
}
WORK = {
    "ServiceRequest": {"active", "on-hold"},
    "MedicationRequest": {"draft", "on-hold"},
    "Appointment": {"proposed", "pending", "booked", "arrived", "noshow"},
    "Task": {"requested", "received", "accepted", "ready", "in-progress", "on-hold"},
}
ORDERED = {"ServiceRequest": WORK["ServiceRequest"]}
"""What is open for as long as it stands alone; of the others, time and supply may say otherwise."""
ENDED = OVER["Task"]
WITHDRAWN = {"revoked", "cancelled", "stopped"}
FIRM = {"booked", "arrived"}
MOST_REQUESTS = 400
"""More than this in one round over a dozen resources is a loop (O7)."""


class Seen:
    """Everything as it stands: the EHR's side by reading the simulator's store, Bridge's by its own store."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heads = {head.reference: head for head in world.ehr.ehr.store.heads()}
        content = {ref: head.resource() for ref, head in self.heads.items()}
        self.work: dict[str, Json] = {
            ref: one for ref, one in content.items() if one["resourceType"] in REFS and not is_ours(one)
        }
        self.ours = {ref: one for ref, one in content.items() if is_ours(one)}
        with world.store.reading() as tx:
            self.inbox: list[InboxRow] = tx.inbox(connection="main", limit=100_000)
            refs = {row.ref for row in self.inbox}
            self.rows: dict[str, SourceRow] = tx.sources("main", refs)
            self.outbox: list[OutboxRow] = tx.outbox(limit=100_000)
            self.totals = tx.totals("main")
        self.unversioned = world.drawn.has("no-versions")
        self.surface = world.ehr.options.surface
        self.cases: dict[str, Case] = {case.id: case for case in world.cases()}
        self.alive = [case for case in self.cases.values() if case.merged_into is None]

    def is_in_scope(self, ref: str) -> bool:
        """
        Whether the EHR lets Bridge find the resource, and its changes: what open cases rest on always is.

        One that dates no updates tells nobody when what could not be read was mended.

        What was deleted and is there again has to be found as something new has: nobody asks for it by name any more.
        """
        type_ = ref.partition("/")[0]
        if any(case.is_open and any(line.ref == ref and not line.gone for line in case.sources) for case in self.alive):
            return True
        options = self.world.ehr.options
        here = self.surface.types.get(type_) if self.surface is not None else None
        if self.surface is not None and (here is None or "search-type" not in here.interactions):
            return False
        needs = here.needs if here is not None else ()
        if needs and all(way == {"_id"} for way in needs):
            return False
        keyed = bool(needs) or self.world.drawn.has("no-scans")
        if keyed and patient_of(self.work[ref]) is None:
            return False
        if ref in self.rows and self.rows[ref].snapshot.version == str(self.heads[ref].number):
            return True
        known = ref in self.rows or any(row.ref == ref and row.state is InboxState.PARKED for row in self.inbox)
        if not known:
            return True
        if options.silent_updates is not None:
            return False
        undated = not options.searches_last_updated(type_) and not keyed
        return not undated or self.work[ref]["status"] in WORK[type_]

    def is_cut_short(self, type_: str) -> bool:
        """Whether a restored Bridge tells people that it could not look through all of a type."""
        with self.world.store.reading() as tx:
            restored = tx.restored(self.world.line.name)
        return restored is not None and any(one.startswith(type_) for one in restored.problems)

    def case_of(self, ref: str) -> list[Case]:
        """Return the unmerged cases that rest on *ref*."""
        return [case for case in self.alive if any(line.ref == ref for line in case.sources)]


# After every step -----------------------------------------------------------------------------------------


def always(world: World) -> list[str]:
    """Return what does not hold, of what must hold at every moment."""
    seen = Seen(world)
    once = () if world.drawn.blind else _once(seen)
    passing = world.found + (world.door.found if world.door is not None else [])
    return [*passing, *_accounted(seen), *_one_case(seen), *once, *_monotone(seen), *_cursors(seen)]


def at_rest(world: World) -> list[str]:
    """Return what stands more than once in the end."""
    return list(_once(Seen(world)))


def _accounted(seen: Seen) -> Iterator[str]:
    total: Counter[str] = Counter()
    for stream, counts in seen.totals.items():
        parts = counts.applied + counts.duplicate + counts.ignored + counts.parked
        if counts.received != parts:
            yield f"O6: {stream}: received {counts.received}, but {parts} accounted for"
        total.update(applied=counts.applied, ignored=counts.ignored, parked=counts.parked)
    kept = Counter(row.state.value for row in seen.inbox)
    if +total != +kept:
        yield f"O6: totals say {dict(total)}, the inbox holds {dict(kept)}"


def _one_case(seen: Seen) -> Iterator[str]:
    for root, count in Counter(case.root for case in seen.alive).items():
        if count > 1:
            yield f"O2: {count} cases of {root}"
    for ref, count in Counter(line.ref for case in seen.alive for line in case.sources).items():
        if count > 1:
            yield f"O2: {ref} is in {count} cases"


def _once(seen: Seen) -> Iterator[str]:
    """Whatever was created with an identifier of ours was created once, unless the clinic deleted it."""
    made: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for ref, one in seen.ours.items():
        for identifier in one["identifier"]:
            if identifier.get("system") in ("urn:bridge:case", "urn:bridge:message"):
                made[one["resourceType"], identifier["system"], identifier["value"]].add(ref)
    for key, refs in made.items():
        if len(refs) > 1:
            yield f"O3: {key} stands {len(refs)} times: {sorted(refs)}"


def _monotone(seen: Seen) -> Iterator[str]:
    shown = seen.world.local.here.shown
    if seen.unversioned:
        return
    for ref, row in seen.rows.items():
        number = int(row.snapshot.version)
        if number < shown.get(ref, 0):
            yield f"O4: {ref} went back from version {shown[ref]} to {number}"
        shown[ref] = number


def _cursors(seen: Seen) -> Iterator[str]:
    """Nothing visible before a watermark is missing; a server that shows things late promises no such thing."""
    if seen.unversioned or seen.world.drawn.has(*LAGGING, "equal-timestamps", "still-timestamps"):
        return
    kept = {(row.ref, row.version) for row in seen.inbox}
    with seen.world.store.reading() as tx:
        streams = {cursor.stream: cursor for cursor in tx.cursors("main")}
    for ref, resource in seen.work.items():
        head = seen.heads[ref]
        cursor = streams.get(head.type)
        if (
            not seen.is_in_scope(ref)
            or cursor is None
            or cursor.watermark is None
            or not _is_found(seen, resource, head, cursor)
        ):
            continue
        if head.at <= cursor.watermark and (ref, str(head.number)) not in kept:
            yield f"O5: {head.versioned} of {head.at} is not stored, but the watermark says {cursor.watermark}"


def _is_found(seen: Seen, resource: Json, head: Version, cursor: Cursor) -> bool:
    """
    Whether a poll finds it.

    One that asks by patient, practitioner or place leaves to the sweep what names none, and of more than the EHR gives
    reads what is open; one that asks by the date of the order leaves what was changed later.
    """
    if cursor.rung == "date" and head.number > 1:
        return False
    by, _, kind = (cursor.rung or "").partition("-")
    if by == "by" and seen.world.drawn.has("truncate") and resource.get("status") not in WORK[head.type]:
        return False
    named = [reference(one.get("actor")) for one in resource.get("participant", ())]
    return by != "by" or any((one or "").startswith(f"{kind.title()}/") for one in (*named, patient_of(resource)))


# At rest --------------------------------------------------------------------------------------------------


def after_rest(world: World) -> list[str]:
    """Return what does not hold, of what must hold once all faults are over and everything was done."""
    seen = Seen(world)
    checks = (
        _nothing_lost,
        _cases_are_right,
        _nobody_calls_the_dead,
        _folds,
        _local_truth,
        _attempts_known,
        _told_once,
        _written_truth,
        _right_patient,
        _subscribed,
        _sound,
    )
    return [words for check in checks for words in check(seen)]


def _nothing_lost(seen: Seen) -> Iterator[str]:
    kept = {(row.ref, row.version): row for row in seen.inbox}
    for ref, one in seen.work.items():
        head = seen.heads[ref]
        if not seen.is_in_scope(ref):
            continue
        if seen.unversioned:
            yield from _known_as(seen, ref, one)
            continue
        row = kept.get((ref, str(head.number)))
        if row is None:
            yield f"O1: {head.versioned} never came"
        elif is_nonsense(one) != (row.state is InboxState.PARKED):
            yield f"O1: {head.versioned} ({one['status']}) is {row.state} in the inbox"
        elif not is_nonsense(one) and ref not in seen.rows:
            yield f"O1: {head.versioned} is not known"
        elif not is_nonsense(one) and seen.rows[ref].snapshot.version != str(head.number):
            yield f"O1: {ref} is known at {seen.rows[ref].snapshot.version}, the EHR is at {head.number}"
        elif not is_nonsense(one) and seen.rows[ref].snapshot.status != one["status"]:
            yield f"O1: {ref} is known as {seen.rows[ref].snapshot.status}, the EHR says {one['status']}"


def _known_as(seen: Seen, ref: str, one: Json) -> Iterator[str]:
    """Where resources have no version, what they say has to do."""
    known = seen.rows.get(ref)
    if not is_nonsense(one) and (known is None or known.snapshot.status != one["status"]):
        said = known.snapshot.status if known is not None else "nothing"
        yield f"O1: {ref} is known as {said}, the EHR says {one['status']}"


def _has_visit_to_call_off(seen: Seen, case: Case) -> bool:
    """Whether the request was withdrawn, and a visit for it is still to come: the patient would come for nothing."""
    if seen.work.get(case.root, {}).get("status") not in WITHDRAWN:
        return False
    visits = [
        seen.work[line.ref] for line in case.sources if line.ref.startswith("Appointment/") and line.ref in seen.work
    ]
    now = seen.world.now()
    return any(one["status"] in FIRM and datetime.fromisoformat(one["start"]) > now for one in visits)


def _cases_are_right(seen: Seen) -> Iterator[str]:
    for ref, one in seen.work.items():
        is_work = one["status"] in WORK[one["resourceType"]] and not is_nonsense(one)
        if is_work and seen.is_in_scope(ref) and patient_of(one) is not None and not seen.case_of(ref):
            yield f"O1: {ref} is work ({one['status']}), and no case rests on it"
    for case in seen.alive:
        for line in case.sources:
            head = seen.heads.get(line.ref)
            if case.is_open and head is None and not line.gone:
                yield f"O1: {case.root} is open and rests on {line.ref}, which is deleted"
            if head is not None and case.is_open and line.gone and seen.is_in_scope(line.ref):
                yield f"O1: {case.root} believes that {line.ref} is gone"
        if case.id in seen.world.local.here.decided:
            continue
        root = seen.work.get(case.root)
        if root is not None and not seen.is_in_scope(case.root):
            continue
        if root is not None and is_nonsense(root):
            continue
        if _has_visit_to_call_off(seen, case):
            continue
        ends = case.root not in seen.work and case.root in seen.rows
        if (ends or (root is not None and root["status"] in OVER[root["resourceType"]])) and case.is_open:
            yield f"O1: {case.root} is over, its case is {case.status}"
        lonely = {line.ref for line in case.sources} == {case.root}
        if lonely and root is not None and root["status"] in ORDERED.get(root["resourceType"], ()) and not case.is_open:
            yield f"O1: {case.root} is {root['status']}, its case is closed"


def _nobody_calls_the_dead(seen: Seen) -> Iterator[str]:
    """Nobody turns to a patient of whom the EHR says that they died."""
    for case in seen.alive:
        record = seen.world.ehr.get(case.patient_ref) if case.patient_ref is not None else None
        next_action = case.next_action
        if record is None or not record.get("deceasedBoolean") or not case.is_open or next_action is None:
            continue
        if next_action.code.value in ("call-patient", "confirm-appointment", "send-instruction", "schedule"):
            yield f"O10: {case.root} asks for {next_action.code} of {case.patient_ref}, who died"


def _folds(seen: Seen) -> Iterator[str]:
    for case in seen.cases.values():
        with seen.world.store.reading() as tx:
            history = tx.history(case.id)
        folded = None
        for change in history:
            folded = fold(folded, change)
        if folded != case:
            yield f"O4: {case.root} is not what its history says"
        if [change.seq for change in history] != list(range(1, len(history) + 1)):
            yield f"O4: the history of {case.root} has gaps"


def _local_truth(seen: Seen) -> Iterator[str]:
    for case_id, names in seen.world.local.here.notes.items():
        for holder in _holders(seen, case_id):
            if names - {note.text for note in holder.notes}:
                yield f"O8: {holder.root} lost notes"
    for case_id, names in seen.world.local.here.attempts.items():
        for holder in _holders(seen, case_id):
            if names - {attempt.id for attempt in holder.outreach}:
                yield f"O8: {holder.root} lost attempts to reach the patient"
            if len({attempt.id for attempt in holder.outreach}) != len(holder.outreach):
                yield f"O8: {holder.root} has an attempt twice"


def _attempts_known(seen: Seen) -> Iterator[str]:
    """
    An attempt that stands on the EHR is on a case, also where it was entered after the backup of a lost database.

    On which one is not asked: it moves with work that is merged and split again, and what stands on the EHR stays.
    Not asked for where Bridge is promised nothing: it cannot search there for what it wrote, or the EHR shows things
    later than it is waited for, or gives less than there is, which `bridge doctor` says.
    """
    if not seen.world.drawn.writable or seen.world.drawn.has(*LAGGING) or seen.is_cut_short("Communication"):
        return
    by_root, known = {case.root: case for case in seen.alive}, _attempts(seen)
    for ref, one in seen.ours.items():
        name = str(one["identifier"][0]["value"])
        if (
            one["resourceType"] != "Communication"
            or one["status"] == "entered-in-error"
            or not name.startswith("outreach/")
        ):
            continue
        case = by_root.get(reference(one["basedOn"][0]) or "")
        if case is None or case.patient_ref != reference(one["subject"]):
            continue
        if name.partition("/")[2] not in known:
            yield f"O8: {case.root} does not know of the attempt that {ref} records"


def _attempts(seen: Seen) -> set[str]:
    return {attempt.id for case in seen.alive for attempt in case.outreach}


def _told_once(seen: Seen) -> Iterator[str]:
    """Nobody is told again what they were told by a database that was lost; asked for as attempts are."""
    if seen.world.drawn.writable and not seen.world.drawn.has(*LAGGING):
        yield from seen.world.told.twice(seen.world)


def _holders(seen: Seen, case_id: str) -> list[Case]:
    case = seen.cases[case_id]
    return [case] if case.merged_into is None else [case, seen.cases[case.merged_into]]


# What stands on the EHR -----------------------------------------------------------------------------------

_EXPLAINED: dict[str, Callable[[Seen, Case], bool]] = {
    "root-missing": lambda seen, case: _named_patient(seen, case.root) is None,
    "no-patient": lambda seen, case: case.patient is None,
    "ended-in-ehr": lambda seen, case: bool(seen.world.clinic.touched_ours),
    "root-unreadable": lambda seen, case: any(is_nonsense(one) for one in seen.work.values()),
    "patient-mismatch": lambda seen, case: True,
}
"""Why something may have been given up for good, each with what the EHR must look like then."""


def _named_patient(seen: Seen, ref: str) -> str | None:
    return patient_of(seen.work[ref]) if ref in seen.work else None


def _written_truth(seen: Seen) -> Iterator[str]:
    last: dict[str, OutboxRow] = {}
    for row in seen.outbox:
        if row.intent.kind is IntentKind.COORDINATION_TASK:
            last[row.intent.case_id] = row
        if row.state in (IntentState.PARKED, IntentState.NOT_WRITABLE):
            why = _EXPLAINED.get(row.code or "")
            if not seen.world.drawn.writable:
                continue
            if why is None or not why(seen, seen.cases[row.intent.case_id]):
                yield f"O6: {row.intent.key} ended {row.state} with {row.code}: {row.reason}"
    for case_id, row in last.items():
        if row.state is IntentState.CONFIRMED:
            yield from _task_says(seen, seen.cases[case_id], row)
    yield from _attempts_written(seen)


def _task_says(seen: Seen, case: Case, row: OutboxRow) -> Iterator[str]:
    if case.merged_into is not None:
        return
    task = seen.ours.get(row.written or "")
    if task is None:
        if case.is_open:
            yield f"O1: the Task of {case.root} ({row.written}) is not on the EHR"
        return
    if row.written in seen.world.clinic.touched_ours:
        return
    if task["status"] == "entered-in-error" and not case.is_open:
        return
    said = task.get("businessStatus", {}).get("coding", [])
    shown = [one["code"] for one in said if one["system"] == "urn:bridge:case-status"]
    if shown != [case.status.value]:
        yield f"O1: the Task of {case.root} says {shown}, the case is {case.status}"
    if (task["status"] in ENDED) == case.is_open:
        yield f"O1: the Task of {case.root} is {task['status']}, the case is {case.status}"


def _attempts_written(seen: Seen) -> Iterator[str]:
    told = Counter(
        identifier["value"]
        for one in seen.ours.values()
        if one["resourceType"] == "Communication"
        for identifier in one["identifier"]
        if identifier.get("system") == "urn:bridge:message"
    )
    for row in seen.outbox:
        key = row.intent.key
        if row.intent.kind is IntentKind.OUTREACH_RECORD:
            wanted = 1 if row.state is IntentState.CONFIRMED else 0
            if told[key] != wanted and (wanted or told[key] > 1):
                yield f"O3: {key} is {row.state} and stands {told[key]} times on the EHR"


def _right_patient(seen: Seen) -> Iterator[str]:
    """What stands on the EHR in our name, and that Bridge could find, stands in the record of whom it is about."""
    by_id = {case.id: case for case in seen.cases.values()}
    written = {row.written for row in seen.outbox}
    for ref, one in seen.ours.items():
        if one["status"] == "entered-in-error" or ref in seen.world.clinic.touched_ours:
            continue
        if ref not in written and seen.is_cut_short(one["resourceType"]):
            continue
        for case in _cases_of(seen, one, by_id):
            root = seen.work.get(case.root)
            shown = root is not None and not is_nonsense(root) and seen.is_in_scope(case.root)
            right = patient_of(root) if root is not None and shown else None
            if right is None or _unfinished(seen, case):
                continue
            # What is over stays where it was written when records are linked, or deleted, later.
            ehr = seen.world.ehr
            goes_on = case.is_open and one["resourceType"] == "Task" and one["status"] not in ENDED
            meant = (
                {heir(ehr, right)}
                if goes_on and not deleted(ehr)
                else linked(ehr, right) | unspoken(ehr, seen.heads[ref].at)
            )
            named = reference(one.get("for") or one.get("subject"))
            if named not in meant:
                yield f"O10: {ref} is in the record of {named}, but {case.root} is about {right}"


def _cases_of(seen: Seen, ours: Json, by_id: dict[str, Case]) -> Iterator[Case]:
    values = {one["value"] for one in ours["identifier"]}
    keys = {row.intent.key: row.intent.case_id for row in seen.outbox}
    is_message = ours["resourceType"] == "Communication"
    forgotten = reference(ours["basedOn"][0]) if is_message and values.isdisjoint(keys) else None
    for value in values:
        for case_id, case in by_id.items():
            if case.merged_into is None and (
                value == case_id
                or value.startswith(f"{case_id}-")
                or keys.get(value) == case_id
                or forgotten == case.root
            ):
                yield case


def _unfinished(seen: Seen, case: Case) -> bool:
    """Whether somebody was told that what stands on the EHR could not be put right."""
    return any(
        row.intent.case_id == case.id and row.state in (IntentState.PARKED, IntentState.NOT_WRITABLE)
        for row in seen.outbox
    )


def _subscribed(seen: Seen) -> Iterator[str]:
    """Where Bridge is to have notifications, it has each once, and knows which those are."""
    if seen.world.door is None:
        return
    there = [one for one in seen.world.ehr.all("Subscription") if "/hooks/main/" in str(one)]
    for about, count in Counter(str(one.get("criteria")) + one["channel"]["endpoint"] for one in there).items():
        if count > 1:
            yield f"O3: {count} Subscriptions of {about}"
    with seen.world.store.reading() as tx:
        known = {row.ref for row in tx.subscribed("main")}
    if known != (stand := {f"Subscription/{one['id']}" for one in there}):
        yield f"O1: Bridge counts on {sorted(map(str, known))}, and there are {sorted(stand)}"
    if not there:
        yield "O1: notifications are wanted, and there is no Subscription"


def _sound(seen: Seen) -> Iterator[str]:
    yield from seen.world.integrity()


# Again ----------------------------------------------------------------------------------------------------


def twice(world: World, again: Callable[[World], object]) -> list[str]:
    """Read everything anew from the beginning: nothing may change, and nothing may be written (O5, O3, O7)."""
    before = _all_said(Seen(world))
    requests = world.ehr.requests
    with world.store.transaction() as tx:
        for cursor in tx.cursors("main"):
            tx.save_cursor(replace(cursor, watermark=None))
    again(world)
    after = _all_said(Seen(world))
    found = [f"O5: reading everything again changed {name}" for name in before if before[name] != after[name]]
    options = world.ehr.options
    if options.silent_updates is not None or not all(map(options.searches_last_updated, REFS)):
        found = []  # What no date tells of, only reading everything again does.
    if world.ehr.requests - requests > MOST_REQUESTS:
        found.append(f"O7: {world.ehr.requests - requests} requests in one round")
    return found


def _all_said(seen: Seen) -> dict[str, object]:
    return {
        "cases": seen.cases,
        "the outbox": [(row.id, row.state) for row in seen.outbox],
        "the EHR": sorted(_versioned(head) for head in seen.heads.values() if head.type != "Subscription"),
    }


def _versioned(head: Version) -> str:
    return head.versioned
