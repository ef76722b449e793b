"""
Resources that carry no ``meta.versionId``: what is received is told apart by its content.

A hash of the content says whether two receipts are the same, not which is newer, nor that a resource came back
to what it once was. So what differs from what is known of the resource now is a new version, even where its
content was seen before, or its ``meta.lastUpdated`` did not move; and where it has none, it is as old as its receipt.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from bridge.cases.sources import SourceRow
from bridge.fhir.source import SourceVersion, is_by_content
from bridge.store.port import Tx


def told_apart(tx: Tx, connection: str, versions: Sequence[SourceVersion], now: datetime) -> Sequence[SourceVersion]:
    """Return *versions*, received *now*, with names under which the inbox tells them apart."""
    bare = [version for version in versions if version.id and is_by_content(version.version)]
    if not bare:
        return versions
    rows = tx.sources(connection, [version.ref for version in bare])
    seen = tx.known_versions(connection, [(version.ref, version.version) for version in bare])
    return [
        _named(version, rows.get(version.ref), (version.ref, version.version) in seen, now)
        if version.id and is_by_content(version.version)
        else version
        for version in versions
    ]


def _named(version: SourceVersion, row: SourceRow | None, seen: bool, now: datetime) -> SourceVersion:
    received = replace(version, updated_at=version.updated_at or now)
    if row is None:
        return received
    latest = row.unread or row.snapshot
    if latest.version.partition("@")[0] == version.version:
        return replace(received, version=latest.version)
    older = version.updated_at is not None and latest.updated_at is not None and version.updated_at < latest.updated_at
    if older or not (seen or received.updated_at == latest.updated_at):
        return received
    return replace(received, version=f"{version.version}@{int(now.timestamp() * 1_000_000)}")
