"""What a round came to, told: nothing that a person should know is left out."""

from __future__ import annotations

from bridge.report import sync_as_dict, sync_as_text
from bridge.store.rows import Counts
from bridge.sync.connector import SyncReport
from bridge.sync.taking import PollReport


def test_what_the_ehr_warned_of_is_told_with_its_stream() -> None:
    polled = PollReport("Task", Counts(), 0, 0, 1, ("warning:incomplete x1",))

    report = SyncReport("main", (polled,))

    assert "\n    the EHR warns: warning:incomplete x1\n" in sync_as_text(report)
    assert sync_as_dict(report)["streams"]["Task"]["warnings"] == ["warning:incomplete x1"]
