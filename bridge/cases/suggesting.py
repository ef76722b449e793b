"""
Suggestions from what people wrote: what a remark says about a blocker or a barrier, by rules that anybody can read.

A suggestion quotes the words that led to it and names its rule. It changes nothing: a person accepts it, which
raises the blocker under their name, or dismisses it; how often they agree is counted, rule by rule. A remark in
which the words are denied ("no transport problem"), asked about or said of the past ("was afraid, but") suggests
nothing (rules ours).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from bridge.cases.changes import CauseKind, Change, SuggestionAnswered
from bridge.cases.model import Case
from bridge.cases.snapshot import Snapshot
from bridge.cases.terms import Barrier, BlockerCategory


class Said(NamedTuple):
    """Something a person wrote; ``source`` is ``Type/id`` or ``note:N``, ``attempt:ID``."""

    text: str
    source: str
    at: datetime | None = None


class Suggestion(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    What a remark suggests.

    ``key`` is the same for the same words of the same remark, also once the remark went into another case: it is
    told by its time, or where it has none by what it is on.
    """

    key: str
    rule: str
    category: BlockerCategory
    barrier: Barrier | None
    quote: str
    source: str
    at: datetime | None


class Rule(NamedTuple):
    """How people say that something holds the work up; ``words`` are regular expressions, any of which will do."""

    name: str
    words: tuple[str, ...]
    category: BlockerCategory
    barrier: Barrier | None = None


_B = BlockerCategory
RULES: tuple[Rule, ...] = (
    Rule("transport", (r"(no|needs?|without|lacks?) (a )?(ride|car|transport\w*)", r"can(no|')t drive"), _B.TRANSPORT),
    Rule(
        "interpreter",
        (
            r"(needs?|requests?|wants?) (an? )?(\w+ )?interpreter",
            r"does(n't| not) speak english",
            r"language barrier",
        ),
        _B.LANGUAGE,
    ),
    Rule(
        "cost",
        (r"can(no|')t (afford|pay)", r"too expensive", r"worried about (the )?(cost|bill)"),
        _B.ELIGIBILITY,
        Barrier.COST,
    ),
    Rule(
        "insurance",
        (r"(insurance|coverage) (has )?(lapsed|expired|ended|changed|denied|question)", r"uninsured", r"no insurance"),
        _B.ELIGIBILITY,
        Barrier.INSURANCE_QUESTION,
    ),
    Rule(
        "authorization",
        (
            r"(awaiting|waiting (on|for)|needs?|pending) (the |a )?(prior )?auth\w*",
            r"(prior )?auth\w* (is )?(pending|denied)",
        ),
        _B.AUTHORIZATION,
    ),
    Rule(
        "documents",
        (
            r"(missing|needs?|waiting (on|for)|lacks?) (the |a )?(\w+ )?"
            r"(records?|documents?|forms?|imaging|report|notes)\b",
        ),
        _B.MISSING_DOCUMENTATION,
    ),
    Rule(
        "capacity",
        (
            r"no (open |free |available )?(slots?|appointments?|openings?)",
            r"(fully booked|booked out)",
            r"wait ?list",
        ),
        _B.SCHEDULING_CAPACITY,
    ),
    Rule(
        "unreachable",
        (
            r"(number|phone) (is )?(disconnected|not in service|out of service|wrong)",
            r"mailbox (is )?full",
            r"(returned|undeliverable) mail",
        ),
        _B.PATIENT_UNREACHABLE,
    ),
    Rule("phone-tag", (r"phone tag", r"keeps? missing our calls?"), _B.PATIENT_UNREACHABLE, Barrier.PHONE_TAG),
    Rule(
        "work",
        (r"can(no|')t (get|take) (time )?off( work)?", r"works? (nights?|days?|during)", r"work schedule"),
        _B.PATIENT_UNREACHABLE,
        Barrier.WORK_SCHEDULE,
    ),
    Rule(
        "fear",
        (r"(afraid|scared|frightened|anxious|nervous) (of|about|to)", r"fears? (the|that)"),
        _B.CLINICAL_REVIEW,
        Barrier.FEAR,
    ),
    Rule(
        "confusion",
        (r"(confused|unsure|not sure|unclear) (about|why|what|how|which)", r"does(n't| not) understand"),
        _B.CLINICAL_REVIEW,
        Barrier.CONFUSION,
    ),
    Rule(
        "technology",
        (
            r"(can(no|')t|unable to) (log ?in|connect|open the (link|portal|app))",
            r"no (smart ?phone|internet|e-?mail)",
        ),
        _B.PATIENT_UNREACHABLE,
        Barrier.TECHNOLOGY,
    ),
    Rule(
        "low-urgency",
        (
            r"does(n't| not) (think|see|feel) (it|this|they|the visit)[^.]{0,30}(need|urgent|important|necessary)",
            r"feels? (fine|better) now",
        ),
        _B.CLINICAL_REVIEW,
        Barrier.LOW_URGENCY,
    ),
    Rule(
        "clinical",
        (
            r"(needs?|awaiting|pending|requires?) (a |the )?"
            r"(clinical|clinician|physician|provider|nurse)('s)? (review|decision|sign)",
        ),
        _B.CLINICAL_REVIEW,
    ),
    Rule(
        "other-provider",
        (
            r"(waiting (on|for)|no (answer|reply|response) from) (the |their )?(\w+ )?"
            r"(specialist|clinic|office|practice|provider)",
        ),
        _B.EXTERNAL_PROVIDER,
    ),
)
"""Every rule; of one remark each rule suggests once."""

_COMPILED = tuple((rule, re.compile(rf"(?<![\w'])(?:{'|'.join(rule.words)})", re.IGNORECASE)) for rule in RULES)
_DENIALS = (
    r"no longer",
    r"any ?more",
    r"denies",
    r"denied (being|having|any)",
    r"(re)?solved",
    r"no(t a)? problem",
    r"no issue",
    r"is(n't| not)",
    r"wasn't",
    r"never",
)
_DENIED = re.compile(rf"(?<!\w)({'|'.join(_DENIALS)})(?!\w)", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?;\n]+[.!?;]?")
_LONGEST = 160


def suggestions(remarks: Iterable[Said]) -> list[Suggestion]:
    """Return what *remarks* suggest, in their order; the same rule about the same remark once."""
    return [found for remark in remarks for found in _of(remark)]


def remarks_of(case: Case, snapshots: Iterable[Snapshot]) -> list[Said]:
    """Return what people wrote: remarks on the case, what patients understood, and notes on its resources."""
    found = [Said(note.text, f"note:{number}", note.at) for number, note in enumerate(case.notes, 1)]
    for attempt in case.outreach:
        found += [
            Said(text, f"attempt:{attempt.id}", attempt.at)
            for text in (attempt.understood, attempt.next_action)
            if text is not None
        ]
    return [*found, *(Said(one.text, shot.ref, one.at) for shot in snapshots for one in shot.remarks)]


def offered(
    case: Case, snapshots: Iterable[Snapshot], allowed: Collection[BlockerCategory] = tuple(BlockerCategory)
) -> list[Suggestion]:
    """
    Return what is still to be answered: not what a person answered, nor what holds the case up anyway.

    Args:
        allowed: What a case of the lane may be held up by.

    Of several remarks that say the same by the same rule, the newest is offered.
    """
    standing = case.blocker.category if case.blocker is not None else None
    answered = {one.key for one in case.answered}
    found = [
        one
        for one in suggestions(remarks_of(case, snapshots))
        if one.key not in answered and one.category is not standing and one.category in allowed
    ]
    found.sort(key=lambda one: (one.at is not None, one.at or datetime.min.replace(tzinfo=UTC)))
    return list({(one.rule, one.quote.casefold()): one for one in found}.values())[::-1]


@dataclass(frozen=True)
class Agreement:
    """How often people agreed with a rule."""

    accepted: int = 0
    dismissed: int = 0


def agreement(history: Iterable[Change]) -> dict[str, Agreement]:
    """Return by rule how often people accepted and dismissed its suggestions in *history*, of one case or of many."""
    found: dict[str, Agreement] = {}
    for change in history:
        fact = change.fact
        if isinstance(fact, SuggestionAnswered) and change.cause.kind is CauseKind.PERSON:
            answer, before = fact.answer, found.get(fact.answer.rule, Agreement())
            found[answer.rule] = Agreement(before.accepted + answer.accepted, before.dismissed + (not answer.accepted))
    return found


def _of(remark: Said) -> Iterator[Suggestion]:
    seen: set[str] = set()
    for match in _SENTENCE.finditer(remark.text):
        sentence = match.group().strip()
        if sentence.endswith("?") or _DENIED.search(sentence):
            continue
        for rule, words in _COMPILED:
            if rule.name not in seen and words.search(sentence):
                seen.add(rule.name)
                yield _suggestion(rule, sentence[:_LONGEST], remark)


def _suggestion(rule: Rule, quote: str, remark: Said) -> Suggestion:
    said = remark.at.isoformat() if remark.at is not None else remark.source
    key = hashlib.sha256(f"{rule.name}\n{said}\n{quote}".encode()).hexdigest()[:16]
    return Suggestion(
        key=key,
        rule=rule.name,
        category=rule.category,
        barrier=rule.barrier,
        quote=quote,
        source=remark.source,
        at=remark.at,
    )
