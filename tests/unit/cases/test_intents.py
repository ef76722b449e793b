"""What tells whoever asked how it ended."""

from __future__ import annotations

import pytest

from bridge.cases.intents import Intent, IntentKind, Message, tells_the_end
from tests.unit.cases.builders import NOW


def a_message(status: str) -> Message:
    return Message(at=NOW, text="so it stands", status=status)


@pytest.mark.parametrize(
    ("kind", "message", "tells"),
    [
        (IntentKind.STATUS_MESSAGE, a_message("closed"), True),
        (IntentKind.STATUS_MESSAGE, a_message("scheduled"), False),
        (IntentKind.OUTREACH_RECORD, a_message("closed"), False),
        (IntentKind.SOURCE_TASK, None, True),
        (IntentKind.COORDINATION_TASK, None, False),
        (IntentKind.RETRACTION, None, False),
    ],
)
def test_what_tells_a_requester_how_it_ended(kind: IntentKind, message: Message | None, tells: bool) -> None:
    """Our own Task does not: whoever asked need not know of it."""
    made = Intent(connection="main", case_id="c", kind=kind, slot="s", key="k", case_version=3, message=message)

    assert tells_the_end(made) is tells
