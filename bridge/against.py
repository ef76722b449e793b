"""What a change of the configuration would do to the cases that are open now; nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from bridge.cases.changes import Cause, CauseKind
from bridge.cases.model import Case
from bridge.cases.reconcile import LANE_OFF, revisit
from bridge.store.port import Store
from bridge.store.queries import CaseFilter
from bridge.sync.known import load_roots
from bridge.sync.line import Line

AT_ONCE = 100


@dataclass(frozen=True)
class Altered:
    """A case that would be otherwise: what, each as it is and as it would be."""

    case: Case
    differences: tuple[tuple[str, str, str], ...]

    def as_dict(self) -> dict[str, object]:
        """Return it as plain values."""
        told = [{"what": what, "now": now, "then": then} for what, now, then in self.differences]
        return {"case": self.case.id, "root": self.case.root, "lane": self.case.lane, "differences": told}


def altered(store: Store, line: Line, now: datetime, zone: tzinfo) -> Iterator[Altered]:
    """Derive every open case of a connection again by *line*'s rules, and give those that would be otherwise."""
    for cases in _open_cases(store, line.name):
        with store.reading() as tx:
            known = load_roots(tx, line.name, {case.root for case in cases})
        refs = [row.ref for row in known.sources.values()]
        outcome = revisit(refs, known, line.rules, Cause(CauseKind.RULE, "configuration"), now)
        after = {case.id: case for before, case in outcome.pairs if before is not None}
        for case in cases:
            if case.lane not in line.rules.lanes and LANE_OFF in after.get(case.id, case).oddities:
                yield Altered(case, (("lane", case.lane, "switched off: the case stays as it is"),))
            elif case.id in after and (found := tuple(_differences(case, after[case.id], zone))):
                yield Altered(case, found)


def _open_cases(store: Store, connection: str) -> Iterator[Sequence[Case]]:
    cursor: str | None = None
    while True:
        with store.reading() as tx:
            page = tx.list_cases(CaseFilter(connection=connection, is_open=True), limit=AT_ONCE, cursor=cursor)
        if page.cases:
            yield page.cases
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _differences(before: Case, after: Case, zone: tzinfo) -> Iterator[tuple[str, str, str]]:
    for what, words in _SHOWN.items():
        now, then = words(before, zone), words(after, zone)
        if now != then:
            yield what, now, then


_SHOWN: dict[str, Callable[[Case, tzinfo], str]] = {
    "lane": lambda case, _: case.lane,
    "status": lambda case, _: case.status.value,
    "owner": lambda case, _: case.owner.display,
    "backup": lambda case, _: case.backup.display if case.backup else "nobody",
    "next": lambda case, _: case.next_action.text if case.next_action else "nothing",
    "due": lambda case, zone: f"{case.due_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if case.due_at else "never",
    "blocker": lambda case, _: case.blocker.category.value if case.blocker else "none",
    "escalated to": lambda case, _: case.escalation.to.display if case.escalation else "nobody",
}
