"""Answers that are lost, empty, late, or not what was asked for."""

from __future__ import annotations

from dataclasses import replace

from conformance.simulator.ehr import Ehr
from conformance.simulator.faults.base import Fault, FaultKind, json_in, natural, one_of
from conformance.simulator.wire import FHIR_JSON, Answer, Request, encode

_LOGIN = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form></form></body></html>"


class DropAnswer(Fault):
    """Carry out the next *times* writes that succeed, but lose their answers: hang up, or a bare 502."""

    def __init__(self, times: str = "1", manner: str = "close") -> None:
        self._left = natural(times)
        self._hang_up = one_of(manner, "close", "502") == "close"

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        if not request.writes or answer.status >= 400 or self._left == 0:
            return answer
        self._left -= 1
        return Answer(502, {}, b"", hang_up=self._hang_up)


class EmptyCreated(Fault):
    """Answer creates with no body and a ``Location`` without ``_history``."""

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        if answer.status != 201:
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("Content-")}
        kept["Location"] = kept["Location"].partition("/_history/")[0]
        return replace(answer, headers=kept, body=b"")


class NoVersions(Fault):
    """Give no version of a resource: no ETag, no ``meta.versionId``, no ``_history`` in an address."""

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        unversioned = {"Location", "Content-Location"}
        headers = {
            name: value.partition("/_history/")[0] if name in unversioned else value
            for name, value in answer.headers.items()
            if name != "ETag"
        }
        body = json_in(answer) if answer.status < 300 else {}
        if not body:
            return replace(answer, headers=headers)
        for resource in (body, *(entry.get("resource", {}) for entry in body.get("entry", []))):
            resource.get("meta", {}).pop("versionId", None)
        return replace(answer, headers=headers, body=encode(body))


class Slow(Fault):
    """Take so long for every so many answers; what was asked is carried out at once."""

    def __init__(self, lasting: str, every: str = "1") -> None:
        self._seconds = float(lasting)
        self._every = natural(every)
        self._seen = 0

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        self._seen += 1
        if self._seen % self._every:
            return answer
        return replace(answer, wait_seconds=max(answer.wait_seconds, self._seconds))


class Broken(Fault):
    """Answer every so many reads and searches with something that is not what was asked for."""

    manners = ("login-page", "no-content", "empty", "cut", "xml", "bad-gateway")

    def __init__(self, manner: str, every: str = "2") -> None:
        self._manner = one_of(manner, *self.manners)
        self._every = natural(every)
        self._seen = 0

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        if request.writes or answer.status != 200:
            return answer
        self._seen += 1
        return answer if self._seen % self._every else self._instead_of(answer)

    def _instead_of(self, answer: Answer) -> Answer:
        match self._manner:
            case "login-page":
                return Answer(200, {"Content-Type": "text/html"}, _LOGIN)
            case "no-content":
                return Answer(204)
            case "empty":
                return Answer(200, {"Content-Type": FHIR_JSON})
            case "cut":
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case "xml":
                body = b'<Bundle xmlns="http://hl7.org/fhir"><type value="searchset"/></Bundle>'
                return Answer(200, {"Content-Type": "application/fhir+xml"}, body)
        return Answer(502, {"Content-Type": "text/html"}, b"<html><body>502 Bad Gateway</body></html>")


KINDS = (
    FaultKind(
        "drop-answer",
        "[TIMES[,close|502]]",
        "the next write is stored, but its answer is lost",
        "ours; medplum #4878, LinuxForHealth/FHIR #2051: clients that tried again made duplicates",
        DropAnswer,
    ),
    FaultKind(
        "empty-201",
        "",
        "a create is answered without a body, and its Location has no version",
        "Oracle Health R4, communication.md: Content-Length 0",
        EmptyCreated,
    ),
    FaultKind(
        "no-versions",
        "",
        "resources have no meta.versionId and no ETag",
        "NextGen, CapabilityStatement of 2026-07-24: versioning no-version",
        NoVersions,
    ),
    FaultKind("slow", "SECONDS[,EVERY]", "answers take that long", "ours", Slow),
    FaultKind(
        "broken-answer",
        f"{'|'.join(Broken.manners)}[,EVERY]",
        "every second read or search is answered with a login page, nothing, half its body, XML or a gateway's error",
        "ours",
        Broken,
    ),
)
