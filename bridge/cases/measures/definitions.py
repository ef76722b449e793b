"""
Every measure, in words and as what is counted; docs/measures.md is written from this table.

A definition is one value: whoever asks what a number means reads here, and what computes it stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.cases.measures import of_endings, of_open_work, of_outreach, of_visits
from bridge.cases.measures.seeing import Clock, Observe


class Kind(StrEnum):
    """What a measure's figures are."""

    PROPORTION = "proportion"
    """How many of a number had something: numerator over denominator, none where the denominator is empty."""
    DISTRIBUTION = "distribution"
    """Measured values: how many, median and 90th percentile by nearest rank, sum."""
    COUNT = "count"
    """How many, by category."""
    TIME = "time"
    """How many seconds, by category."""


class Stratum(StrEnum):
    """By what a measure's figures are told apart, beside the whole."""

    LANE = "lane"
    PRIORITY = "priority"
    OWNER = "owner"
    CATEGORY = "category"
    """The category of a proportion or distribution, such as the channel of an attempt."""


_ALL = (Stratum.LANE, Stratum.PRIORITY, Stratum.OWNER)
_NO_OWNER = (Stratum.LANE, Stratum.PRIORITY)
_WITH_CATEGORY = (*_ALL, Stratum.CATEGORY)

_NO_WORK = "rounds that were entered in error, duplicates, or over when Bridge first heard of them; merged cases"
_NOT_DONE = "rounds that ended without it"


@dataclass(frozen=True, kw_only=True)
class Definition:
    """
    One measure.

    Args:
        population: What is looked at.
        counted: The instant whose recording says in which period it counts.
        numerator: What of the population has what is asked for (proportions).
        measured: From which instant to which, or what is counted (all others).
        excluded: What is left out of the denominator, and counted as left out.
        pending: What is not decided by the end of the period, if there is such a thing.
        category: What the categories are, where there are any.
        lanes: The lanes it is about; none means all.
        better: ``higher`` or ``lower``, where one of them is.
    """

    code: str
    title: str
    group: str
    kind: Kind
    observe: Observe
    population: str
    counted: str
    numerator: str = ""
    measured: str = ""
    excluded: str = ""
    pending: str = ""
    category: str = ""
    clock: Clock = Clock.CALENDAR
    unit: str = ""
    lanes: frozenset[str] = frozenset()
    strata: tuple[Stratum, ...] = _ALL
    better: str = ""


RESPONSE = "Response and outreach"
VISITS = "Visits"
LOOPS = "Loops and turnaround"
OPEN = "Open work"
OBSTACLES = "Blockers and escalations"
ENDINGS = "Closing and who did it"

DEFINITIONS: tuple[Definition, ...] = (
    # Response and outreach
    Definition(
        code="first-response",
        title="Time to first response",
        group=RESPONSE,
        kind=Kind.DISTRIBUTION,
        observe=of_outreach.first_response,
        population="rounds in which a person acted: an attempt to reach the patient, or any command",
        counted="the first of these acts",
        measured="from when the work was asked for, or the case reopened, to the earliest of these acts; "
        "one that lies before counts as 0",
        excluded=f"{_NO_WORK}; {_NOT_DONE}",
        pending="open cases on which no person has acted yet",
        clock=Clock.BUSINESS,
        unit="s",
        better="lower",
    ),
    Definition(
        code="next-step",
        title="Time to the next step",
        group=RESPONSE,
        kind=Kind.DISTRIBUTION,
        observe=of_open_work.next_step,
        population="next actions of rounds, without those entered in error, duplicates and merged cases",
        counted="another next action, or the end of the round",
        measured="from when it became the next action to when it no longer was",
        pending="next actions that still are",
        clock=Clock.BUSINESS,
        category="action",
        unit="s",
        strata=_WITH_CATEGORY,
        better="lower",
    ),
    Definition(
        code="callback",
        title="Time to call back",
        group=RESPONSE,
        kind=Kind.DISTRIBUTION,
        observe=of_outreach.first_attempt,
        population="rounds of missed calls in which somebody tried to reach the patient",
        counted="the first attempt",
        measured="from when the work was asked for, or the case reopened, to the earliest attempt, whatever came of it",
        excluded=f"{_NO_WORK}; {_NOT_DONE}",
        pending="open cases without an attempt",
        clock=Clock.BUSINESS,
        unit="s",
        lanes=frozenset({"missed-call"}),
        better="lower",
    ),
    Definition(
        code="contact-rate",
        title="Attempts that reached the patient",
        group=RESPONSE,
        kind=Kind.PROPORTION,
        observe=of_outreach.contacts,
        population="attempts to reach a patient, each once, on the case on which it was made (merged ones too)",
        counted="the attempt",
        numerator="somebody spoke with the patient: outcome reached or declined",
        category="channel",
        strata=_WITH_CATEGORY,
        better="higher",
    ),
    Definition(
        code="attempts-per-contact",
        title="Attempts until the patient was reached",
        group=RESPONSE,
        kind=Kind.DISTRIBUTION,
        observe=of_outreach.attempts_per_contact,
        population="rounds in which the patient was reached (outcome reached or declined)",
        counted="the first attempt that reached the patient",
        measured="the number of attempts up to and with that one, in the order in which they were made",
        excluded=f"{_NO_WORK}; rounds that ended with attempts of which none reached the patient",
        pending="open cases with attempts of which none reached the patient yet",
        unit="attempts",
        better="lower",
    ),
    Definition(
        code="attempts-by-person",
        title="Attempts, by who made them",
        group=RESPONSE,
        kind=Kind.COUNT,
        observe=of_outreach.attempts_by_person,
        population="attempts to reach a patient, each once, on the case on which it was made (merged ones too)",
        counted="the attempt",
        measured="attempts",
        category="person",
        unit="attempts",
        strata=_NO_OWNER,
    ),
    # Visits
    Definition(
        code="confirmation",
        title="Visits confirmed beforehand",
        group=VISITS,
        kind=Kind.PROPORTION,
        observe=of_visits.confirmation,
        population="visits that took place or were missed, each once",
        counted="the record that it took place or was missed",
        numerator="between the booking becoming known and the beginning of the visit an attempt reached the patient, "
        "or the visit was booked after the case had waited on the patient's reply",
        excluded=f"{_NO_WORK}; visits that became known only when they had begun",
        better="higher",
    ),
    Definition(
        code="intake",
        title="Intake complete at the visit",
        group=VISITS,
        kind=Kind.PROPORTION,
        observe=of_visits.intake,
        population="visits that took place or were missed, each once, for which documents were missing (blocker "
        "missing-documentation) at some moment between the booking becoming known and the beginning of the visit",
        counted="the record that it took place or was missed",
        numerator="nothing was missing any more when the visit began",
        excluded=_NO_WORK,
        better="higher",
    ),
    Definition(
        code="no-show-recovery",
        title="Missed visits that were made up for",
        group=VISITS,
        kind=Kind.PROPORTION,
        observe=of_visits.no_show_recovery,
        population="visits that the patient missed",
        counted="the next visit booked or attended in the same round, else the end of the round",
        numerator="there was such a visit, or the round ended as completed",
        excluded=f"{_NO_WORK}; rounds that the requester cancelled",
        pending="missed visits of open cases without a next one",
        better="higher",
    ),
    Definition(
        code="reschedule",
        title="Cancelled visits that were rebooked",
        group=VISITS,
        kind=Kind.PROPORTION,
        observe=of_visits.reschedule,
        population="visits that were called off",
        counted="the next visit booked or attended in the same round, else the end of the round",
        numerator="there was such a visit, or the round ended as completed",
        excluded=f"{_NO_WORK}; rounds that the requester cancelled",
        pending="cancelled visits of open cases without a next one",
        better="higher",
    ),
    # Loops and turnaround
    Definition(
        code="referral-conversion",
        title="Referrals that came to a visit",
        group=LOOPS,
        kind=Kind.PROPORTION,
        observe=of_endings.conversion,
        population="rounds of referrals that ended",
        counted="the end",
        numerator="a visit was booked or attended in the round",
        excluded=_NO_WORK,
        lanes=frozenset({"referral"}),
        better="higher",
    ),
    Definition(
        code="referral-report",
        title="Referrals from which a report came back",
        group=LOOPS,
        kind=Kind.PROPORTION,
        observe=of_endings.report_back,
        population="rounds of referrals that ended",
        counted="the end",
        numerator="ended as completed, and a document or result was named as what came of it",
        excluded=_NO_WORK,
        lanes=frozenset({"referral"}),
        better="higher",
    ),
    Definition(
        code="referral-loop-closure",
        title="Referrals whose loop was closed",
        group=LOOPS,
        kind=Kind.PROPORTION,
        observe=of_endings.loop_closure,
        population="rounds of referrals that ended",
        counted="of those that ended as completed, the later of report and word, or the end of the seven days without "
        "both; of all others the end",
        numerator="ended as completed, the report came back (a document or result was named as what came of it), and "
        "the requester was told how it ended: a message that says so, or the Task by which it was asked for, was "
        "confirmed by the EHR; both not later than seven days after the end was recorded",
        excluded=_NO_WORK,
        pending="referrals that ended as completed not more than seven days ago, without report or word so far",
        lanes=frozenset({"referral"}),
        better="higher",
    ),
    Definition(
        code="on-time-post-visit",
        title="Follow-up after visits and discharges done on time",
        group=LOOPS,
        kind=Kind.PROPORTION,
        observe=of_endings.on_time,
        population="rounds after visits and discharges that ended",
        counted="the end",
        numerator="ended as completed, not later than was due when the round began",
        excluded=f"{_NO_WORK}; rounds that the requester cancelled, or that began without a due time",
        lanes=frozenset({"post-visit", "discharge"}),
        better="higher",
    ),
    Definition(
        code="completion",
        title="Trigger to completion",
        group=LOOPS,
        kind=Kind.DISTRIBUTION,
        observe=of_endings.completion,
        population="rounds that ended as completed",
        counted="the end",
        measured="from when the work was asked for, or the case reopened, to when it was completed",
        excluded=f"{_NO_WORK}; rounds that ended otherwise",
        pending="open cases",
        unit="s",
        better="lower",
    ),
    Definition(
        code="prior-authorization-turnaround",
        title="Prior authorization: time to a decision",
        group=LOOPS,
        kind=Kind.DISTRIBUTION,
        observe=of_endings.decision,
        population="rounds of prior authorizations that ended as completed or declined",
        counted="the end",
        measured="from when the work was asked for, or the case reopened, to the decision",
        excluded=f"{_NO_WORK}; rounds that ended otherwise",
        pending="open cases",
        clock=Clock.BUSINESS,
        unit="s",
        lanes=frozenset({"prior-authorization"}),
        better="lower",
    ),
    Definition(
        code="refill-turnaround",
        title="Refill: time to a decision",
        group=LOOPS,
        kind=Kind.DISTRIBUTION,
        observe=of_endings.decision,
        population="rounds of refills that ended as completed or declined",
        counted="the end",
        measured="from when the work was asked for, or the case reopened, to the decision",
        excluded=f"{_NO_WORK}; rounds that ended otherwise",
        pending="open cases",
        clock=Clock.BUSINESS,
        unit="s",
        lanes=frozenset({"medication-refill"}),
        better="lower",
    ),
    # Open work
    Definition(
        code="open-age",
        title="Age of open cases",
        group=OPEN,
        kind=Kind.DISTRIBUTION,
        observe=of_open_work.open_age,
        population="cases open at the end of the period",
        counted="being open at the end",
        measured="from when the work was asked for, or the case reopened, to the end of the period",
        unit="s",
        better="lower",
    ),
    Definition(
        code="open-age-bands",
        title="Open cases by age",
        group=OPEN,
        kind=Kind.COUNT,
        observe=of_open_work.open_age_bands,
        population="cases open at the end of the period",
        counted="being open at the end",
        measured="cases, by whole days since the work was asked for or the case reopened",
        category="age",
        unit="cases",
    ),
    Definition(
        code="open-by-owner",
        title="Open cases by owner",
        group=OPEN,
        kind=Kind.COUNT,
        observe=of_open_work.open_by_owner,
        population="cases open at the end of the period",
        counted="being open at the end",
        measured="cases",
        category="owner",
        unit="cases",
        strata=_NO_OWNER,
    ),
    Definition(
        code="overdue-at-end",
        title="Open cases past their due time",
        group=OPEN,
        kind=Kind.PROPORTION,
        observe=of_open_work.overdue_at_end,
        population="cases open at the end of the period",
        counted="being open at the end",
        numerator="the due time lies before the end of the period",
        better="lower",
    ),
    Definition(
        code="overdue",
        title="Cases that were overdue at some time",
        group=OPEN,
        kind=Kind.PROPORTION,
        observe=of_open_work.overdue_ever,
        population="rounds that were open at some moment of the period",
        counted="being open in the period; a round counts in every such period",
        numerator="at some moment of the period the round was open and its due time had passed",
        excluded=_NO_WORK,
        better="lower",
    ),
    Definition(
        code="time-by-status",
        title="Time in each status",
        group=OPEN,
        kind=Kind.TIME,
        observe=of_open_work.time_by_status,
        population="rounds that were open in the period, without those entered in error, duplicates and merged cases",
        counted="the part of the time that lies in the period",
        measured="from when a status was recorded to when the next one, or the end of the round, was",
        category="status",
        unit="s",
    ),
    Definition(
        code="time-by-owner",
        title="Time with each owner",
        group=OPEN,
        kind=Kind.TIME,
        observe=of_open_work.time_by_owner,
        population="rounds that were open in the period, without those entered in error, duplicates and merged cases",
        counted="the part of the time that lies in the period",
        measured="from when an owner was recorded to when the next one, or the end of the round, was",
        category="owner",
        unit="s",
        strata=_NO_OWNER,
    ),
    # Blockers and escalations
    Definition(
        code="blockers",
        title="Blockers raised",
        group=OBSTACLES,
        kind=Kind.COUNT,
        observe=of_open_work.blockers,
        population="blockers raised on open rounds, without those entered in error, duplicates and merged cases; other "
        "words about the same kind of blocker are no new one",
        counted="the raising",
        measured="blockers",
        category="kind of blocker",
        unit="blockers",
    ),
    Definition(
        code="blockers-again",
        title="Blockers that came back",
        group=OBSTACLES,
        kind=Kind.PROPORTION,
        observe=of_open_work.blockers_again,
        population="blockers raised on open rounds, without those entered in error, duplicates and merged cases; other "
        "words about the same kind of blocker are no new one",
        counted="the raising",
        numerator="the same kind of blocker had held up the same case before, and had gone since",
        category="kind of blocker",
        strata=_WITH_CATEGORY,
        better="lower",
    ),
    Definition(
        code="suggestions-accepted",
        title="Suggestions from remarks that people agreed with",
        group=OBSTACLES,
        kind=Kind.PROPORTION,
        observe=of_open_work.suggestions,
        population="answers of people to what a remark suggested, each once, on the case on which it was given",
        counted="the answer",
        numerator="the suggestion was accepted, which raised its blocker",
        category="rule that suggested it",
        strata=_WITH_CATEGORY,
        better="higher",
    ),
    Definition(
        code="time-blocked",
        title="Time lost to blockers",
        group=OBSTACLES,
        kind=Kind.TIME,
        observe=of_open_work.time_blocked,
        population="rounds that were open in the period, without those entered in error, duplicates and merged cases",
        counted="the part of the time that lies in the period",
        measured="from when a kind of blocker was recorded to when it was recorded as gone, or the round as ended",
        category="kind of blocker",
        unit="s",
    ),
    Definition(
        code="escalations",
        title="Escalations",
        group=OBSTACLES,
        kind=Kind.COUNT,
        observe=of_outreach.escalations,
        population="steps of escalations, also those that only remind the owner, each once, on the case on which it "
        "was taken (merged ones too)",
        counted="the step",
        measured="steps",
        category="level",
        unit="escalations",
    ),
    Definition(
        code="escalations-by-trigger",
        title="Escalations, by what triggered them",
        group=OBSTACLES,
        kind=Kind.COUNT,
        observe=of_outreach.escalations_by_trigger,
        population="escalations, each once however far it climbed, on the case on which it began (merged ones too)",
        counted="the first step",
        measured="escalations",
        category="trigger",
        unit="escalations",
    ),
    Definition(
        code="escalation-answer",
        title="Time until an escalation was answered",
        group=OBSTACLES,
        kind=Kind.DISTRIBUTION,
        observe=of_outreach.escalation_answer,
        population="escalations that were acknowledged or ended, without cases merged and rounds entered in error",
        counted="the answer",
        measured="from the first step to the first answer, on whatever step it came",
        pending="escalations that nobody has answered yet",
        category="trigger",
        unit="s",
        strata=_WITH_CATEGORY,
        better="lower",
    ),
    # Closing and who did it
    Definition(
        code="closure-reasons",
        title="Why cases were closed",
        group=ENDINGS,
        kind=Kind.COUNT,
        observe=of_endings.closure_reasons,
        population="rounds that ended, also as entered in error or duplicate; no merged cases",
        counted="the end",
        measured="closings; one that is replaced by another reason counts by that one, when it was replaced",
        category="reason",
        unit="closings",
    ),
    Definition(
        code="closed-by-owner",
        title="Cases closed, by owner",
        group=ENDINGS,
        kind=Kind.COUNT,
        observe=of_endings.closed_by_owner,
        population=f"rounds that ended, without {_NO_WORK}",
        counted="the end",
        measured="closings, by who owned the case until then",
        category="owner",
        unit="closings",
        strata=_NO_OWNER,
    ),
)

BY_CODE = {definition.code: definition for definition in DEFINITIONS}
GROUPS = tuple(dict.fromkeys(definition.group for definition in DEFINITIONS))
