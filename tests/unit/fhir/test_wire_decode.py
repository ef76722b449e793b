"""Wrong types are mended or left out; what is vital is refused."""

from __future__ import annotations

import msgspec
import pytest

from bridge.errors import SourceError
from bridge.fhir import wire
from bridge.fhir.wire_decode import MOST_REPAIRS, decode

DECODER = msgspec.json.Decoder(wire.Task)
VITAL = frozenset({"status", "for", "for.reference"})


def read(raw: bytes) -> tuple[wire.Task, list[str]]:
    return decode(raw, DECODER, VITAL)


def code_of(raw: bytes) -> str:
    with pytest.raises(SourceError) as refused:
        read(raw)
    return refused.value.code


def test_what_is_well_formed_needs_no_repair() -> None:
    task, repairs = read(b'{"status": "requested", "unknown": [1, {"a": null}], "for": null}')

    assert (task.status, task.for_, repairs) == ("requested", None, [])


@pytest.mark.parametrize(
    ("raw", "repair"),
    [
        (b'{"description": 5}', "description has a wrong type; left out"),
        (b'{"note": [null]}', "note has a wrong type; left out"),
        (b'{"note": [{"text": true}]}', "note.text has a wrong type; left out"),
        (b'{"note": {"text": "x"}}', "note is one object instead of a list"),
        (b'{"groupIdentifier": [{"value": "x"}]}', "groupIdentifier is a list instead of one object"),
        (b'{"for": [{"reference": "Patient/1"}]}', "for is a list instead of one object"),
        (b'{"identifier": [[[[{}]]]]}', "identifier has a wrong type; left out"),
    ],
)
def test_an_element_of_a_wrong_type_is_mended_or_left_out(raw: bytes, repair: str) -> None:
    assert read(raw)[1] == [repair]


def test_the_good_entries_of_a_list_are_kept() -> None:
    task, repairs = read(b'{"identifier": [{"value": "a"}, 5, {"value": "b"}, "x"], "owner": 1}')

    assert [one.value for one in task.identifier or ()] == ["a", "b"]
    assert set(repairs) == {"identifier has a wrong type; left out", "owner has a wrong type; left out"}


def test_other_values_survive_a_repair_unchanged() -> None:
    task, _ = read(b'{"description": 1, "contained": [{"id": "a", "x": 1.50}], "status": "draft"}')

    assert [bytes(raw) for raw in task.contained or ()] == [b'{"id":"a","x":1.50}']


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "unreadable"),
        (b"{", "unreadable"),
        (b"<html/>", "unreadable"),
        (b'{"a": NaN}', "unreadable"),
        (b'{"status": "\xff"}', "unreadable"),
        (b'{"status": "\\ud800"}', "unreadable"),
        (b"[" * 100_000 + b"]" * 100_000, "unreadable"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "unreadable"),
        (b"[]", "wrong-shape"),
        (b"5", "wrong-shape"),
        (b'"Task"', "wrong-shape"),
        (b'{"status": 5}', "wrong-shape"),
        (b'{"for": "Patient/1"}', "wrong-shape"),
        (b'{"for": {"reference": {}}}', "wrong-shape"),
        (b'{"restriction": {"modifierExtension": %s}}' % (b"9" * 5000), "unreadable"),
    ],
    ids=range(15),
)
def test_what_cannot_or_must_not_be_read_is_refused(raw: bytes, code: str) -> None:
    assert code_of(raw) == code


def test_repairs_come_to_an_end() -> None:
    notes = b",".join([b"{}", b"5"] * (MOST_REPAIRS + 5))

    assert code_of(b'{"note": [' + notes + b"]}") == "wrong-shape"
