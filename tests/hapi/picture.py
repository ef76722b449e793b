"""
What a server and a workplace hold after Bridge has done its round, and what they should hold, told independently.

Nothing of Bridge decides here what is one piece of work or whether it is over: that is read from the resources
themselves, by the words of FHIR and of the shipped lanes file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridge.cases.changes import CaseMerged, CaseOpened, Change, LaneChanged, StatusChanged
from bridge.cases.intents import IntentState
from bridge.cases.model import Case
from bridge.cases.terms import Status
from bridge.store.rows import InboxRow, OutboxRow
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM

from .line import WORK, Ehr, Workplace, ours_among, versions_of, work_among
from .plain import Json

IS_WORK = {
    "ServiceRequest": {"active", "on-hold", "unknown"},
    "MedicationRequest": {"draft", "on-hold", "unknown"},
    "Appointment": {"proposed", "pending", "booked", "waitlist", "arrived", "checked-in", "noshow", "cancelled"},
    "Task": {"requested", "received", "accepted", "ready", "in-progress", "on-hold"},
}
"""Statuses in which a resource is work by itself; a prescription in force is none until it runs out."""
IS_OVER = {
    "ServiceRequest": {"completed", "revoked", "entered-in-error"},
    "MedicationRequest": {"completed", "stopped", "cancelled", "entered-in-error"},
    "Appointment": {"fulfilled", "entered-in-error"},
    "Task": {"completed", "rejected", "cancelled", "failed", "entered-in-error"},
}
"""Statuses in which the request that a case is about ends it."""
FINAL = {"completed", "rejected", "cancelled", "failed", "entered-in-error"}


@dataclass(frozen=True)
class Picture:
    """
    Everything as it was after a round, and after another one that had nothing to do.

    Attributes:
        report: What ``sync --once`` printed; ``repeat`` is that of the second one.
        proof: What ``reconcile`` printed after both.
        rewritten: What has another version after the second round.
        known: Every resource of the clinic ever seen, as it was last seen; ``present`` are those still there.
        ever_work: Those that were work at some time.
        cases: By root; ``merged`` are those that went into others, ``histories`` those of both by case id.
        tell: For each lane the statuses that are told to the requester.
        faults: What the server's validator said of anything that Bridge wrote.
    """

    report: Json
    repeat: Json
    proof: Json
    rewritten: Mapping[str, str]
    known: Mapping[str, Json]
    present: frozenset[str]
    ever_work: frozenset[str]
    tasks: Mapping[str, Json]
    messages: Mapping[str, Json]
    cases: Mapping[str, Case]
    merged: Mapping[str, Case]
    histories: Mapping[str, list[Change]]
    tell: Mapping[str, frozenset[str]]
    inbox: list[InboxRow]
    outbox: list[OutboxRow]
    faults: list[str]

    def groups(self) -> dict[str, set[str]]:
        """Return the resources that belong together, by the root of each group."""
        found: dict[str, set[str]] = {}
        for ref in self.known:
            found.setdefault(root_of(ref, self.known), set()).add(ref)
        return found

    def work(self) -> dict[str, set[str]]:
        """Return the groups that are work: one of them is or was something to do."""
        return {root: refs for root, refs in self.groups().items() if refs & self.ever_work}

    def was_open(self, case: Case) -> bool:
        """Whether Bridge ever saw this case open."""
        facts = [change.fact for change in self.histories[case.id]]
        opened = any(fact.case.is_open for fact in facts if isinstance(fact, CaseOpened))
        return opened or any(fact.status is not Status.CLOSED for fact in facts if isinstance(fact, StatusChanged))

    def stayed_itself(self, case: Case) -> bool:
        """Whether the case is in the lane in which it was opened, and never was part of another case."""
        facts = [change.fact for change in self.histories[case.id]]
        return not any(isinstance(fact, LaneChanged | CaseMerged) for fact in facts)

    def outbox_in(self, *states: IntentState) -> list[str]:
        """Return what is in these states in the outbox, in words."""
        return [f"{row.intent.key}: {row.code} {row.reason}" for row in self.outbox if row.state in states]


def take(workplace: Workplace, ehr: Ehr, before: Picture | None = None) -> Picture:
    """Do a round, look at everything, and do another one."""
    report = workplace.sync()
    standing = ehr.everything()
    cases, everything = workplace.cases(), workplace.cases(merged=True)
    with workplace.bridge() as bridge:
        (line,) = bridge.lines.values()
        tell = {lane.name: frozenset(lane.tell) for lane in line.rules.lanes.all}
    repeat = workplace.sync()
    (proof,) = workplace.run("reconcile", "--json").json()
    versions, afterwards = versions_of(standing), ehr.versions()
    work, tasks, messages = (
        work_among(standing),
        ours_among(standing, CASE_SYSTEM),
        ours_among(standing, MESSAGE_SYSTEM),
    )
    seen = {} if before is None else {**before.tasks, **before.messages}
    return Picture(
        report=report,
        repeat=repeat,
        proof=proof,
        rewritten={ref: version for ref, version in afterwards.items() if versions.get(ref) != version},
        known={**(before.known if before is not None else {}), **work},
        present=frozenset(work),
        ever_work=(before.ever_work if before is not None else frozenset())
        | {ref for ref, resource in work.items() if is_work(resource)},
        tasks=tasks,
        messages=messages,
        cases=cases,
        merged={root: case for root, case in everything.items() if root not in cases},
        histories=workplace.histories(everything.values()),
        tell=tell,
        inbox=workplace.inbox(),
        outbox=workplace.outbox(),
        faults=ehr.faults(one for value, one in [*tasks.items(), *messages.items()] if seen.get(value) != one),
    )


def is_work(resource: Json) -> bool:
    """Whether somebody has something to do because of this resource alone."""
    if resource.get("doNotPerform") or resource.get("intent") in ("proposal", "plan"):
        return False
    return resource["status"] in IS_WORK[resource["resourceType"]]


def parent_of(resource: Json) -> str | None:
    """Return what a resource belongs to: a Task's focus, else basedOn, else partOf; an Appointment's basedOn."""
    return next((ref for ref in _named(resource) if ref.partition("/")[0] in WORK), None)


def _named(resource: Json) -> Iterator[str]:
    elements = {"Task": ("focus", "basedOn", "partOf"), "Appointment": ("basedOn",)}
    for element in elements.get(resource["resourceType"], ()):
        value = resource.get(element, [])
        for reference in value if isinstance(value, list) else [value]:
            if "reference" in reference:
                yield reference["reference"]


def root_of(ref: str, known: Mapping[str, Json]) -> str:
    """Follow the links up to what belongs to nothing, or is not there."""
    while ref in known and (parent := parent_of(known[ref])) is not None:
        ref = parent
    return ref


def over(picture: Picture, root: str, refs: set[str]) -> bool | None:
    """Return whether a piece of work is over by its root's own word; ``None`` where that leaves it open."""
    resource = picture.known.get(root)
    if resource is None:
        return None
    if root not in picture.present or resource["status"] in IS_OVER[resource["resourceType"]]:
        return True
    done = any(ref.startswith("Task/") and picture.known[ref]["status"] == "completed" for ref in refs)
    return False if is_work(resource) and not done else None
