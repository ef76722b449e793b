"""What the case page adds to the bare facts: taking a case, escalations, suggestions, scripts, proof."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.owners import OwnerEntry
from bridge.cases.snapshot import Party, Remark
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, Concern, OwnerKind
from bridge.errors import CommandRefused
from bridge.web.words import CHANNEL_KEYS, OUTCOME_KEYS
from tests.unit.web.builders import MAIN, NOW, Clinic, a_line, a_person, a_snapshot
from tests.unit.web.test_who import OURS, say


def words_of(text: str) -> str:
    """Return a page's text without tags, with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def part(text: str, title: str) -> str:
    """Return the section of a page whose heading begins with *title*, as words."""
    found = [section for section in text.split("<section")[1:] if words_of(section.split("</h2>")[0]).find(title) >= 0]
    assert found, title
    return words_of(found[0].split("</section>")[0])


def test_one_page_answers_the_five_questions(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.do(case, do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"))
    clinic.do(case, do.LogOutreach(channel=Channel.VOICEMAIL, outcome=AttemptOutcome.LEFT_MESSAGE))

    text = client.get(f"/cases/{case.id}").text
    answers = dict(re.findall(r'<div class="answer[^"]*"><dt>([^<]+)</dt><dd>(.*?)</dd></div>', text, re.S))

    found = {question: words_of(answer) for question, answer in answers.items()}
    assert list(found) == ["Status", "Next", "Owner", "Blocked by", "Last outreach"]
    assert found["Status"].startswith("Waiting on patient")
    assert found["Next"].startswith("Call the patient")
    assert found["Owner"].startswith("Referral coordinators")
    assert found["Blocked by"].startswith("Transport no car")
    assert found["Last outreach"].startswith("Voicemail: message left today 10:00 by Maria Synthetic")


def test_a_case_of_a_queue_is_taken_by_who_works_it(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    assert "Take this case" not in client.get(f"/cases/{case.id}").text
    assert "say at the top of the page who you are" in client.get(f"/cases/{case.id}").text

    say(client, "maria")
    assert "Take this case" in client.get(f"/cases/{case.id}").text
    answer = client.post(f"/cases/{case.id}/commands/claim", data={"version": str(case.version)}, headers=OURS)

    assert answer.headers["location"] == f"/cases/{case.id}?done=claim"
    assert clinic.case(case).owner.id == "maria"
    assert "Take this case" not in client.get(f"/cases/{case.id}").text


def test_every_escalation_is_shown_with_how_it_stands(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.do(case, do.Escalate(why="no slot in spring", to="supervisor"))
    clinic.do(case, do.AcknowledgeEscalation(resolved=True))
    clinic.now = NOW + timedelta(minutes=5)
    clinic.do(case, do.Escalate(why="still none", to="clinician"))

    text = client.get(f"/cases/{case.id}").text

    shown = part(text, "Escalations")
    assert "still none person, by Maria Synthetic Clinicians step 1 Not answered" in shown
    assert "no slot in spring person, by Maria Synthetic Supervisors step 1 Over today 10:00 by Maria" in shown
    assert shown.index("still none") < shown.index("no slot in spring")
    assert "beneath: new" in words_of(text)


def test_a_clinical_question_is_answered_by_licensed_staff_alone(clinic: Clinic, client: TestClient) -> None:
    nora = OwnerEntry("nora", OwnerKind.PERSON, "Nora Ibsen, RN", licensed=True)
    clinic.lines[MAIN] = a_line(MAIN, nora)
    case, worse = clinic.referral(), (Concern.WORSENING_SYMPTOMS,)
    case = clinic.do(case, do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.REACHED, concerns=worse))
    clinic.arrive(a_snapshot(case.root, "completed", version="2", updated_at=NOW))
    case = clinic.case(case)
    page, form = f"/cases/{case.id}", {"version": str(case.version), "resolved": "true"}

    say(client, "maria")
    text = words_of(client.get(page).text)
    assert "Answer the clinical question: The patient reports worsening symptoms. The work has ended in the EHR" in text
    assert "answered by licensed staff alone. Who may answer: Nora Ibsen, RN." in text
    assert "Answer the escalation" not in text
    refused = client.post(f"{page}/commands/acknowledge-escalation", data=form, headers=OURS)
    assert refused.status_code == 409
    assert "maria is not licensed staff. Who may answer: Nora Ibsen, RN." in words_of(refused.text)
    told = client.post(
        f"/api/v1{page}/commands",
        json={"command": "acknowledge-escalation"},
        headers={"If-Match": f'"{case.version}"', "Acting-As": "maria"},
    )
    assert told.status_code == 409
    assert "not licensed staff" in told.json()["detail"]
    assert clinic.case(case) == case

    say(client, "nora")
    assert "Answer the escalation" in words_of(client.get(page).text)
    client.post(f"{page}/commands/acknowledge-escalation", data=form, headers=OURS)
    assert not clinic.case(case).is_open


def test_the_stage_is_in_the_answers_of_the_api(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.do(case, do.Escalate(why="no slot"))

    shown = client.get(f"/api/v1/cases/{case.id}").json()

    assert (shown["status"], shown["stage"]) == ("escalated", "new")
    assert [(one["trigger"], one["level"], one["resolved_at"]) for one in shown["escalations"]] == [("person", 1, None)]
    assert shown["escalation"] == shown["escalations"][0]


def test_a_suggestion_is_accepted_in_the_words_of_the_remark(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral(remarks=(Remark("Needs a Somali interpreter."),))
    text = client.get(f"/cases/{case.id}").text
    assert "Needs a Somali interpreter. ServiceRequest/1" in part(text, "Is this what holds the case up?")
    key = re.search(r'name="key" value="(\w+)"', text)
    assert key is not None

    form = {"key": key[1], "version": str(case.version)}
    answer = client.post(f"/cases/{case.id}/commands/accept-suggestion", data=form, headers=OURS)

    assert answer.status_code == 303
    blocker = clinic.case(case).blocker
    assert blocker is not None
    assert (blocker.category, blocker.text) == (BlockerCategory.LANGUAGE, "“Needs a Somali interpreter.”")
    assert "Is this what holds the case up?" not in client.get(f"/cases/{case.id}").text


def test_a_dismissed_suggestion_is_gone_and_told_in_the_timeline(clinic: Clinic, client: TestClient) -> None:
    case = clinic.do(clinic.referral(), do.Note(text="Has no ride."))
    (found,) = client.get(f"/api/v1/cases/{case.id}/suggestions").json()["suggestions"]

    form = {"key": found["key"], "version": str(case.version)}
    client.post(f"/cases/{case.id}/commands/dismiss-suggestion", data=form, headers=OURS)

    assert client.get(f"/api/v1/cases/{case.id}/suggestions").json()["suggestions"] == []
    assert "Suggestion dismissed: transport" in part(client.get(f"/cases/{case.id}").text, "Timeline")
    assert clinic.case(case).blocker is None


def test_concerns_that_came_up_are_kept_and_shown(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    form = {
        "channel": "phone",
        "outcome": "reached",
        "concerns": ["worsening-symptoms", "complaint"],
        "version": str(case.version),
    }

    answer = client.post(f"/cases/{case.id}/commands/log-outreach", data=form, headers=OURS)

    assert answer.status_code == 303
    assert clinic.case(case).outreach[0].concerns == (Concern.WORSENING_SYMPTOMS, Concern.COMPLAINT)
    assert "Worsening symptoms, Complaint" in part(client.get(f"/cases/{case.id}").text, "Outreach")


def test_ticked_boxes_stay_ticked_when_a_form_is_refused_or_stale(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    form = {"channel": "phone", "outcome": "reached", "concerns": ["complaint", "privacy-concern"], "version": "99"}
    stale = client.post(f"/cases/{case.id}/commands/log-outreach", data=form, headers=OURS).text
    assert 'name="concerns" value="complaint,privacy-concern"' in stale

    again = {**form, "concerns": "complaint,privacy-concern", "version": str(case.version), "at": "2030-01-01T10:00"}
    refused = client.post(f"/cases/{case.id}/commands/log-outreach", data=again, headers=OURS).text

    assert re.findall(r'name="concerns" value="([\w-]+)" checked', refused) == ["complaint", "privacy-concern"]


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ({"clinic": "Lakeside Clinic", "callback": "555-0100"}, "Lakeside Clinic: please call us back at 555-0100."),
        ({}, "[name of the clinic]: please call us back at [number to call back]."),
    ],
)
def test_the_lanes_words_for_each_channel_stand_beside_the_form(site: dict[str, str], said: str) -> None:
    clinic = Clinic(more=site)
    case = clinic.referral()

    text = clinic.client().get(f"/cases/{case.id}").text

    assert f'<div data-chosen="log-outreach-channel" data-value="text"><b>Text</b> <q>{said}</q></div>' in text


def test_what_a_reason_needs_is_said_before_it_is_asked_for(clinic: Clinic, client: TestClient) -> None:
    text = words_of(client.get(f"/cases/{clinic.referral().id}").text)

    assert "Completed needs an outcome in words, or a visit that took place, or a document or result" in text
    assert "Unable to reach needs 3 logged attempts in vain; there are 0." in text


def test_each_channel_and_outcome_has_a_letter_of_its_own(clinic: Clinic, client: TestClient) -> None:
    assert set(CHANNEL_KEYS) == set(Channel)
    assert set(OUTCOME_KEYS) == set(AttemptOutcome)
    text = client.get(f"/cases/{clinic.referral().id}").text
    for field, keys in (("channel", CHANNEL_KEYS), ("outcome", OUTCOME_KEYS)):
        select = text.split(f'<select id="log-outreach-{field}"')[1].split("</select>")[0]
        letters = dict(re.findall(r'<option value="([^"]+)" data-key="(\w)"', select))
        assert letters == {str(name): key for name, key in keys.items()}
        assert len(set(letters.values())) == len(letters)


def test_how_many_attempts_were_in_vain_is_told_against_how_many_the_lane_makes(
    clinic: Clinic, client: TestClient
) -> None:
    case = clinic.referral()
    told = []
    for outcome in (AttemptOutcome.NO_ANSWER, AttemptOutcome.REACHED, *(AttemptOutcome.LEFT_MESSAGE,) * 3):
        clinic.now += timedelta(minutes=1)
        clinic.do(case, do.LogOutreach(channel=Channel.PHONE, outcome=outcome))
        told.append(re.findall(r"\d of 3 attempts in vain[^.]*", client.get(f"/cases/{case.id}").text)[0])

    assert [one[:1] for one in told] == ["1", "0", "1", "2", "3"]
    assert told[-1] == "3 of 3 attempts in vain: that was enough by this lane"


def test_the_form_offers_the_ways_that_the_lane_allows_and_the_preferred_one_first(
    clinic: Clinic, client: TestClient
) -> None:
    task = a_snapshot("Task/9", "requested", title="Missed call", parent=None)
    (case,) = clinic.arrive(task)
    assert case.lane == "missed-call"
    clinic.meet(a_person(contact_preference="sms"))
    form = re.search(r'<select id="log-outreach-channel".*?</select>', client.get(f"/cases/{case.id}").text, re.S)

    assert form is not None
    assert re.findall(r'value="([\w-]+)"', form[0]) == ["text", "phone", "voicemail", "portal"]


def test_a_way_that_the_lane_does_not_allow_is_refused_with_those_that_it_does(
    clinic: Clinic, client: TestClient
) -> None:
    (case,) = clinic.arrive(a_snapshot("Task/9", "requested", title="Missed call", parent=None))
    command = {"channel": "email", "outcome": "sent"}
    said = "Patients of lane missed-call are not approached by email; they may be by phone, voicemail, portal, text."

    page = client.post(
        f"/cases/{case.id}/commands/log-outreach", data={**command, "version": str(case.version)}, headers=OURS
    )
    told = client.post(
        f"/api/v1/cases/{case.id}/commands",
        json={"command": "log-outreach", **command},
        headers={"If-Match": f'"{case.version}"'},
    )

    assert (page.status_code, told.status_code) == (409, 409)
    assert said in words_of(page.text)
    assert said in told.json()["detail"]
    assert clinic.case(case) == case


def test_in_quiet_hours_the_page_says_so_and_marks_what_rang(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    assert "Quiet hours until" not in words_of(client.get(f"/cases/{case.id}").text)
    clinic.now = NOW + timedelta(hours=12)

    text = words_of(client.get(f"/cases/{case.id}").text)
    assert re.search(r"Quiet hours until [^:]*08:00 : do not phone", text), text[text.find("Quiet") :]
    clinic.do(case, do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))

    assert "no answer in quiet hours" in part(client.get(f"/cases/{case.id}").text, "Outreach")
    assert client.get(f"/api/v1/cases/{case.id}").json()["outreach"][0]["in_quiet_hours"] is True


def test_what_the_patient_does_not_want_holds_on_each_of_their_cases(clinic: Clinic, client: TestClient) -> None:
    same = Party(type="Patient", ref="Patient/p1")
    somebody_else, one = clinic.referral(2), clinic.referral(1)
    (other,) = clinic.arrive(a_snapshot("ServiceRequest/3", patient=same))
    typed = {"version": str(one.version), "channel": "phone", "outcome": "reached", "refuses": ["text", "portal"]}
    assert client.post(f"/cases/{one.id}/commands/log-outreach", data=typed, headers=OURS).status_code == 303

    text = client.get(f"/cases/{other.id}").text
    assert "The patient does not want: " in text
    form = re.search(r'<select id="log-outreach-channel".*?</select>', text, re.S)
    assert form is not None
    offered = re.findall(r'<option value="([^"]+)"', form.group())
    assert "phone" in offered
    assert not {"text", "portal"} & set(offered)
    assert "The patient does not want: " not in client.get(f"/cases/{somebody_else.id}").text

    by_text = do.LogOutreach(channel=Channel.TEXT, outcome=AttemptOutcome.SENT)
    with pytest.raises(CommandRefused, match="has not wanted to be approached by text"):
        clinic.do(other, by_text)
    clinic.do(other, do.LogOutreach(channel=Channel.TEXT, outcome=AttemptOutcome.SENT, agrees=(Channel.TEXT,)))
    clinic.now += timedelta(minutes=1)
    clinic.do(one, by_text)


def test_people_are_told_by_the_names_that_they_go_by() -> None:
    clinic = Clinic(lines={MAIN: a_line(MAIN, OwnerEntry("ann", OwnerKind.PERSON, "Ann Weber"))})
    case, client = clinic.referral(), clinic.client()
    say(client, "ann")
    typed = {"version": str(case.version), "channel": "phone", "outcome": "reached", "concerns": "complaint"}
    client.post(f"/cases/{case.id}/commands/log-outreach", data=typed, headers=OURS)

    text = words_of(client.get(f"/cases/{case.id}").text)

    assert "by Ann Weber" in text
    assert "complaint, by the lane" in text
    assert "rule:complaint" not in part(client.get(f"/cases/{case.id}").text, "Escalations")
