"""References, and which URLs belong to a connection."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.fhir.reference import LONGEST, inside_base, parse_reference

BASE = "https://ehr.example/fhir"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/p1", ("relative", "Patient", "p1", None)),
        ("Patient/p1/_history/3", ("relative", "Patient", "p1", "3")),
        ("Patient/a.b-C9", ("relative", "Patient", "a.b-C9", None)),
        ("#doc", ("contained", None, "doc", None)),
        ("#", ("contained", None, "", None)),
        ("urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9", ("urn", None, None, None)),
        ("urn:oid:1.2.3", ("urn", None, None, None)),
        (f"{BASE}/Patient/p1", ("relative", "Patient", "p1", None)),
        (f"{BASE}/Patient/p1/_history/3", ("relative", "Patient", "p1", "3")),
        ("https://ehr.example:443/fhir/Patient/p1", ("relative", "Patient", "p1", None)),
        ("https://EHR.example/fhir/Patient/p1", ("relative", "Patient", "p1", None)),
        ("https://ehr.example./fhir/Patient/p1", ("relative", "Patient", "p1", None)),
        ("https://other.example/fhir/Patient/p1", ("absolute", "Patient", "p1", None)),
        ("https://other.example/fhir/Patient/p1/_history/3", ("absolute", "Patient", "p1", "3")),
        ("http://ehr.example/fhir/Patient/p1", ("absolute", "Patient", "p1", None)),
        (f"{BASE}/tenant2/fhir/Patient/p1", ("absolute", "Patient", "p1", None)),
        (f"{BASE}2/Patient/p1", ("absolute", "Patient", "p1", None)),
        (f"{BASE}/Patient/p1?_format=json", ("absolute", None, None, None)),
        (f"{BASE}/Patient/p1#part", ("absolute", None, None, None)),
        ("https://profiles.example", ("absolute", None, None, None)),
        ("", ("invalid", None, None, None)),
        ("Patient", ("invalid", None, None, None)),
        ("/Patient/p1", ("invalid", None, None, None)),
        ("patient/p1", ("invalid", None, None, None)),
        ("Patient/p 1", ("invalid", None, None, None)),
        ("Patient/p1/", ("invalid", None, None, None)),
        ("Patient/../metadata", ("invalid", None, None, None)),
        ("Patient/..", ("invalid", None, None, None)),
        ("Patient/.", ("invalid", None, None, None)),
        ("Patient/p1\n", ("invalid", None, None, None)),
        ("Patient/ｐ1", ("invalid", None, None, None)),
        ("Patient?identifier=a|b", ("invalid", None, None, None)),
        ("javascript:alert(1)", ("invalid", None, None, None)),
    ],
)
def test_a_reference_is_taken_apart(text: str, expected: tuple[str, str | None, str | None, str | None]) -> None:
    parsed = parse_reference(text, base_url=BASE)

    assert (parsed.kind, parsed.type, parsed.id, parsed.version) == expected
    assert parsed.text == text
    assert parsed.ref == (f"{parsed.type}/{parsed.id}" if parsed.kind == "relative" else None)


@pytest.mark.parametrize("base", ["https://ehr.example", "https://ehr.example/"])
def test_a_base_without_a_path_does_not_swallow_other_paths(base: str) -> None:
    assert parse_reference("https://ehr.example/Patient/p1", base_url=base).ref == "Patient/p1"
    assert parse_reference("https://ehr.example/tenant2/Patient/p1", base_url=base).ref is None


def test_without_a_base_every_absolute_reference_stays_absolute() -> None:
    assert parse_reference(f"{BASE}/Patient/p1").kind == "absolute"


@pytest.mark.parametrize(
    "text", ["https://e.example/" + "a" * 10**6, "https://e.example/" + "Patient/" * 10**5, "A" * 10**6]
)
def test_a_long_reference_costs_nothing(text: str) -> None:
    began = time.perf_counter()

    assert parse_reference(text, base_url=BASE).kind == "invalid"
    assert parse_reference(text[:LONGEST], base_url=BASE).ref is None
    assert time.perf_counter() - began < 0.2


@pytest.mark.parametrize(
    "url",
    [
        BASE,
        f"{BASE}/",
        f"{BASE}?_getpages=1&_getpagesoffset=20",
        f"{BASE}/Task?_count=2&identifier=http%3A%2F%2Fa%7Cb",
        f"{BASE}/Task?x=..%2F..",
        "https://ehr.example:443/fhir/Task",
        "HTTPS://Ehr.Example/fhir/Task",
    ],
)
def test_a_link_under_the_base_belongs_to_it(url: str) -> None:
    assert inside_base(url, BASE)
    assert inside_base(url, BASE + "/")


OFF_BASE = [
    "",
    "/fhir/Task",
    "//ehr.example/fhir/Task",
    "Task?_page=2",
    "http://ehr.example/fhir/Task",
    "ftp://ehr.example/fhir/Task",
    "file:///etc/passwd",
    "https:ehr.example/fhir/Task",
    "https:///ehr.example/fhir/Task",
    "https://ehr.example:8443/fhir/Task",
    "https://ehr.example:0/fhir/Task",
    "https://ehr.example:443:443/fhir/Task",
    "https://ehr.example:99999/fhir/Task",
    "https://ehr.example:x/fhir/Task",
    "https://ehr.example.evil.com/fhir/Task",
    "https://evil-ehr.example/fhir/Task",
    "https://ehr.example@evil.com/fhir/Task",
    "https://evil.com@ehr.example/fhir/Task",
    "https://ehr.example:secret@evil.com/fhir/Task",
    "https://evil.com\\@ehr.example/fhir/Task",
    "https://evil.com\\.ehr.example/fhir/Task",
    "https://ehr.example\\.evil.com/fhir/Task",
    "https://ehr.example\t.evil.com/fhir/Task",
    "https://ehr.example\n/fhir/Task",
    " https://ehr.example/fhir/Task",
    "https://ehr.example/fhir/Ta\x00sk",
    "https://ehr.example/fhir/Task\x7f",
    "https://ehr。example/fhir/Task",
    "https://ehr．example/fhir/Task",
    "https://еhr.example/fhir/Task",
    "https://ehr%2eexample/fhir/Task",
    "https://ehr.example%00.evil.com/fhir/Task",
    "https://ehr.example/fhir2/Task",
    "https://ehr.example/fhi",
    "https://ehr.example/",
    "https://ehr.example//fhir/Task",
    "https://ehr.example/fhir/../admin",
    "https://ehr.example/fhir/%2e%2e/admin",
    "https://ehr.example/fhir/%252e%252e/admin",
    "https://ehr.example/fhir/..%2fadmin",
    "https://ehr.example/fhir/..;/admin",
    "https://ehr.example/fhir/..%5cadmin",
    "https://ehr.example/admin?x=/fhir/",
    "https://ehr.example/#/fhir/",
    "https://[::1]/fhir/Task",
    "https://[/fhir/Task",
    "https://169.254.169.254/fhir/Task",
    "https://2130706433/fhir/Task",
]


@pytest.mark.parametrize("url", OFF_BASE)
def test_a_link_that_only_looks_like_the_base_does_not_belong_to_it(url: str) -> None:
    assert not inside_base(url, BASE)
    assert parse_reference(url, base_url=BASE).ref is None


@given(st.text(max_size=60))
@example("https://[")
def test_no_text_upsets_the_comparison(text: str) -> None:
    for url in (text, f"https://{text}", f"https://ehr.example{text}", f"https://{text}ehr.example/fhir"):
        inside_base(url, BASE)
        parse_reference(url, base_url=BASE)
