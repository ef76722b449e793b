"""What a survey counts, and where it looks."""

from __future__ import annotations

import json
from typing import Any

from bridge.mappers.survey import survey

TASK = {"resourceType": "Task", "id": "t1", "status": "requested", "intent": "order"}
ODD = {"resourceType": "Task", "status": "doing"}
PATIENT = {"resourceType": "Patient", "id": "p1"}


def file(name: str, document: Any) -> tuple[str, bytes]:
    return name, json.dumps(document).encode()


def test_every_resource_is_counted_by_type_and_outcome() -> None:
    found = survey([file("a.json", TASK), file("b.json", ODD), file("c.json", PATIENT), ("d.json", b"<xml/>")])

    assert found.counts() == {
        "Task": {"mapped": 1, "parked: unknown-status": 1},
        "(no type)": {"parked: unreadable": 1},
        "Patient": {"ignored: out-of-scope": 1},
    }


def test_envelopes_are_opened_however_deep_they_lie() -> None:
    inner = {"resourceType": "Bundle", "entry": [{"resource": TASK}, {"fullUrl": "urn:uuid:1"}, 5]}
    parameters = {"parameter": [{"name": "a", "part": [{"name": "b", "resource": inner}]}, {"resource": ODD}]}

    found = survey([file("x.json", {"resourceType": "Parameters", **parameters})])

    assert [(one.where, one.outcome) for one in found.findings] == [
        ("x.json#parameter[0]#part[0]#entry[0]", "mapped"),
        ("x.json#parameter[0]#part[0]#entry[2]", "parked"),
        ("x.json#parameter[1]", "parked"),
    ]


def test_a_resource_without_id_is_judged_by_its_content() -> None:
    found = survey([file("new.json", {**TASK, "id": None})])

    assert found.counts() == {"Task": {"mapped": 1}}


def test_ndjson_holds_one_resource_a_line() -> None:
    lines = b"\n".join([json.dumps(TASK).encode(), b"", json.dumps(ODD).encode()])

    assert [one.where for one in survey([("bulk.ndjson", lines)]).findings] == [
        "bulk.ndjson:1",
        "bulk.ndjson:3",
    ]


def test_an_empty_bundle_stands_for_itself() -> None:
    found = survey([file("empty.json", {"resourceType": "Bundle", "id": "b1", "entry": []})])

    assert found.counts() == {"Bundle": {"ignored: out-of-scope": 1}}


def test_bundles_in_bundles_without_end_get_a_verdict() -> None:
    document: dict[str, Any] = TASK
    for _ in range(50):
        document = {"resourceType": "Bundle", "id": "b1", "entry": [{"resource": document}]}

    assert len(survey([file("deep.json", document)]).findings) == 1


def test_summary_reads_as_text_and_as_json() -> None:
    found = survey([file("a.json", {**TASK, "priority": "soon"}), file("b.json", ODD)])

    assert "b.json: Task parked: Task.status 'doing' is no code of FHIR" in found.text()
    assert "1  has an unknown priority" in found.text()
    assert json.loads(found.json())["counts"] == {"Task": {"mapped": 1, "parked: unknown-status": 1}}
