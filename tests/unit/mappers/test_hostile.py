"""Whatever a server sends, mapping returns a verdict, and never one that was guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.cases.people import Person
from bridge.cases.snapshot import Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.fhir.bundle import received
from bridge.fhir.source import SourceVersion
from bridge.mappers import MAPPERS, Ignored, Parked, Why, normalize
from bridge.mappers.people import READABLE, person

from .builders import BASE_URL, a_version

GOLDEN = Path(__file__).parents[2] / "golden"
INPUTS = [json.loads(path.read_bytes()) for path in sorted(GOLDEN.glob("*/*/in.json"))]
BRISK = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = st.sampled_from(sorted(MAPPERS))

_texts = st.text(max_size=12) | st.sampled_from(
    [
        "",
        "\0",
        "#",
        "#x",
        "Patient/",
        "Patient/1",
        "urn:",
        "2026-02-30",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31",
    ]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)


def verdict_on(raw: bytes, kind: str | None = None) -> Snapshot | Ignored | Parked:
    """Map *raw* and check what holds for every verdict."""
    version = received(raw)
    if kind is not None:
        version = SourceVersion(kind, "x1", "7", None, raw)
    verdict = normalize(version, base_url=BASE_URL)
    if isinstance(verdict, Snapshot):
        assert (verdict.ref, verdict.type, verdict.version) == (version.ref, version.type, version.version)
        assert EFFECTS[verdict.type][verdict.status] is verdict.effect
        assert verdict.title
        assert verdict.patient is None or verdict.patient.type in (None, "Patient")
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(verdict), type=Snapshot) == verdict
    else:
        assert verdict.code != Why.FAULT, verdict
        assert verdict.reason
    return verdict


def mutate(document: Any, draw: st.DrawFn) -> None:
    """Replace, remove or add one thing somewhere in *document*."""
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        match draw(st.sampled_from(["replace", "remove", "wrap", "swap"])):
            case "remove":
                del place[key]
            case "wrap":
                place[key] = [place[key]]
            case "swap" if isinstance(place[key], list) and place[key]:
                place[key] = place[key][0]
            case _:
                place[key] = draw(_values)
        return


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    document = json.loads(json.dumps(draw(st.sampled_from(INPUTS))))
    for _ in range(draw(st.integers(1, 4))):
        mutate(document, draw)
    return json.dumps(document).encode(errors="surrogatepass")


@BRISK
@given(mutated())
def test_a_mutated_resource_never_raises(raw: bytes) -> None:
    verdict_on(raw)


@BRISK
@given(KINDS, st.binary(max_size=60))
def test_any_bytes_never_raise(kind: str, raw: bytes) -> None:
    assert isinstance(verdict_on(raw, kind), Parked)


@BRISK
@given(KINDS, st.dictionaries(st.sampled_from(["status", "for", "subject", "participant", "code"]), _values))
def test_any_elements_never_raise(kind: str, elements: dict[str, Any]) -> None:
    verdict_on(json.dumps({"resourceType": kind, **elements}).encode(errors="surrogatepass"), kind)


@BRISK
@given(KINDS, _values)
def test_a_status_that_fhir_does_not_define_is_always_parked(kind: str, status: Any) -> None:
    if isinstance(status, str) and status in EFFECTS[kind]:
        return
    raw = json.dumps({"resourceType": kind, "id": "x1", "status": status}).encode(errors="surrogatepass")

    assert isinstance(verdict_on(raw, kind), Parked)


@BRISK
@given(KINDS, st.lists(_values, min_size=1, max_size=2))
def test_a_modifier_extension_is_never_overlooked(kind: str, extensions: list[Any]) -> None:
    raw = json.dumps({"resourceType": kind, "status": "draft", "modifierExtension": extensions})

    assert isinstance(verdict_on(raw.encode(errors="surrogatepass"), kind), Parked)


@BRISK
@given(
    st.sampled_from(sorted(READABLE)),
    st.dictionaries(st.sampled_from(list(Person.__struct_fields__)), _values),
)
def test_people_never_raise(kind: str, elements: dict[str, Any]) -> None:
    names = {
        "identifiers": "identifier",
        "language": "communication",
        "display": "name",
        "replaced_by": "link",
    }
    document = {"resourceType": kind, **{names.get(name, name): value for name, value in elements.items()}}
    version = SourceVersion(kind, "x1", "1", None, json.dumps(document).encode(errors="surrogatepass"))

    assert isinstance(person(version, base_url=BASE_URL), Person | Parked)


def a_task(**elements: str) -> bytes:
    """Return a Task whose elements are given as JSON text, however odd."""
    stated = {
        "resourceType": '"Task"',
        "id": '"x1"',
        "status": '"requested"',
        "intent": '"order"',
        **elements,
    }
    return ("{" + ",".join(f'"{name}":{value}' for name, value in stated.items()) + "}").encode()


DEEP = 100_000
POISON = {
    "deep nesting in what is not read": a_task(text="[" * DEEP + "]" * DEEP),
    "deep nesting in what is read": a_task(focus='{"identifier":' * DEEP + "{}" + "}" * DEEP),
    "deep nesting in a modifier": a_task(modifierExtension="[" * DEEP + "]" * DEEP),
    "deep contained": a_task(contained='[{"id":"o","x":' + "[" * DEEP + "]" * DEEP + "}]", owner='{"reference":"#o"}'),
    "NaN": a_task(priority="NaN"),
    "Infinity": a_task(output='[{"valueDecimal":Infinity}]'),
    "a number of 5,000 digits where text belongs": a_task(description="9" * 5000),
    "a number of 5,000 digits in what is not read": a_task(extra="9" * 5000),
    "2^64": a_task(groupIdentifier=str(2**64)),
    "an exponent out of range": a_task(modifierExtension="[1e999999]"),
    "NUL": a_task(description='"a\\u0000b"'),
    "a lone surrogate": a_task(description='"\\ud83d"'),
    "invalid UTF-8": a_task(description='"?"').replace(b"?", b"\xff\xfe"),
    "a byte order mark": b"\xef\xbb\xbf" + a_task(),
    "UTF-16": a_task().decode().encode("utf-16"),
    "XML": b'<Task xmlns="http://hl7.org/fhir"><id value="x1"/></Task>',
    "an HTML login page": b"<!DOCTYPE html><title>Sign in</title>",
    "nothing": b"",
    "null": b"null",
    "an id of 300 characters": a_task(id='"' + "x" * 300 + '"'),
    "an id with a path in it": a_task(id='"../../Patient/1"'),
    "two documents": a_task() + a_task(),
    "cut off": a_task()[:-5],
    "trailing commas": b'{"resourceType":"Task","id":"x1","status":"requested",}',
    "a reference of a megabyte": a_task(owner='{"reference":"' + "a" * 1_000_000 + '"}'),
    "a reference that could make a regex slow": a_task(owner='{"reference":"http://' + "A/" * 50_000 + '!"}'),
    "a thousand contained owners": a_task(
        contained="[" + ",".join(f'{{"id":"c{number}"}}' for number in range(1000)) + "]",
        owner='{"reference":"#c999"}',
    ),
    "right-to-left override in a status": a_task(status='"requested\\u202e"'),
}


@pytest.mark.parametrize("name", POISON)
def test_poison_gets_a_verdict(name: str) -> None:
    verdict_on(POISON[name])
    verdict_on(POISON[name], "Task")


def test_thousands_of_contained_actors_are_read_once_each() -> None:
    """Looking each of them up anew took two minutes for a megabyte."""
    people = [{"actor": {"reference": "#c9999"}}] * 20_000
    version = a_version("Appointment", contained=[{"id": f"c{n}"} for n in range(10_000)], participant=people)

    assert isinstance(verdict_on(version.raw), Snapshot)


def test_of_a_duplicate_key_the_last_counts() -> None:
    verdict = verdict_on(b'{"resourceType":"Task","id":"x1","status":"requested","status":"completed"}')

    assert isinstance(verdict, Snapshot)
    assert verdict.status == "completed"


def test_no_reason_repeats_what_a_resource_says() -> None:
    secret = "Canary Testpatient"
    for kind in MAPPERS:
        for element in (
            "status",
            "intent",
            "priority",
            "subject",
            "for",
            "start",
            "authoredOn",
            "participant",
        ):
            verdict = normalize(a_version(kind, **{element: secret}), base_url=BASE_URL)

            said = verdict.oddities if isinstance(verdict, Snapshot) else (verdict.reason,)
            assert not any(secret in words for words in said)
