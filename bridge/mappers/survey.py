"""
What the mappers make of a heap of payloads: how much is mapped, ignored, parked, and why.

For whoever wants to know before connecting a system. Bundles and Parameters are opened, however deep they lie
in one another; a file ending in ``.ndjson`` holds one resource a line. The summary shows file names, resource
types and reasons, nothing of a resource's content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from bridge.cases.snapshot import Snapshot
from bridge.fhir.bundle import received
from bridge.fhir.source import SourceVersion
from bridge.mappers import Ignored, Parked, normalize
from bridge.mappers.verdict import Why

UNNAMED = "unnamed"
"""Stands for the id of a resource that has none yet, as in a Bundle that is to be posted."""

DEEPEST = 16
"""Bundles in Bundles are opened down to here (rule ours)."""

_ORDER = ("mapped", "parked", "ignored")


class Finding(msgspec.Struct, frozen=True):
    """What became of one resource; ``where`` is its file and its place in it."""

    where: str
    type: str
    outcome: Literal["mapped", "ignored", "parked"]
    code: str = ""
    reason: str = ""
    oddities: tuple[str, ...] = ()


class Summary(msgspec.Struct, frozen=True):
    """Every finding, and the counts that follow from them."""

    findings: tuple[Finding, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many of each type were ``mapped``, ``parked: CODE`` and ``ignored: CODE``."""
        counted = Counter((found.type, _label(found)) for found in self.findings)
        table: dict[str, dict[str, int]] = {}
        for (kind, label), number in sorted(counted.items(), key=lambda row: _rank(*row[0])):
            table.setdefault(kind or "(no type)", {})[label] = number
        return table

    def oddities(self) -> dict[str, int]:
        """Return how often each oddity was noted, the most frequent first."""
        return dict(Counter(words for found in self.findings for words in found.oddities).most_common())

    def text(self) -> str:
        """Return the summary for a terminal: what was not mapped by place and reason, then the counts."""
        lines = [f"{found.where}: {found.type} parked: {found.reason}" for found in self._parked()]
        lines += ["", *self._table()] if lines else self._table()
        odd = self.oddities()
        if odd:
            lines += ["", "Mapped although unusual:"]
            lines += [f"{number:>7}  {words}" for words, number in odd.items()]
        return "\n".join(lines)

    def json(self) -> bytes:
        """Return the summary for machines."""
        return msgspec.json.encode({"counts": self.counts(), "oddities": self.oddities(), "parked": self._parked()})

    def _parked(self) -> list[Finding]:
        return [found for found in self.findings if found.outcome == "parked"]

    def _table(self) -> list[str]:
        return [
            f"{number:>7}  {kind:<24} {label}"
            for kind, labels in self.counts().items()
            for label, number in labels.items()
        ]


def survey(named: Iterable[tuple[str, bytes]], *, base_url: str = "", fhir_version: str = "R4") -> Summary:
    """
    Map every resource in the given files and return what became of each.

    Args:
        named: Files as name and content.
        base_url: References under it count as the server's own.
    """
    findings: list[Finding] = []
    for name, content in named:
        for where, version in _resources(name, content):
            verdict = normalize(version, base_url=base_url, fhir_version=fhir_version)
            findings.append(_finding(where, version.type, verdict))
    return Summary(tuple(findings))


class _Part(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()
    part: list[msgspec.Raw] | None = None


class _Envelope(msgspec.Struct):
    resourceType: object = None
    id: object = None
    entry: list[msgspec.Raw] | None = None
    parameter: list[msgspec.Raw] | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_part = msgspec.json.Decoder(_Part)
_BAD_JSON = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError)


def _resources(name: str, content: bytes) -> Iterator[tuple[str, SourceVersion]]:
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not name.endswith(".ndjson"):
        yield from _opened(name, content, 0)
        return
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield from _opened(f"{name}:{number}", line, 0)


def _opened(where: str, raw: bytes, depth: int) -> Iterator[tuple[str, SourceVersion]]:
    """Open an envelope, or return the resource itself; an empty envelope stands for itself."""
    try:
        envelope = _envelope.decode(raw)
    except _BAD_JSON:
        yield where, received(raw)
        return
    inner = envelope.entry if envelope.resourceType == "Bundle" else None
    inner = envelope.parameter if envelope.resourceType == "Parameters" else inner
    if inner and depth < DEEPEST:
        yield from _parts(where, "entry" if envelope.entry else "parameter", inner, depth + 1)
    elif envelope.id is None and isinstance(envelope.resourceType, str):
        yield where, msgspec.structs.replace(received(raw), id=UNNAMED, issue=None)
    else:
        yield where, received(raw)


def _parts(where: str, name: str, parts: list[msgspec.Raw], depth: int) -> Iterator[tuple[str, SourceVersion]]:
    for index, raw in enumerate(parts):
        place = f"{where}#{name}[{index}]"
        try:
            part = _part.decode(raw)
        except _BAD_JSON:
            yield place, received(bytes(raw))
            continue
        if bytes(part.resource) not in (b"", b"null"):
            yield from _opened(place, bytes(part.resource), depth)
        if part.part and depth < DEEPEST:
            yield from _parts(place, "part", part.part, depth + 1)


def _finding(where: str, kind: str, verdict: Snapshot | Ignored | Parked) -> Finding:
    if isinstance(verdict, Snapshot):
        return Finding(where, kind, "mapped", oddities=verdict.oddities)
    outcome: Literal["ignored", "parked"] = "parked" if isinstance(verdict, Parked) else "ignored"
    code = verdict.code.value if isinstance(verdict.code, Why) else verdict.code
    return Finding(where, kind, outcome, code, verdict.reason)


def _label(found: Finding) -> str:
    return f"{found.outcome}: {found.code}" if found.code else found.outcome


def _rank(kind: str, label: str) -> tuple[int, str, str]:
    return _ORDER.index(label.partition(":")[0]), kind, label
