"""Sources, cases and their history, people."""

from __future__ import annotations

import msgspec
import pytest

from bridge.cases.model import CasePatient, Owner
from bridge.cases.sources import Unread
from bridge.cases.terms import OwnerKind, Status
from bridge.errors import DomainError, StaleVersion
from bridge.store.port import Store

from .builders import EHR, NOW, a_case, a_change, a_person, a_source, minutes, with_cases


def test_a_source_comes_back_whole_and_the_newest_counts(store: Store) -> None:
    old = a_source("Task/1", root="ServiceRequest/1")
    new = msgspec.structs.replace(old, gone_at=minutes(1), missed_at=NOW, watch_at=minutes(2), opened=False)
    with store.transaction() as tx:
        tx.save_sources([old])
        tx.save_sources([old, new])

    with store.reading() as tx:
        assert tx.sources(EHR, ["Task/1", "Task/2"]) == {"Task/1": new}
        assert tx.sources("other", ["Task/1"]) == {}


def test_sources_of_roots_are_the_root_itself_and_what_joined_it(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_sources([a_source("ServiceRequest/1"), a_source("Task/1", "ServiceRequest/1")])
        tx.save_sources([a_source("Task/2"), a_source("Task/3", "ServiceRequest/1", connection="other")])

    with store.reading() as tx:
        found = tx.sources_of_roots(EHR, ["ServiceRequest/1", "Task/9", "ServiceRequest/1"])
        assert [row.ref for row in found] == ["ServiceRequest/1", "Task/1"]


def test_a_source_that_moves_to_another_group_leaves_the_old_one(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_sources([a_source("Task/1")])
        tx.save_sources([a_source("Task/1", "ServiceRequest/1")])

    with store.reading() as tx:
        assert tx.sources_of_roots(EHR, ["Task/1"]) == []
        assert [row.ref for row in tx.sources_of_roots(EHR, ["ServiceRequest/1"])] == ["Task/1"]


def test_sources_aside_are_found_by_the_parent_they_do_not_join(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_sources([a_source("Task/1", aside="ServiceRequest/1"), a_source("ServiceRequest/1")])
        tx.save_sources([a_source("Task/2", aside="ServiceRequest/1", connection="other")])

    with store.reading() as tx:
        assert tx.sources_aside(EHR, ["ServiceRequest/1", "Task/1"]) == [a_source("Task/1", aside="ServiceRequest/1")]
        assert tx.sources_aside(EHR, []) == []


def test_a_version_that_could_not_be_read_is_kept_with_its_source(store: Store) -> None:
    unread = Unread(ref="Task/1", version="2\0", updated_at=minutes(1))
    with store.transaction() as tx:
        tx.save_sources([a_source("Task/1", unread=unread), a_source("Task/2")])

    with store.reading() as tx:
        found = tx.sources(EHR, ["Task/1", "Task/2"])
    assert (found["Task/1"].unread, found["Task/2"].unread) == (unread, None)


def test_sources_to_watch_are_those_whose_time_has_come_earliest_first(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_sources([a_source(f"MedicationRequest/{n}", watch_at=minutes(-n)) for n in range(3)])
        tx.save_sources([a_source("MedicationRequest/9", watch_at=minutes(1)), a_source("Task/1")])

    with store.reading() as tx:
        assert [row.ref for row in tx.sources_to_watch(EHR, NOW, 10)] == [
            "MedicationRequest/2",
            "MedicationRequest/1",
            "MedicationRequest/0",
        ]
        assert len(tx.sources_to_watch(EHR, NOW, 2)) == 2


def test_sources_to_sweep_are_those_of_open_cases_by_ref(store: Store) -> None:
    closed = a_case("c3", root="Task/3", status=Status.CLOSED, closed_at=NOW)
    with_cases(store, a_case("c1", root="Task/1"), a_case("c2", root="Task/a"), closed)
    with store.transaction() as tx:
        tx.save_sources([a_source("Task/1"), a_source("Appointment/5", "Task/1"), a_source("Task/3")])
        tx.save_sources([a_source("Task/a"), a_source("Task/2", "Task/1", gone_at=NOW), a_source("Task/8")])

    with store.reading() as tx:
        everything = [row.ref for row in tx.sources_to_sweep(EHR, "", 10)]
        after = [row.ref for row in tx.sources_to_sweep(EHR, "Appointment/5", 1)]
    assert everything == ["Appointment/5", "Task/1", "Task/2", "Task/a"]
    assert after == ["Task/1"]


def test_refs_sort_by_code_point_on_every_store(store: Store) -> None:
    """A sweep that goes on after a ref must not skip any because the database sorts by language."""
    refs = ["Task/A", "Task/B", "Task/_", "Task/a", "Task/b", "Task/\xe4"]
    with_cases(store, *(a_case(ref, root=ref) for ref in refs))
    with store.transaction() as tx:
        tx.save_sources([a_source(ref) for ref in reversed(refs)])

    with store.reading() as tx:
        assert [row.ref for row in tx.sources_to_sweep(EHR, "", 10)] == refs


def test_a_case_comes_back_whole_by_root_by_id_and_by_patient(store: Store) -> None:
    case = a_case("c1", title="Umlaut \xe4 \U0001f600 \0")
    with_cases(store, case, a_case("c2", patient=None))

    with store.transaction() as tx:
        assert tx.cases_of_roots(EHR, [case.root, "Task/none"]) == {case.root: case}
        assert tx.case_for_update("c1") == case
        assert tx.cases_of_roots("other", [case.root]) == {}
    with store.reading() as tx:
        assert tx.cases_of_roots(EHR, [case.root]) == {case.root: case}
        assert tx.case("c1") == case
        assert tx.case("none") is None
        assert tx.cases_of_people(EHR, ["Patient/1", "Patient/2"]) == [case]


def test_patients_are_those_of_unmerged_cases_each_once(store: Store) -> None:
    two = CasePatient(ref="Patient/2", display=None)
    cases = [a_case("a", patient=two), a_case("b"), a_case("c", patient=two), a_case("d", patient=None)]
    with_cases(store, *cases, a_case("e", connection="other", patient=two))

    with store.reading() as tx:
        assert tx.patients(EHR) == ["Patient/1", "Patient/2"]
        assert tx.patients("nowhere") == []


def test_cases_of_people_are_those_of_their_patients_and_owners(store: Store) -> None:
    doctor = Owner(kind=OwnerKind.EHR, id="Practitioner/7", display="Dr. Oak")
    cases = [a_case("c1"), a_case("c2", owner=doctor, patient=None), a_case("c3", patient=None)]
    with_cases(store, *cases, a_case("c4", owner=doctor, connection="other"))

    with store.reading() as tx:
        assert tx.cases_of_people(EHR, ["Practitioner/7", "Patient/1", "Patient/9"]) == cases[:2]
        assert tx.cases_of_people(EHR, []) == []


def test_a_save_moves_the_case_on_by_one_version(store: Store) -> None:
    case = a_case("c1")
    with_cases(store, case)
    moved = msgspec.structs.replace(case, version=2, status=Status.SCHEDULED, patient=None)
    with store.transaction() as tx:
        tx.save_cases([moved], [a_change(moved, 2)])

    with store.reading() as tx:
        assert tx.case("c1") == moved
        assert tx.cases_of_people(EHR, ["Patient/1"]) == []


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_save_from_a_stale_case_is_refused_and_changes_nothing(store: Store, version: int) -> None:
    case = a_case("c1")
    second = msgspec.structs.replace(case, version=2)
    with_cases(store, case, a_case("c2"))
    with store.transaction() as tx:
        tx.save_cases([second], [])
    stale = msgspec.structs.replace(case, version=version, title="stale")
    other = a_case("c2", version=2)

    with pytest.raises(StaleVersion), store.transaction() as tx:
        tx.save_cases([other, stale], [a_change(stale, 2)])

    with store.reading() as tx:
        assert tx.case("c1") == second
        assert tx.case("c2") == a_case("c2")
        assert len(tx.history("c1")) == 1


def test_a_case_that_was_never_stored_cannot_move_on(store: Store) -> None:
    with pytest.raises(StaleVersion), store.transaction() as tx:
        tx.save_cases([a_case("c1", version=2)], [])


def test_one_root_has_one_case(store: Store) -> None:
    with_cases(store, a_case("c1", root="Task/1"))

    with pytest.raises(StaleVersion), store.transaction() as tx:
        tx.save_cases([a_case("c2", root="Task/1")], [])
    with_cases(store, a_case("c3", root="Task/1", connection="other"))

    with store.reading() as tx:
        assert tx.case("c2") is None


def test_a_merged_case_is_found_by_id_and_root_and_is_nobodys_work(store: Store) -> None:
    first = a_case("c1", root="Task/1")
    with_cases(store, first)
    into = a_case("c2", root="ServiceRequest/1")
    merged = msgspec.structs.replace(first, version=2, merged_into="c2")
    with store.transaction() as tx:
        tx.save_cases([merged, into], [a_change(merged, 2), a_change(into)])

    with store.reading() as tx:
        assert tx.cases_of_roots(EHR, ["Task/1", "ServiceRequest/1"]) == {
            "Task/1": merged,
            "ServiceRequest/1": into,
        }
        assert tx.cases_of_people(EHR, ["Patient/1"]) == [into]
        assert tx.case("c1") == merged
        assert tx.case_counts(EHR) == {("referral", "needs-outreach"): 1}


def test_a_case_cannot_be_merged_into_nothing(store: Store) -> None:
    with_cases(store, a_case("c1"))

    with pytest.raises(DomainError), store.transaction() as tx:
        tx.save_cases([a_case("c1", version=2, merged_into="gone")], [])


def test_history_comes_back_in_order_and_is_counted(store: Store) -> None:
    case = a_case("c1")
    changes = [a_change(case, seq) for seq in (1, 2, 3)]
    with store.transaction() as tx:
        tx.save_cases([case], changes[:2])
        tx.save_cases([], changes[2:])

    with store.reading() as tx:
        assert tx.history("c1") == changes
        assert tx.history("none") == []
        assert tx.change_counts(["c1", "none"]) == {"c1": 3, "none": 0}


def test_history_is_append_only(store: Store) -> None:
    case = a_case("c1")
    with_cases(store, case)

    with pytest.raises(DomainError), store.transaction() as tx:
        tx.save_cases([], [a_change(case, 1)])

    with store.reading() as tx:
        assert tx.history("c1") == [a_change(case)]


def test_a_change_of_an_unknown_case_is_refused(store: Store) -> None:
    with pytest.raises(DomainError), store.transaction() as tx:
        tx.save_cases([], [a_change(a_case("c1"))])


def test_a_batch_of_cases_larger_than_any_parameter_limit(store: Store) -> None:
    cases = [a_case(f"c{n}") for n in range(3_000)]
    with_cases(store, *cases)

    with store.transaction() as tx:
        found = tx.cases_of_roots(EHR, [case.root for case in cases])
        moved = [msgspec.structs.replace(case, version=2) for case in found.values()]
        tx.save_cases(moved, [a_change(case, 2) for case in moved])

    with store.reading() as tx:
        assert set(tx.change_counts([case.id for case in cases]).values()) == {2}


def test_cases_are_counted_by_lane_and_status(store: Store) -> None:
    with_cases(store, a_case("c1"), a_case("c2"), a_case("c3", lane="medication-refill"))
    with_cases(store, a_case("c4", connection="other", status=Status.NEW))

    with store.reading() as tx:
        here = {("referral", "needs-outreach"): 2, ("medication-refill", "needs-outreach"): 1}
        assert tx.case_counts(EHR) == here
        assert tx.case_counts() == here | {("referral", "new"): 1}


def test_people_are_wanted_once_read_once_and_kept(store: Store) -> None:
    with store.transaction() as tx:
        tx.want_people(EHR, ["Patient/1", "Patient/2", "Patient/1"], NOW)
        tx.want_people(EHR, ["Patient/2", "Patient/3"], minutes(-5))
    with store.transaction() as tx:
        assert tx.wanted_people(EHR, NOW, 10) == ["Patient/3", "Patient/1", "Patient/2"]
        assert tx.wanted_people(EHR, minutes(-1), 10) == ["Patient/3"]
        assert tx.wanted_people(EHR, NOW, 1) == ["Patient/3"]
        assert tx.wanted_people("other", NOW, 10) == []
        tx.save_people(EHR, [a_person("Patient/1"), a_person("Patient/4")], NOW)
        tx.want_people(EHR, ["Patient/1"], NOW)

    with store.reading() as tx:
        known = tx.people(EHR, ["Patient/1", "Patient/2", "Patient/4"])
        assert known == {"Patient/1": a_person("Patient/1"), "Patient/4": a_person("Patient/4")}
        assert tx.wanted_people(EHR, NOW, 10) == ["Patient/3", "Patient/2"]
        assert tx.people("other", ["Patient/1"]) == {}


def test_people_who_could_not_be_read_are_wanted_again_later(store: Store) -> None:
    with store.transaction() as tx:
        tx.want_people(EHR, ["Patient/1", "Patient/2"], NOW)
        tx.people_unreadable(EHR, ["Patient/1"], minutes(30))

    with store.reading() as tx:
        assert tx.wanted_people(EHR, NOW, 10) == ["Patient/2"]
        assert tx.wanted_people(EHR, minutes(30), 10) == ["Patient/2", "Patient/1"]
        assert tx.people(EHR, ["Patient/1"]) == {}


def test_people_read_again_are_replaced(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_people(EHR, [a_person(display="Ada Quill")], NOW)
        tx.save_people(EHR, [a_person(display="Ada Finch")], minutes(1))

    with store.reading() as tx:
        assert tx.people(EHR, ["Patient/1"])["Patient/1"].display == "Ada Finch"


def test_a_case_whose_patient_has_no_name_is_stored(store: Store) -> None:
    case = a_case("c1", patient=CasePatient(ref="Patient/1"))
    with_cases(store, case)

    with store.reading() as tx:
        assert tx.case("c1") == case


def test_every_open_case_of_a_connection_can_be_woken(store: Store) -> None:
    over = a_case("c3", root="Task/3", status=Status.CLOSED, closed_at=NOW)
    with_cases(store, a_case("c1", root="Task/1"), a_case("c2", root="Task/2"), over)

    with store.transaction() as tx:
        tx.wake_open(EHR, NOW)
        tx.wake_open("other", NOW)

    with store.reading() as tx:
        assert tx.cases_to_wake(EHR, NOW, 10) == ["Task/1", "Task/2"]


def test_cases_wake_when_their_time_has_come_earliest_first(store: Store) -> None:
    cases = [a_case(f"c{number}", root=f"Task/{number}") for number in range(1, 5)]
    with store.transaction() as tx:
        wakes = {"c1": NOW, "c2": minutes(-1), "c3": minutes(1)}
        tx.save_cases(cases, [a_change(case) for case in cases], wakes)

    with store.transaction() as tx:
        assert tx.cases_to_wake(EHR, NOW, 10) == ["Task/2", "Task/1"]
        assert tx.cases_to_wake(EHR, NOW, 1) == ["Task/2"]
        assert tx.cases_to_wake("other", NOW, 10) == []
        tx.set_wakes({"c2": None, "c4": NOW, "unknown": NOW})

    with store.transaction() as tx:
        assert tx.cases_to_wake(EHR, NOW, 10) == ["Task/1", "Task/4"]
        moved = a_case("c1", root="Task/1", version=2)
        tx.save_cases([moved], [a_change(moved, 2)])

    with store.reading() as tx:
        assert tx.cases_to_wake(EHR, NOW, 10) == ["Task/4"]
