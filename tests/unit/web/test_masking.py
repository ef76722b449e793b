"""A masked resource shows its shape and nothing about a person."""

from __future__ import annotations

import json

import pytest

from bridge.web.masking import BLOT, masked


def test_content_is_blotted_out_and_shape_stays() -> None:
    raw = {
        "resourceType": "Task",
        "status": "doing",
        "description": "canary-text",
        "code": {"coding": [{"system": "http://example.org", "code": "canary-code"}]},
        "for": {"reference": "Patient/1", "display": "canary-name"},
        "valueDecimal": 12.5,
        "active": True,
        "canary key with spaces": 1,
    }

    shown = json.loads(masked(json.dumps(raw).encode()))

    assert "canary" not in json.dumps(shown)
    assert shown["status"] == "doing"
    assert shown["for"] == {"reference": "Patient/1", "display": BLOT}
    assert shown["code"]["coding"][0]["system"] == "http://example.org"
    assert shown["valueDecimal"] == BLOT


@pytest.mark.parametrize("status", ["a b c", "Ada Synthetic 1971", "x" * 300, {"text": "canary"}, 7])
def test_shown_element_with_other_than_a_code_is_blotted_out(status: object) -> None:
    shown = json.loads(masked(json.dumps({"status": status}).encode()))

    assert shown["status"] in (BLOT, {"text": BLOT})


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"<Task/>", b'{"a":' * 3000])
def test_what_is_no_json_is_not_shown(raw: bytes) -> None:
    assert masked(raw) == f"not JSON, {len(raw)} bytes"
