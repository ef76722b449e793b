"""Notifications that come late, often, out of order, wrongly numbered, or not at all."""

from __future__ import annotations

from datetime import timedelta

from conformance.simulator.faults.base import Fault, FaultKind, OptionFault, natural, one_of, seconds


def _late(delay: str = "5") -> Fault:
    low, _, high = delay.partition("-")
    return OptionFault(hooks__delay=seconds(low), hooks__delay_at_most=seconds(high or low))


def _gives_up(after: str = "60", becomes: str = "active") -> Fault:
    return OptionFault(hooks__give_up_after=seconds(after), hooks__giving_up=one_of(becomes, "active", "error", "off"))


def _fails(after: str = "1", becomes: str = "error") -> Fault:
    return OptionFault(hooks__fail_after=natural(after), hooks__fail_as=one_of(becomes, "error", "off", "gone"))


KINDS = (
    FaultKind(
        "hook-late",
        "[SECONDS|FROM-TO]",
        "notifications come 5 seconds after their change; with a range each by chance",
        "HAPI starter, polling_interval_ms: 5000; HAPI 8.0.0: 4 to 7 s, seen 2026-11",
        _late,
    ),
    FaultKind(
        "hook-gives-up",
        "[SECONDS[,active|error|off]]",
        "a notification that cannot be delivered is dropped after a minute; the Subscription stays active, or not",
        "hapi-fhir #6002; HAPI 8.0.0 lost one of five and said active, seen 2026-11; medplum #8621 (off)",
        _gives_up,
    ),
    FaultKind(
        "hook-lost",
        "[EVERY]",
        "notifications are never sent: all of them, or every so many",
        "hapi-fhir #4504: events were lost when the pipeline failed; #5414: those of large resources",
        lambda every="1": OptionFault(hooks__lose_every=natural(every)),
    ),
    FaultKind(
        "hook-copies",
        "[COPIES]",
        "each notification is sent 19 times",
        "hapi-fhir #5208",
        lambda copies="19": OptionFault(hooks__copies=natural(copies)),
    ),
    FaultKind(
        "hook-shuffle",
        "[SECONDS]",
        "each notification is held back for a chance time up to 30 seconds, so they come out of order",
        "HAPI 8.0.0 after a subscriber was down, seen 2026-11; athenahealth: unordered",
        lambda most="30": OptionFault(hooks__delay_at_most=seconds(most)),
    ),
    FaultKind(
        "hook-blocked",
        "",
        "while an attempt to one subscriber waits to be repeated, nobody is told anything",
        "HAPI 8.0.0: a dead subscriber with a backlog held up the others for minutes, seen 2026-11",
        lambda: OptionFault(hooks__blocks=True),
    ),
    FaultKind(
        "hook-picky",
        "",
        "a 200 to a topic Bundle counts as failed unless it holds a Bundle, and is sent again every 2 seconds",
        "HAPI 8.0.0, HAPI-1814: 14 deliveries in 30 s, seen 2026-11; starter #677",
        lambda: OptionFault(hooks__bundle_in_answer=True, hooks__retry_every=timedelta(seconds=2)),
    ),
    FaultKind(
        "counter-per-bundle",
        "",
        "events are numbered from 1 in each Bundle",
        "athenahealth/aone-fhir-subscriptions README 4.2 to 5.2, 2024-11-19",
        lambda: OptionFault(hooks__numbering="bundle"),
    ),
    FaultKind(
        "counter-restarts",
        "[EVENTS]",
        "the event counter starts again after 3 events",
        "HAPI R4NotificationStatusBuilder: the counter is kept in memory, so a restart loses it",
        lambda every="3": OptionFault(hooks__restart_every=natural(every)),
    ),
    FaultKind(
        "counter-stuck",
        "",
        "every event carries the same number",
        "HAPI 8.0.0 R4B: create, update and delete all came as number 3, seen 2026-11",
        lambda: OptionFault(hooks__numbering="stuck"),
    ),
    FaultKind(
        "subscription-fails",
        "[AFTER[,error|off|gone]]",
        "after a notification the Subscription is in error, off, or deleted",
        "Subscriptions R5 Backport IG 1.1.0, errors; medplum #8621: disabled by itself",
        _fails,
    ),
    FaultKind(
        "subscription-silent",
        "",
        "Subscriptions are accepted and called active, and nothing is ever sent",
        "HAPI starter #964: R4 topic subscriptions were activated and never fired",
        lambda: OptionFault(hooks__fires=False),
    ),
)
