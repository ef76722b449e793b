"""
The core alone: reconcile-and-decide steps a minute on one core, no store and no network.

A step is one version of one resource folded into its case: what the case is now (status, owner, next action, due time,
blocker, who is asked to step in), the changes with their causes, and the case after them. The work is a clinic's: a
referral is ordered, taken up, booked, moved, kept or missed, and read again unchanged; between the days the clock is
looked at. Everything is drawn beforehand, in pages of 200 as they come; only ``reconcile`` and ``revisit`` are timed.

``python -m benchmarks.core [--cases N]``
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

from bridge.bootstrap import spare_what_stays
from bridge.cases.book import Known, Outcome
from bridge.cases.calendar import Calendar
from bridge.cases.changes import Cause, CauseKind
from bridge.cases.lanes import parse_lanes
from bridge.cases.model import Case
from bridge.cases.owners import LICENSED_ROLES, OwnerBook, OwnerEntry
from bridge.cases.reconcile import Arrival, reconcile, revisit
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Party, Priority, Snapshot
from bridge.cases.sources import SourceRow
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import OwnerKind

PAGE = 200
TARGET = 1_000_000
BEGIN = datetime(2026, 3, 2, 13, tzinfo=UTC)
DAY = timedelta(days=1)

STAGES: Sequence[tuple[str, str, str]] = (
    ("opened", "ServiceRequest", "active"),
    ("taken up", "Task", "accepted"),
    ("booked", "Appointment", "booked"),
    ("unchanged", "ServiceRequest", "active"),
    ("moved", "Appointment", "booked"),
    ("kept or missed", "Appointment", "fulfilled"),
    ("done", "ServiceRequest", "completed"),
)
"""What happens to each referral, a day after what was before it."""


def the_rules() -> Rules:
    """Return the shipped lanes in New York."""
    lanes = parse_lanes((resources.files("bridge.cases") / "lanes.toml").read_text("utf-8"))
    owners = [OwnerEntry(name, OwnerKind.ROLE, name, licensed=name in LICENSED_ROLES) for name in sorted(lanes.roles())]
    return Rules("main", lanes, OwnerBook(owners), Calendar(ZoneInfo("America/New_York")))


class Memory:
    """What a store would hold, and what it would give for a page."""

    def __init__(self) -> None:
        self.sources: dict[str, SourceRow] = {}
        self.by_root: dict[str, dict[str, SourceRow]] = {}
        self.cases: dict[str, Case] = {}
        self.seqs: dict[str, int] = {}
        self.wakes: dict[str, datetime] = {}
        self.roots: dict[str, str] = {}

    def known(self, roots: Sequence[str]) -> Known:
        """Return everything of these groups."""
        cases = {root: self.cases[root] for root in roots if root in self.cases}
        sources: dict[str, SourceRow] = {}
        for root in roots:
            sources.update(self.by_root.get(root, {}))
        return Known(sources, cases, {case.id: self.seqs[case.id] for case in cases.values()}, {})

    def keep(self, outcome: Outcome) -> None:
        """Keep what a page came to."""
        for row in outcome.sources:
            self.by_root.setdefault(row.root, {})[row.ref] = row
        for _, case in outcome.pairs:
            self.cases[case.root] = case
            self.roots[case.id] = case.root
        # A store keeps bytes, which nobody looks through for reference cycles with every few pages.
        gc.freeze()
        for change in outcome.changes:
            self.seqs[change.case_id] = change.seq
        for case_id, at in outcome.wakes.items():
            if at is None:
                self.wakes.pop(case_id, None)
            else:
                self.wakes[case_id] = at

    def due(self, now: datetime) -> list[str]:
        """Return the roots of the cases whose time has come."""
        return [self.roots[case_id] for case_id, at in self.wakes.items() if at <= now]


def drawn(cases: int, number: int, dice: random.Random, now: datetime) -> list[Snapshot]:
    """Return what one day brings: the same stage of every referral."""
    _, kind, status = STAGES[number]
    return [_version(kind, status, number, each, dice, now) for each in range(cases)]


def _version(kind: str, status: str, number: int, each: int, dice: random.Random, now: datetime) -> Snapshot:
    if status == "fulfilled":
        status = dice.choice(("fulfilled", "fulfilled", "noshow"))
    root = f"ServiceRequest/{each}"
    visit_at = BEGIN + 5 * DAY + timedelta(minutes=each % 480)
    return Snapshot(
        ref=f"{kind}/{each}",
        type=kind,
        version=str(number + 1),
        updated_at=now - timedelta(minutes=dice.randrange(600)),
        status=status,
        effect=EFFECTS[kind][status],
        intent="order",
        priority=Priority.URGENT if each % 5 == 0 else Priority.ROUTINE,
        patient=Party("Patient", f"Patient/{each}"),
        title="Referral to cardiology" if kind == "ServiceRequest" else kind,
        authored_at=BEGIN,
        parent=None if kind == "ServiceRequest" else root,
        start_at=visit_at if kind == "Appointment" else None,
    )


def timed(cases: int, seed: int = 1) -> Iterator[tuple[str, int, float]]:
    """Yield what was done, in how many steps, and the seconds of CPU that it took."""
    dice, rules, memory = random.Random(seed), the_rules(), Memory()
    for number, (name, _, _) in enumerate(STAGES):
        now = BEGIN + number * DAY
        spent, steps = 0.0, 0
        for some in _pages(memory.due(now)):
            known = memory.known(some)
            refs = list(known.sources)
            before = time.process_time()
            outcome = revisit(refs, known, rules, Cause(CauseKind.TIMER, "clock"), now)
            spent += time.process_time() - before
            steps += len(some)
            memory.keep(outcome)
        if steps:
            yield "clock looked at", steps, spent
        spent = 0.0
        for page in _pages(drawn(cases, number, dice, now)):
            known = memory.known([one.parent or one.ref for one in page])
            before = time.process_time()
            outcome = reconcile([Arrival(one) for one in page], known, rules, now)
            spent += time.process_time() - before
            memory.keep(outcome)
        yield name, cases, spent


def _pages(items: list[object] | list[str] | list[Snapshot]) -> Iterator[list]:  # type: ignore[type-arg]
    for start in range(0, len(items), PAGE):
        yield list(items[start : start + PAGE])


def main() -> None:
    """Print steps a minute, for each kind of step and for all."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=10_000)
    cases = options.parse_args().cases
    spare_what_stays()
    all_steps, all_spent = 0, 0.0
    for name, steps, spent in timed(cases):
        all_steps, all_spent = all_steps + steps, all_spent + spent
        print(f"{name:16} {steps:8,} steps {1e6 * spent / steps:7.1f} us each", flush=True)
    a_minute = 60 * all_steps / all_spent
    print(f"{'all':16} {all_steps:8,} steps {1e6 * all_spent / all_steps:7.1f} us each: {a_minute:,.0f} a minute")
    print(f"target {TARGET:,} a minute on one core: {'met' if a_minute >= TARGET else 'missed'}")


if __name__ == "__main__":
    main()
