"""The next case of a queue: due first, once each, and never one that somebody else has taken meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from bridge.cases import commands as do
from bridge.cases.model import Case
from bridge.cases.terms import Action
from bridge.errors import CommandRefused
from bridge.store.port import Store, Tx
from bridge.sync.claiming import claim_next
from tests.unit.web.builders import Clinic

QUEUE = "referral-coordinator"


def take(clinic: Clinic, by: str = "maria", store: Store | None = None) -> Case | None:
    return claim_next(
        store or clinic.store, clinic.lines, QUEUE, by=by, now=clinic.now, new_id=clinic.new_id(), lane="referral"
    )


def test_the_case_that_is_due_first_is_taken_then_the_next_until_none_waits() -> None:
    clinic = Clinic()
    first, second = clinic.referral(1), clinic.referral(2)
    clinic.do(first, do.SetNextAction(code=Action.CALL_PATIENT, due_at=clinic.now + timedelta(days=9)))

    taken = [take(clinic) for _ in range(3)]

    assert [case and case.id for case in taken] == [second.id, first.id, None]
    assert {case.owner.id for case in taken if case} == {"maria"}


def test_what_was_put_off_is_left_alone_until_it_comes_back() -> None:
    clinic = Clinic()
    case = clinic.referral(1)
    clinic.do(case, do.Snooze(until=clinic.now + timedelta(days=1), reason="travels"))
    assert take(clinic) is None

    clinic.now += timedelta(days=2)

    taken = take(clinic)
    assert taken is not None
    assert taken.id == case.id


@pytest.mark.parametrize(("by", "role"), [("local user", QUEUE), ("supervisor", QUEUE), ("maria", "no-such-queue")])
def test_who_does_not_work_the_queue_is_told_so(by: str, role: str) -> None:
    clinic = Clinic()
    clinic.referral(1)

    with pytest.raises(CommandRefused, match=f"{by} does not take cases from {role}"):
        claim_next(clinic.store, clinic.lines, role, by=by, now=clinic.now, new_id="1")


@dataclass
class Busy:
    """A store in which, between a look at the queue and the taking, something happens once."""

    store: Store
    happens: list[tuple[Clinic, Case, do.AnyCommand]]

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        while self.happens:
            clinic, case, command = self.happens.pop()
            clinic.do(case, command)
        with self.store.transaction() as tx:
            yield tx

    def reading(self) -> AbstractContextManager[Tx]:
        return self.store.reading()

    def close(self) -> None:
        self.store.close()


def test_who_comes_second_gets_the_next_one() -> None:
    clinic = Clinic()
    first, second = clinic.referral(1), clinic.referral(2)
    busy = Busy(clinic.store, [(clinic, first, do.Assign(owner="supervisor"))])

    taken = take(clinic, store=busy)

    assert taken is not None
    assert taken.id == second.id
    assert clinic.case(first).owner.id == "supervisor"


def test_a_case_that_only_changed_meanwhile_is_taken_all_the_same() -> None:
    clinic = Clinic()
    case = clinic.referral(1)
    busy = Busy(clinic.store, [(clinic, case, do.Note(text="called back"))])

    taken = take(clinic, store=busy)

    assert taken is not None
    assert taken.id == case.id


def test_many_at_once_never_take_the_same_case() -> None:
    clinic = Clinic()
    for number in range(12):
        clinic.referral(number)
    taken: list[str] = []

    def work() -> None:
        while (case := take(clinic)) is not None:
            taken.append(case.id)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert len(taken) == len(set(taken)) == 12
