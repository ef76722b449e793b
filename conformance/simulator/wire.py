"""Requests, answers and JSON of the simulated EHR, free of any web framework.

Numbers keep their digits: FHIR R4 datatypes.html#decimal says that precision is significant, so ``1.00`` is
decoded to a ``Decimal`` and written back as ``1.00``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

Json = dict[str, Any]
"""A FHIR resource, or any JSON object, as plain Python values."""

FHIR_JSON = "application/fhir+json;charset=UTF-8"

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request below the FHIR base.

    Attributes:
        path: Path below the base without a leading slash, percent-decoded, for example ``Task/1``.
        headers: Header values by lower-case name.
        base: The FHIR base URL under which the client sees this server, without a trailing slash.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = "http://ehr.example/fhir"

    @property
    def writes(self) -> bool:
        """Return whether this request may store something."""
        return self.method in {"PUT", "PATCH", "DELETE"} or (
            self.method == "POST" and not self.path.endswith("_search")
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One HTTP answer.

    Attributes:
        hang_up: Close the connection and send nothing of this.
        wait_seconds: How long the server takes for it; what was asked is carried out before.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False
    wait_seconds: float = 0


class FhirError(Exception):
    """A request that is refused: HTTP status, issue type (FHIR R4 valueset-issue-type) and what to do."""

    def __init__(self, status: int, code: str, diagnostics: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.diagnostics = diagnostics
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """Return the answer that carries this error as an OperationOutcome."""
        return json_answer(self.status, outcome("error", self.code, self.diagnostics), self.headers)


def decode(data: bytes) -> Any:
    """Decode JSON, keeping decimal digits.

    Raises:
        FhirError: 400, when *data* is not UTF-8 JSON or is nested too deeply to read.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FhirError(400, "structure", f"The body is not readable JSON: {error}") from error


def encode(value: object) -> bytes:
    """Encode *value* as JSON; ``msgspec.Raw`` parts are copied as they are."""
    return _encoder.encode(value)


def outcome(severity: str, code: str, diagnostics: str) -> Json:
    """Return an OperationOutcome with one issue."""
    issue = {"severity": severity, "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def json_answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer whose body is *body* as FHIR JSON; bytes are taken to be JSON already."""
    content = body if isinstance(body, bytes) else encode(body)
    return Answer(status, {"Content-Type": FHIR_JSON, **(headers or {})}, content)
