"""``bridge demo``: a simulated EHR, Bridge and the web view, with synthetic patients whose stories go on."""

from __future__ import annotations

import logging
import sys
import tempfile
import uuid
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from bridge.bootstrap import Bridge, open_bridge
from bridge.cases.commands import AnyCommand, Claim, Close, LogOutreach, Note
from bridge.cases.model import Case
from bridge.cases.terms import AttemptOutcome, Barrier, Channel, ClosureReason, Concern
from bridge.config import Settings
from bridge.errors import CommandRefused
from bridge.logs import set_up
from bridge.serve import listen, serve_all
from bridge.store.queries import CaseFilter
from bridge.sync.command import execute
from conformance.demo import start_live_ehr

log = logging.getLogger(__name__)

POLL_SECONDS = 2
_CASES = 200
DANA, LUIS, MAYA = "dana", "luis", "maya"


class Deed(NamedTuple):
    """What a colleague does to the first case of a lane whose title says *about*."""

    who: str
    lane: str
    about: str
    commands: tuple[AnyCommand, ...]


def _call(outcome: AttemptOutcome, channel: Channel = Channel.PHONE, **more: object) -> LogOutreach:
    return LogOutreach(channel=channel, outcome=outcome, **more)  # type: ignore[arg-type]


DAY: tuple[Deed, ...] = (
    Deed(DANA, "missed-call", "", (Claim(), _call(AttemptOutcome.NO_ANSWER, barrier=Barrier.PHONE_TAG))),
    Deed(
        DANA,
        "referral",
        "physical therapy",
        (
            Claim(),
            _call(AttemptOutcome.REACHED, understood="Knows the day and the place"),
            Note(text="The patient has no ride to the visit."),
        ),
    ),
    Deed(DANA, "referral", "MRI", (Claim(), Note(text="Asked two other imaging centers for a time."))),
    Deed(LUIS, "appointment-readiness", "Telehealth", (Claim(), _call(AttemptOutcome.SENT, Channel.PORTAL))),
    Deed(
        LUIS,
        "post-visit",
        "",
        (
            _call(AttemptOutcome.REACHED, understood="Repeated the instructions in own words"),
            Close(reason=ClosureReason.COMPLETED, outcome="The patient is well and knows what to do"),
        ),
    ),
    Deed(LUIS, "care-gap", "", (_call(AttemptOutcome.SENT, Channel.PORTAL),)),
    Deed(
        MAYA,
        "discharge",
        "",
        (
            _call(
                AttemptOutcome.REACHED,
                understood="Which tablets to take; not for how long",
                concerns=(Concern.MEDICATION_CONFUSION,),
            ),
        ),
    ),
    Deed(MAYA, "monitoring", "", (_call(AttemptOutcome.LEFT_MESSAGE, Channel.VOICEMAIL),)),
)
"""What the clinic's people did before somebody looks."""


def run_demo(*, port: int, speed: float, seed: int) -> None:
    """Run the demo until Ctrl-C; everything it kept is forgotten then."""
    set_up("warning", "text")
    listener = listen("127.0.0.1", port, or_any=True)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with (
        tempfile.TemporaryDirectory(prefix="bridge-demo-") as folder,
        start_live_ehr(seed=seed, speed=speed) as ehr,
        open_bridge(demo_settings(ehr.base_url, Path(folder), seed)) as bridge,
    ):
        print("Reading the simulated EHR ...", file=sys.stderr)
        for connector in bridge.connectors.values():
            connector.sync_once()
        do_the_days_work(bridge, DAY)
        print(f"The worklist is at {address}   (Ctrl-C ends the demo)")
        print(f"The simulated EHR is at {ehr.base_url}; its stories go on, so cases move while you watch.")
        sys.stdout.flush()
        serve_all(bridge, listener)


def do_the_days_work(bridge: Bridge, deeds: Iterable[Deed], patients: Collection[str] | None = None) -> int:
    """
    Let the clinic's people work the cases that are there; return how many commands were carried out.

    Args:
        patients: Whose cases (``Patient/id``); without it everybody's.
    """
    with bridge.store.reading() as tx:
        every = tx.list_cases(CaseFilter(), limit=_CASES).cases
    cases = [case for case in every if patients is None or case.patient_ref in patients]
    done = 0
    for deed in deeds:
        found = [case for case in cases if case.lane == deed.lane and deed.about in case.title][:1]
        if not found:
            log.warning("%s finds no case of %s about %r", deed.who, deed.lane, deed.about)
        done += sum(_carried_out(bridge, case, deed.who, command) for case in found for command in deed.commands)
    return done


def _carried_out(bridge: Bridge, case: Case, who: str, command: AnyCommand) -> bool:
    new_id = uuid.uuid4().hex
    try:
        execute(
            bridge.store,
            bridge.lines,
            case.id,
            command,
            by=who,
            expected_version=None,
            now=bridge.clock(),
            new_id=new_id,
        )
    except CommandRefused as refused:
        log.warning("%s could not %s: %s", who, type(command).__name__, refused)
        return False
    return True


def demo_settings(base_url: str, folder: Path, seed: int) -> Settings:
    """Return the configuration of the clinic of *seed*, with three people; its own Tasks go to their queues."""
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{folder / 'demo.sqlite3'}"},
            "site": {"time_zone": "America/New_York", "name": "Riverside Family Clinic", "phone": "555-0100"},
            "owners": {
                DANA: {"kind": "person", "display": "Dana Whitfield", "backup": "referral-coordinator"},
                LUIS: {"kind": "person", "display": "Luis Ortega", "backup": "scheduler"},
                MAYA: {"kind": "person", "display": "Maya Lindholm, RN", "backup": "refill-nurse", "licensed": True},
            },
            "connections": {
                "demo": {
                    "base_url": base_url,
                    "vendor": "generic",
                    "poll_seconds": POLL_SECONDS,
                    "sweep_minutes": 1,
                    "we_are": [f"Organization/s{seed}-clinic"],
                }
            },
        }
    )
