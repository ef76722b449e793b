"""
Two thousand resources on a real server, a round of Bridge; then the clinic turns everything upside down, and
another round. What holds after the first holds after the second, on a server that minds its references and on
one that does not (where work also arrives before what it is about).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import pytest

from bridge.cases.intents import IntentState
from bridge.cases.model import Case
from bridge.store.rows import InboxState
from bridge.tasks.identity import STATUS_SYSTEM
from conformance.generator import generate, in_dependency_order

from .launcher import RunningHapi
from .line import Ehr, Workplace, beside, streams_add_up
from .picture import FINAL, Picture, over, take
from .upheaval import Upheaval

COUNTS = {"integrity": 2000, "lenient": 400}
SEED = 4711
CHANGES = 200


@dataclass(frozen=True)
class Site:
    """A server full of work and Bridge beside it."""

    ehr: Ehr
    workplace: Workplace
    count: int


@pytest.fixture(scope="module", params=["integrity", "lenient"])
def site(
    request: pytest.FixtureRequest, hapi_running: RunningHapi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    strict = request.param == "integrity"
    resources = generate(SEED, COUNTS[request.param], at=datetime.now(UTC))
    with hapi_running(referential_integrity=strict) as server, beside(server) as ehr:
        if strict:
            ehr.put_all(in_dependency_order(resources))
        else:
            Random(SEED).shuffle(resources)
            ehr.put_all(resources)
        yield Site(ehr, Workplace(tmp_path_factory.mktemp("site"), server.base_url), COUNTS[request.param])


@pytest.fixture(scope="module")
def first(site: Site) -> Picture:
    """After the first round."""
    return take(site.workplace, site.ehr)


@pytest.fixture(scope="module")
def upheaval(site: Site, first: Picture) -> Upheaval:
    made = Upheaval(site.ehr, SEED)
    made.go_on(CHANGES)
    return made


@pytest.fixture(scope="module")
def changed(site: Site, first: Picture, upheaval: Upheaval) -> Picture:
    """After the clinic changed, deleted and linked anew, and Bridge did another round."""
    return take(site.workplace, site.ehr, first)


@pytest.fixture(params=["first", "changed"])
def picture(request: pytest.FixtureRequest, first: Picture, changed: Picture) -> Picture:
    return first if request.param == "first" else changed


def test_the_work_is_as_much_as_was_meant(site: Site, first: Picture, upheaval: Upheaval) -> None:
    """Else the rest of this module would say little."""
    assert len(first.known) == site.count
    assert len(first.cases) > site.count / 4
    assert sum(case.is_open for case in first.cases.values()) > site.count / 6
    assert sum(upheaval.done.values()) > 0.8 * CHANGES


def test_every_resource_is_accounted_for(picture: Picture) -> None:
    """The counts add up, and each version that stands on the server was received and not parked."""
    received = {(row.ref, row.version) for row in picture.inbox if row.state is not InboxState.PARKED}
    standing = {(ref, picture.known[ref]["meta"]["versionId"]) for ref in picture.present}

    assert picture.report["complete"]
    assert streams_add_up(picture.report)
    assert picture.report["people_unreadable"] == 0
    assert standing <= received
    assert [row.ref for row in picture.inbox if row.state is InboxState.PARKED] == []


def test_each_piece_of_work_has_exactly_one_case_with_all_that_belongs_to_it(picture: Picture) -> None:
    found = {root: {line.ref for line in case.sources} for root, case in picture.cases.items()}

    assert found == picture.work()


def test_a_case_is_over_when_its_request_says_so_and_not_before(picture: Picture) -> None:
    wrong = [
        f"{root} {picture.cases[root].status.value}"
        for root, refs in picture.work().items()
        if over(picture, root, refs) not in (None, not picture.cases[root].is_open)
    ]

    assert wrong == []


def test_each_open_case_says_who_does_what_by_when_for_whom(picture: Picture) -> None:
    for case in picture.cases.values():
        if case.is_open:
            assert case.owner.display
            assert case.next_action is not None
            assert case.next_action.text
            assert case.due_at is not None
            assert case.patient is not None
            assert case.patient.display, "the patient's name was read"


def test_each_case_that_was_seen_open_has_exactly_one_task(picture: Picture) -> None:
    """One that was over before Bridge came has none; ``our_tasks`` has refused two of one identifier."""
    expected = {_identifier(case) for case in picture.cases.values() if picture.was_open(case)}
    every = [*picture.cases.values(), *picture.merged.values()]
    earlier = {case.id if number == 1 else f"{case.id}-{number}" for case in every for number in range(1, case.round)}
    retired = {_identifier(case) for case in picture.merged.values()}

    assert expected <= set(picture.tasks)
    assert set(picture.tasks) <= expected | earlier | retired
    assert [value for value in (earlier | retired) & set(picture.tasks) if not _is_final(picture, value)] == []


def test_the_task_says_what_the_case_says(picture: Picture) -> None:
    for case in picture.cases.values():
        shown = picture.tasks.get(_identifier(case))
        if shown is not None:
            (business,) = (one for one in shown["businessStatus"]["coding"] if one["system"] == STATUS_SYSTEM)
            assert business["code"] == case.status.value
            assert case.patient is not None
            assert shown["for"]["reference"] == case.patient.ref
            assert shown["focus"]["reference"] == case.root
            assert (shown["status"] in FINAL) is not case.is_open
            assert ("restriction" in shown) is (case.due_at is not None)


def test_every_message_stands_once_at_its_case_for_its_patient(picture: Picture) -> None:
    by_id = {case.id: case for case in (*picture.cases.values(), *picture.merged.values())}
    tasks = {f"Task/{shown['id']}" for shown in picture.tasks.values()}
    sent = {row.intent.key for row in picture.outbox if row.state is IntentState.CONFIRMED and row.intent.message}

    assert set(picture.messages) == sent
    for key, message in picture.messages.items():
        case = by_id[key.partition("/")[0]]
        assert case.patient is not None
        assert message["subject"]["reference"] == case.patient.ref
        assert [one["reference"] for one in message["basedOn"]] == [case.root]
        assert {one["reference"] for one in message["partOf"]} <= tasks


def test_the_requester_is_told_where_the_work_stands(picture: Picture) -> None:
    """
    Wherever the lane says so. Of what was deleted with its request there is nobody to tell, and only the entering
    of a status is told: not another lane, nor that work which ended in one case is a case of its own now.
    """
    untold = [
        f"{case.root}: {case.status.value}"
        for case in picture.cases.values()
        if picture.was_open(case)
        and picture.stayed_itself(case)
        and case.status.value in picture.tell[case.lane]
        and case.root in picture.present
        and not any(key.startswith(f"{case.id}/told/{case.status.value}/") for key in picture.messages)
    ]

    assert untold == []


def test_the_validator_of_the_server_finds_nothing_wrong(picture: Picture) -> None:
    assert picture.faults == []


def test_nothing_is_left_over_or_given_up(picture: Picture) -> None:
    waiting = picture.outbox_in(IntentState.QUEUED, IntentState.SENDING)
    given_up = picture.outbox_in(IntentState.PARKED, IntentState.NOT_WRITABLE)

    assert (waiting, given_up) == ([], [])


def test_a_second_round_writes_nothing(picture: Picture) -> None:
    assert picture.repeat["writes"] == 0
    assert picture.repeat["complete"]
    assert picture.rewritten == {}


def test_bridge_itself_proves_that_both_sides_agree(picture: Picture) -> None:
    assert picture.proof["differences"] == []
    assert sum(picture.proof["resources"].values()) == len(picture.present) + len(picture.tasks)
    assert picture.proof["open_cases"] == sum(case.is_open for case in picture.cases.values())


def test_no_case_is_of_two_patients(picture: Picture) -> None:
    for case in picture.cases.values():
        named = {_patient_of(picture, line.ref) for line in case.sources}
        assert case.patient is not None
        assert named == {case.patient.ref}


def _identifier(case: Case) -> str:
    return case.id if case.round == 1 else f"{case.id}-{case.round}"


def _is_final(picture: Picture, value: str) -> bool:
    return picture.tasks[value]["status"] in FINAL


def _patient_of(picture: Picture, ref: str) -> str:
    resource = picture.known[ref]
    named = resource.get("for") or resource.get("subject")
    actors = [one["actor"] for one in resource.get("participant", ()) if "actor" in one]
    found = named or next(actor for actor in actors if actor.get("reference", "").startswith("Patient/"))
    return str(found["reference"])
