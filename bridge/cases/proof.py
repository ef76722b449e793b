"""What proves the outcome with which a person closes a case; the lane says how much each reason needs."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.cases.facts import Facts
from bridge.cases.lane_parts import Evidence
from bridge.cases.lanes import Lane
from bridge.cases.model import Case
from bridge.cases.outreach import ANSWERED
from bridge.cases.snapshot import Effect
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import AttemptOutcome, ClosureReason
from bridge.errors import CommandRefused

ENOUGH_ATTEMPTS = 2
"""How many attempts in vain count where the lane says no number: one voicemail never closes a case (rule ours)."""

_WORDS = {
    Evidence.OUTCOME: "an outcome in words",
    Evidence.VISIT: "a visit that took place",
    Evidence.REPORT: "a document or result as evidence, such as DocumentReference/12",
    Evidence.CONTACT: "an attempt in which the patient was reached, with what they understood",
}


def check_proof(
    lane: Lane, reason: ClosureReason, outcome: str, evidence: Sequence[str], case: Case, facts: Facts
) -> None:
    """
    Refuse a closing that its lane asks proof for and that has none; any one kind that the lane names will do.

    Raises:
        CommandRefused: The message says what would do.
    """
    wanted = lane.evidence.get(reason, ())
    if not wanted or any(_has(kind, lane, outcome, evidence, case, facts) for kind in wanted):
        return
    needs = ", or ".join(_words(kind, lane, case) for kind in wanted)
    raise CommandRefused(f"{_spoken(reason)} needs {needs}.")


def proof_wanted(lane: Lane, case: Case) -> dict[ClosureReason, str]:
    """Return in words what each reason for closing needs, where it needs anything."""
    return {
        reason: ", or ".join(_words(kind, lane, case) for kind in lane.evidence[reason])
        for reason in lane.closes_with
        if reason in lane.evidence
    }


def check_evidence(named: str, facts: Facts) -> None:
    """Refuse what proves nothing about this case: somebody else's order or visit, or who the patient is."""
    kind, slash, own_id = named.partition("/")
    if not slash or not own_id or " " in named:
        return
    if kind == "Patient":
        raise CommandRefused(f"{named} proves no outcome; name what does, such as Appointment/12, or say it in words.")
    if kind in EFFECTS and named not in {row.ref for row in facts.rows}:
        raise CommandRefused(f"{named} is not part of this case, so it is no evidence of its outcome.")


def _has(kind: Evidence, lane: Lane, outcome: str, evidence: Sequence[str], case: Case, facts: Facts) -> bool:
    match kind:
        case Evidence.OUTCOME:
            return bool(outcome)
        case Evidence.VISIT:
            return any(one.effect is Effect.ATTENDED for one in facts.live)
        case Evidence.REPORT:
            named = any(_is_document(one) for one in evidence)
            return named or any(one.outputs for one in facts.live)
        case Evidence.ATTEMPTS:
            return _in_vain(case) >= _enough(lane)
        case Evidence.CONTACT:
            return any(one.outcome is AttemptOutcome.REACHED and one.understood for one in case.outreach)


def _is_document(named: str) -> bool:
    """Whether *named* is something that was written or measured, not one of the four types, nor a word."""
    kind, slash, own_id = named.partition("/")
    return bool(slash and own_id) and " " not in named and kind not in EFFECTS


def _in_vain(case: Case) -> int:
    return sum(attempt.outcome not in ANSWERED for attempt in case.outreach)


def _enough(lane: Lane) -> int:
    return lane.outreach.attempts if lane.outreach is not None else ENOUGH_ATTEMPTS


def _words(kind: Evidence, lane: Lane, case: Case) -> str:
    if kind is Evidence.ATTEMPTS:
        return f"{_enough(lane)} logged attempts in vain; there are {_in_vain(case)}"
    return _WORDS[kind]


def _spoken(reason: ClosureReason) -> str:
    return reason.value.replace("-", " ").capitalize()
