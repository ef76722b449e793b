"""What is known when a page is folded in, and the changes as they are written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bridge.cases import changes as facts_of
from bridge.cases.changes import Cause, CauseKind, Change, Fact, fold
from bridge.cases.model import Case
from bridge.cases.people import Person
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow


@dataclass(frozen=True)
class Known:
    """
    What the store holds about everything that a page touches.

    ``sources`` are the arrivals' own rows, their parents' and every member of each of their groups;
    ``cases`` the cases of those groups' roots, merged ones too; ``last_seq`` each case's last history entry.
    """

    sources: Mapping[str, SourceRow]
    cases: Mapping[str, Case]
    last_seq: Mapping[str, int]
    people: Mapping[str, Person]


@dataclass(frozen=True)
class Outcome:
    """
    What a page comes to.

    ``stale`` are the arrivals that were older than what is known, ``idle`` those whose group is no work.
    ``pairs`` are the cases that changed, as they were and as they are now.
    """

    sources: Sequence[SourceRow]
    pairs: Sequence[tuple[Case | None, Case]]
    changes: Sequence[Change]
    stale: frozenset[tuple[str, str]]
    idle: Mapping[str, str]
    groups: Mapping[str, Sequence[SourceRow]] = field(default_factory=dict)
    wakes: Mapping[str, datetime | None] = field(default_factory=dict)
    """When time alone will change a case next, by the id of every case that was looked at."""


class Book:
    """The changes of one page as they are written down, case by case."""

    def __init__(self, known: Known, rules: Rules, now: datetime) -> None:
        self.known, self.rules, self.now = known, rules, now
        self.changes: list[Change] = []
        self.wakes: dict[str, datetime | None] = {}
        self._cases: dict[str, Case] = dict(known.cases)
        self._versions: dict[str, int] = {}
        self._last_seq = dict(known.last_seq)

    def case(self, root: str) -> Case | None:
        """Return the root's case as it is after what was written down so far."""
        return self._cases.get(root)

    def has_case(self, root: str) -> bool:
        """Whether the root has a case that is not merged away."""
        case = self._cases.get(root)
        return case is not None and case.merged_into is None

    def write(self, root: str, cause: Cause, fact: Fact) -> Case:
        """Write one fact down and return the case after it."""
        case = subject = self._cases.get(root)
        if subject is None:
            assert isinstance(fact, facts_of.CaseOpened), "a history begins with case-opened"
            subject = fact.case
        version = self._versions.get(subject.id)
        if version is None:
            version = self._versions[subject.id] = 1 if case is None else case.version + 1
        seq = self._last_seq[subject.id] = self._last_seq.get(subject.id, 0) + 1
        change = Change(subject.id, seq, version, self.now, cause, fact)
        self.changes.append(change)
        self._cases[root] = after = fold(case, change)
        return after

    def pairs(self) -> list[tuple[Case | None, Case]]:
        """Return the cases that changed, as they were and as they are."""
        return [
            (self.known.cases.get(root), case)
            for root, case in self._cases.items()
            if case is not self.known.cases.get(root)
        ]


def cause_of(snapshot: Snapshot) -> Cause:
    """Return the cause that a version is."""
    return Cause(CauseKind.SOURCE, f"{snapshot.ref}/_history/{snapshot.version}")


def cause_for(rows: Sequence[SourceRow], causes: Mapping[str, Cause]) -> Cause:
    """Return what moved a group: the last of its members that arrived, else that it was linked anew."""
    given = [causes[row.ref] for row in rows if row.ref in causes]
    return given[-1] if given else Cause(CauseKind.RULE, "linked-anew")
