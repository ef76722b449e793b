"""The case page: the four answers, the patient, the history, and what a person can do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from bridge.cases.clinical import who_may_answer
from bridge.cases.commands import AnyCommand
from bridge.cases.consent import unwanted
from bridge.cases.duties import work_begun_at
from bridge.cases.facts import gather
from bridge.cases.lanes import Lane
from bridge.cases.model import CasePatient
from bridge.cases.outreach import in_vain
from bridge.cases.proof import proof_wanted
from bridge.cases.terms import (
    ACTION_TEXT,
    CLINICAL,
    AttemptOutcome,
    Barrier,
    BlockerCategory,
    Channel,
    ClosureReason,
    Concern,
    OwnerKind,
)
from bridge.sync.line import Line
from bridge.web.api import CaseId, carry_out
from bridge.web.bodies import FormBody
from bridge.web.context import WebContext
from bridge.web.pages.forms import NOT_THE_COMMAND, command_of, seen_version
from bridge.web.pages.frame import frame
from bridge.web.pages.render import html, live, page
from bridge.web.problems import ApiError
from bridge.web.reading import Read, read_case
from bridge.web.timeline import timeline
from bridge.web.views import TimelineEntry
from bridge.web.who import stand_in, who
from bridge.web.words import script_text, spoken

DONE = {
    "assign": "Owner changed.",
    "log-outreach": "Attempt recorded.",
    "raise-blocker": "Blocker raised.",
    "clear-blocker": "Blocker cleared.",
    "accept-suggestion": "Blocker raised, in the words of the remark.",
    "dismiss-suggestion": "Dismissed; it is not suggested again.",
    "set-next-action": "Next action set.",
    "snooze": "Put off.",
    "escalate": "Escalated.",
    "acknowledge-escalation": "Escalation answered.",
    "claim": "The case is yours.",
    "note": "Note added.",
    "close": "Case closed.",
    "reopen": "Case reopened.",
}
"""What each command's page says when it was carried out; every command has a line (tested)."""


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    pages = APIRouter(default_response_class=Response, include_in_schema=False)

    @pages.get("/cases/{case_id}")
    def case(request: Request, case_id: CaseId, done: str = "", seen: int | None = None) -> Response:
        read = read_case(context, case_id)
        if read.case.merged_into is not None:
            return RedirectResponse(f"/cases/{read.case.merged_into}", 308)
        seen = seen or read.case.version
        values = {**_values(context, request, read), "done": DONE.get(done), "seen": seen}
        return live(request, "case.html", "_case.html", values, address=f"/cases/{case_id}?seen={seen}")

    @pages.post("/cases/{case_id}/commands/{name}")
    def command(request: Request, case_id: CaseId, name: str, form: FormBody) -> Response:
        if name not in DONE:
            raise ApiError(404, "There is no such command.")
        try:
            wanted: AnyCommand = command_of(name, form, context.zone)
            carry_out(context, case_id, wanted, by=who(context, request), version=seen_version(form))
        except ApiError as error:
            return _not_done(context, request, case_id, name, form, error)
        return RedirectResponse(f"/cases/{case_id}?done={name}", 303)

    return pages


def _not_done(
    context: WebContext, request: Request, case_id: str, name: str, form: Mapping[str, str], error: ApiError
) -> Response:
    """Show why a command was not carried out, with everything that was typed still there."""
    if error.problem.status == 404:
        raise error
    read = read_case(context, case_id)
    values = _values(context, request, read)
    if error.problem.status == 412:
        return html(page("conflict.html", **_conflict(read, values, name, form)), 409)
    filled = {
        **values,
        "refused": name,
        "error": error.problem.detail,
        "typed": form,
        "seen": read.case.version,
        "digest": "",
        "address": f"/cases/{case_id}?seen={read.case.version}",
    }
    text = page("case.html", **filled, inner=page("_case.html", **filled))
    return html(text, error.problem.status)


def _conflict(read: Read, values: Mapping[str, Any], name: str, form: Mapping[str, str]) -> Mapping[str, Any]:
    seen = seen_version(form)
    since = [entry for entry in values["entries"] if entry.version is not None and entry.version > seen]
    typed = {field: text for field, text in form.items() if field not in NOT_THE_COMMAND and text.strip()}
    return {**values, "name": name, "wanted": spoken(name), "typed": typed, "since": since, "seen": seen}


def _values(context: WebContext, request: Request, read: Read) -> Mapping[str, Any]:
    now = context.clock()
    entries = timeline(read.changes, read.writes, zone=context.zone, now=now)
    as_of = read.view.data_as_of
    return frame(
        context,
        request,
        case=read.view,
        is_open=read.case.is_open,
        snoozed_until=read.case.local.snoozed_until,
        snooze_reason=read.case.local.snooze_reason,
        visit_at=read.case.visit_at,
        notes=sorted(read.case.notes, key=lambda note: note.at, reverse=True),
        outreach=sorted(read.view.outreach, key=lambda attempt: attempt.at, reverse=True),
        last=max(read.view.outreach, key=lambda attempt: attempt.at, default=None),
        escalations=sorted(read.view.escalations, key=lambda one: (one.resolved_at is None, one.since), reverse=True),
        suggestions=read.suggestions,
        tried=_tried(context, read),
        acts=stand_in(context, read.case),
        may_claim=_may_claim(context, request, read),
        only_licensed=_only_licensed(context, request, read),
        entries=[entry for entry in reversed(entries) if _is_told(entry)],
        stale=as_of is None or now - as_of > context.stale_after,
        done=None,
        refused=None,
        error=None,
        typed={},
        **_choices(context, read),
    )


def _tried(context: WebContext, read: Read) -> tuple[int, int] | None:
    """Return how many attempts were in vain since somebody last had to act, and how many the lane makes."""
    line, case = context.lines.get(read.case.connection), read.case
    facts = gather(case.root, read.sources, line.rules, case.lane) if line is not None and read.sources else None
    if line is None or facts is None or facts.lane.outreach is None or not case.is_open:
        return None
    begun_at = work_begun_at(facts, line.rules, case.local, case.opened_at, context.clock())
    return len(in_vain(case.outreach, begun_at)), facts.lane.outreach.attempts


def _may_claim(context: WebContext, request: Request, read: Read) -> bool:
    line = context.lines.get(read.case.connection)
    waits = read.case.is_open and read.case.owner.kind is OwnerKind.ROLE
    return waits and line is not None and line.rules.owners.works(who(context, request), read.case.owner.id)


def _only_licensed(context: WebContext, request: Request, read: Read) -> str | None:
    """Return who answers the case's clinical question, where whoever looks may not; else ``None``."""
    line, asked = context.lines.get(read.case.connection), read.case.escalation
    if line is None or asked is None or asked.trigger not in CLINICAL:
        return None
    owners = line.rules.owners
    return None if owners.is_licensed(who(context, request)) else who_may_answer(owners)


def _is_told(entry: TimelineEntry) -> bool:
    """Whether a person wants to read of it: not of superseded writes, nor of how decisions are kept."""
    if entry.write is not None:
        return entry.write.state != "superseded"
    return entry.what != "local-decided"


def _channels(lane: Lane | None, patient: CasePatient | None, refused: Collection[Channel]) -> list[Channel]:
    """Return the ways that lane and patient allow, the one that the patient prefers by the EHR's record first."""
    allowed = lane.outreach.channels if lane is not None and lane.outreach is not None else tuple(Channel)
    offered = [channel for channel in allowed if channel not in refused] or allowed
    preferred = _PREFERRED.get(patient.contact_preference or "") if patient is not None else None
    return sorted(offered, key=lambda one: one is not preferred)


_PREFERRED = {"phone": Channel.PHONE, "sms": Channel.TEXT, "email": Channel.EMAIL}
"""FHIR R4 contact-point-system, as ways of ours."""


def _quiet_until(context: WebContext, line: Line | None, lane: Lane | None) -> datetime | None:
    """Return when the lane's quiet hours are over, while they hold."""
    if line is None or lane is None or lane.outreach is None or lane.outreach.quiet is None:
        return None
    now, zone = context.clock(), line.rules.calendar.zone
    return lane.outreach.quiet.over(now, zone) if lane.outreach.quiet.holds(now, zone) else None


def _scripts(context: WebContext, lane: Lane | None, refused: Collection[Channel]) -> Mapping[Channel, str]:
    """Return what the lane says by each way that is offered, with the clinic's name and number filled in."""
    if lane is None or lane.outreach is None:
        return {}
    return {
        channel: script_text(script, clinic=context.clinic, callback=context.callback)
        for channel, script in lane.outreach.scripts.items()
        if channel in lane.outreach.channels and channel not in refused
    }


def _choices(context: WebContext, read: Read) -> dict[str, Any]:
    line = context.lines.get(read.case.connection)
    lane = line.rules.lanes[read.case.lane] if line and read.case.lane in line.rules.lanes else None
    refused = unwanted((*read.case.outreach, *read.elsewhere), context.clock())
    return {
        "can_act": line is not None,
        "lane_title": lane.title if lane else spoken(read.case.lane),
        "owners": line.rules.owners.entries() if line else (),
        "closes_with": lane.closes_with if lane else tuple(ClosureReason),
        "proof": proof_wanted(lane, read.case) if lane else {},
        "scripts": _scripts(context, lane, refused),
        "actions": ACTION_TEXT,
        "channels": _channels(lane, read.case.patient, refused),
        "every_channel": list(Channel),
        "unwanted": refused,
        "quiet_until": _quiet_until(context, line, lane),
        "outcomes": list(AttemptOutcome),
        "barriers": list(Barrier),
        "concerns": list(Concern),
        "blockers": lane.blockers if lane else tuple(BlockerCategory),
    }
