"""OperationOutcomes are told without anybody's data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.fhir.outcome import Outcome, parse_outcome


def outcome(*issues: Any) -> bytes:
    return json.dumps({"resourceType": "OperationOutcome", "issue": list(issues)}).encode()


def test_codes_and_message_ids_are_told_and_free_text_is_not() -> None:
    said = {
        "severity": "error",
        "code": "processing",
        "details": {"coding": [{"code": "4122"}, None, {}], "text": "Pat Example, born 1980-01-02"},
        "diagnostics": "HAPI-0550: Pat Example was changed by somebody else",
    }

    parsed = parse_outcome(outcome(said))

    assert parsed is not None
    assert parsed.summary() == ("error:processing 4122 HAPI-0550",)
    assert parsed.is_error


@pytest.mark.parametrize("code", ["Pat Example", "Example", "mrn-4711", "EXAMPLE", "a\nb", "", None, 5, {}])
def test_a_code_that_is_none_is_not_told(code: Any) -> None:
    parsed = parse_outcome(outcome({"severity": code, "code": code, "details": {"coding": [{"code": code}]}}))

    assert parsed is not None
    assert parsed.summary() == ("",)


@pytest.mark.parametrize("severity", ["fatal", "error"])
def test_fatal_and_error_are_errors(severity: str) -> None:
    parsed = parse_outcome(outcome({"severity": "information", "code": "x"}, {"severity": severity, "code": "x"}))

    assert parsed is not None
    assert parsed.is_error


@pytest.mark.parametrize("severity", ["warning", "information", "success"])
def test_the_rest_is_none(severity: str) -> None:
    parsed = parse_outcome(outcome({"severity": severity, "code": "x"}))

    assert parsed is not None
    assert not parsed.is_error


@pytest.mark.parametrize("issue", [None, 5, "x", [], {"details": 5}, {"details": {"coding": {}}}])
def test_an_issue_that_cannot_be_read_counts_as_an_error_beside_those_that_can(issue: Any) -> None:
    parsed = parse_outcome(outcome({"severity": "warning", "code": "incomplete"}, issue))

    assert parsed is not None
    assert parsed.summary() == ("warning:incomplete", "error:unreadable")


def test_an_outcome_without_issues_says_nothing() -> None:
    assert parse_outcome(b'\xef\xbb\xbf{"resourceType":"OperationOutcome"}') == Outcome()


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"{}", b"[]", b"<html>", b"\xff", b'{"resourceType":"Bundle"}', b"[" * 100_000],
    ids=range(8),
)
def test_what_is_none_gives_none(raw: bytes) -> None:
    assert parse_outcome(raw) is None
