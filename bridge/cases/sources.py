"""One resource as a case knows it: its newest snapshot and where it belongs."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bridge.cases.snapshot import Snapshot


class Unread(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A version of a resource that was received and could not be read: what it says is not known."""

    ref: str
    version: str
    updated_at: datetime | None = None


class SourceRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    The newest known version of one resource, and where it belongs.

    ``root`` is the root of the group it was last put in. ``opened`` is true once any version seen would open
    a case, and never becomes false. ``began_at`` is the earliest time any version seen gives for the work.
    ``gone_at`` is set when the EHR said twice that it is deleted. ``missed_at`` is the first direct read that
    found nothing. ``watch_at`` is when time alone may make it work (a supply that runs out). ``aside`` is the
    parent it names but does not join, because that is of another patient: when that one changes, this is looked
    at again. ``unread`` is a version newer than the snapshot that could not be read.
    """

    connection: str
    ref: str
    root: str
    snapshot: Snapshot
    opened: bool
    began_at: datetime
    gone_at: datetime | None = None
    missed_at: datetime | None = None
    watch_at: datetime | None = None
    aside: str | None = None
    unread: Unread | None = None
