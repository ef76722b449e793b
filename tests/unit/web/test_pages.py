"""The pages as a person reads them, without a browser; ``tests/browser`` holds what needs one."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands as do
from bridge.cases.changes import Fact
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel
from bridge.store.rows import Cursor
from bridge.web.words import FACT_TEXT, INTENT_TEXT, STATE_TEXT
from tests.unit.web.builders import NOW, Clinic

OURS = {"Sec-Fetch-Site": "same-origin"}

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    '<math><mi//xlink:href="data:x,<script>alert(1)</script>">',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "</textarea></title><iframe src=//evil.example>",
    "\u202eevil\u0000\x1b[31m\r\nSet-Cookie: a=b",
)


def test_row_answers_the_questions_without_a_click(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    clinic.do(case, do.Assign(owner="maria"))
    clinic.do(case, do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"))
    clinic.do(case, do.LogOutreach(channel=Channel.VOICEMAIL, outcome=AttemptOutcome.LEFT_MESSAGE))
    clinic.deliver(case, IntentState.CONFIRMED)
    clinic.now = NOW + timedelta(days=30)

    text = _text(client.get("/").text)

    for words in (
        "Ada Synthetic",
        "Cardiology referral",
        "Maria Synthetic",
        "Transport",
        "Voicemail: message left",
    ):
        assert words in text
    assert "Overdue since" in text


def test_views_and_filters_are_in_the_address_and_keep_each_other(clinic: Clinic, client: TestClient) -> None:
    clinic.referral()

    page = client.get("/", params={"view": "overdue", "lane": "referral", "owner": "maria"}).text

    assert 'href="/?lane=referral&amp;owner=maria"' in page
    assert '<option value="referral" selected>' in page


def test_no_address_holds_anything_about_a_patient(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    pages = [client.get(path).text for path in ("/", f"/cases/{case.id}", "/connections", "/measures")]
    pages.append(client.post("/search", data={"q": "synthetic"}, headers=OURS).text)

    addresses = re.findall(r'(?:href|action|src|hx-get)="([^"]*)"', "".join(pages))

    assert addresses
    assert not any(re.search(r"ada|synthetic|MRN|1971|Patient", address, re.I) for address in addresses)


def test_search_finds_open_and_closed_cases(clinic: Clinic, client: TestClient) -> None:
    clinic.referral(1, "Ada Synthetic")
    clinic.referral(2, "Bola Example")

    text = _text(client.post("/search", data={"q": "bola"}, headers=OURS).text)

    assert "Bola Example" in text

    assert "Ada Synthetic" not in text
    assert "Nothing found" in client.post("/search", data={"q": "zzz"}, headers=OURS).text


def test_more_cases_than_a_page_are_all_reached_by_links(clinic: Clinic, client: TestClient) -> None:
    expected = {clinic.referral(number).id for number in range(1, 56)}
    seen: set[str] = set()
    address: str | None = "/"

    while address is not None:
        page = client.get(address).text
        seen |= set(re.findall(r'id="row-(\w+)"', page))
        following = re.search(r'<a href="([^"]+)">Next page', page)
        address = following[1].replace("&amp;", "&") if following else None

    assert seen == expected


@pytest.mark.parametrize("path", ["/", "/?view=closed", "/?lane=referral", "/connections"])
def test_empty_pages_say_so(path: str) -> None:
    clinic = Clinic()
    clinic.lines = {}

    text = _text(clinic.client().get(path).text)

    assert "No connection" in text


def test_page_stays_alone_while_nothing_has_changed(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    for path in ("/", f"/cases/{case.id}", "/connections"):
        part = client.get(path, headers={"HX-Request": "true"})
        digest = part.text.split('"X-Seen": "')[1].split('"')[0]
        assert "<html" not in part.text
        assert client.get(path, headers={"HX-Request": "true", "X-Seen": digest}).status_code == 204
    clinic.do(case, do.Assign(owner="maria"))
    assert client.get("/", headers={"HX-Request": "true", "X-Seen": digest}).status_code == 200


def test_case_page_names_the_patient_by_two_identifiers_and_language(clinic: Clinic, client: TestClient) -> None:
    text = _text(client.get(f"/cases/{clinic.referral().id}").text)

    for words in ("Ada Synthetic", "Born 1971-03-02", "Identifier MRN-0001", "Language Spanish (es-US)"):
        assert words in text
    assert "America/New_York" in text


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("log-outreach", {"channel": "phone", "outcome": "no-answer"}),
        ("assign", {"owner": "maria"}),
        ("set-next-action", {"code": "schedule", "due_at": "2026-12-01T09:00"}),
        ("raise-blocker", {"category": "transport", "text": "no car"}),
        ("snooze", {"until": "2026-12-01T09:00", "reason": "patient travels"}),
        ("escalate", {"why": "no slot"}),
        ("note", {"text": "called the daughter"}),
        ("close", {"reason": "completed", "outcome": "seen"}),
    ],
)
def test_each_form_does_its_command_and_comes_back(
    clinic: Clinic, client: TestClient, name: str, form: dict[str, str]
) -> None:
    case = clinic.referral()

    answer = _send(client, case.id, name, {**form, "version": str(case.version)})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{case.id}?done={name}")
    assert clinic.case(case).version == case.version + 1
    assert 'class="notice good"' in client.get(answer.headers["location"]).text


def test_refused_form_keeps_what_was_typed(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    answer = _send(client, case.id, "close", {"reason": "other", "evidence": "Binary 77", "version": str(case.version)})

    assert answer.status_code == 409
    assert "Other needs an outcome in words." in answer.text
    assert 'value="Binary 77"' in answer.text
    assert clinic.case(case) == case


def test_stale_form_shows_what_changed_and_offers_to_go_on(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    now_at = clinic.do(case, do.Assign(owner="maria")).version

    answer = _send(client, case.id, "note", {"text": "my remark", "version": str(case.version)})

    assert answer.status_code == 409
    assert "Owner: Maria Synthetic" in answer.text
    assert "my remark" in answer.text
    again = _send(client, case.id, "note", {"text": "my remark", "version": str(now_at)})
    assert again.status_code == 303
    assert f'name="version" value="{now_at}"' in answer.text


def test_sending_a_form_twice_does_it_once(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    form = {"channel": "phone", "outcome": "no-answer", "version": str(case.version)}

    first, second = (_send(client, case.id, "log-outreach", form) for _ in range(2))

    assert (first.status_code, second.status_code) == (303, 409)
    assert len(clinic.case(case).outreach) == 1


def test_open_page_says_that_the_case_changed(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    live = client.get(f"/cases/{case.id}").text.split('hx-get="')[1].split('"')[0]
    clinic.do(case, do.Assign(owner="maria"))

    assert "This case changed since you opened it." in client.get(live, headers={"HX-Request": "true"}).text


def test_stale_data_is_a_warning_on_list_and_case(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.read_to(NOW - timedelta(minutes=16))

    assert "Out of date." in client.get("/").text
    assert "Out of date." in client.get(f"/cases/{case.id}").text


def test_merged_case_leads_to_the_one_it_went_into(clinic: Clinic, client: TestClient) -> None:
    merged, into = clinic.merged()

    answer = client.get(f"/cases/{merged.id}")

    assert (answer.status_code, answer.headers["location"]) == (308, f"/cases/{into.id}")


def test_parked_rows_are_looked_at_masked_and_read_again(clinic: Clinic, client: TestClient) -> None:
    row = clinic.park(
        "Task/1", "unknown-status", "Task.status 'doing' is no code", b'{"status":"doing","note":"canary"}'
    )

    overview = client.get("/connections").text
    group = client.get("/parked?connection=main&type=Task&code=unknown-status").text
    one = client.get(f"/inbox/{row}").text
    form = {"connection": "main", "type": "Task", "code": "unknown-status"}
    again = client.post("/connections/replay-inbox", data=form, headers=OURS)

    assert "Task.status &#39;doing&#39; is no code" in overview
    assert f"/inbox/{row}" in group
    assert "canary" not in one
    assert (again.status_code, clinic.replayed) == (303, [("inbox", (row,))])


def test_what_the_ehr_warned_of_stands_on_the_connection_page(clinic: Clinic, client: TestClient) -> None:
    clinic.read_to(clinic.now, warnings=("warning:incomplete x1",))

    page = client.get("/connections").text
    streams = client.get("/api/v1/connections").json()["connections"][0]["streams"]

    assert "<li>Task: warning:incomplete x1</li>" in page
    assert [stream["warnings"] for stream in streams if stream["type"] == "Task"] == [["warning:incomplete x1"]]


def test_how_each_type_is_read_and_why_stands_on_the_connection_page(clinic: Clinic, client: TestClient) -> None:
    with clinic.store.transaction() as tx:
        tx.save_cursor(Cursor(connection="main", stream="Task", rung="by-patient"))

    page = client.get("/connections").text
    shown = client.get("/api/v1/connections").json()["connections"][0]

    assert "<td>By patient</td><td>date: searched by modified; the server gave none</td>" in page
    assert "<li>Task can be searched; by the profile it cannot</li>" in page
    task = next(stream for stream in shown["streams"] if stream["type"] == "Task")
    assert (task["rung"], task["rung_reason"]) == ("by-patient", "date: searched by modified; the server gave none")
    assert shown["disagreements"] == ["Task can be searched; by the profile it cannot"]


def test_parked_write_is_tried_again(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    clinic.deliver(case, IntentState.PARKED, "The server refused the owner.")
    page = client.get("/connections").text
    row = re.search(r'name="id" value="(\d+)"', page)
    assert row is not None
    assert "The server refused the owner." in page

    again = client.post("/connections/replay-outbox", data={"id": row[1]}, headers=OURS)

    assert again.headers["location"] == "/connections?queued=1"
    assert "The server refused the owner." not in client.get("/connections").text


@pytest.mark.parametrize("path", ["/cases/nothing", "/inbox/77", "/nowhere"])
def test_what_is_not_there_is_said_on_a_page(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert "<h1>Not Found</h1>" in answer.text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text_everywhere(clinic: Clinic, client: TestClient, hostile: str) -> None:
    """S17: the same page with harmless text has the same tags and attributes."""

    def pages(word: str) -> list[list[tuple[str, tuple[str, ...]]]]:
        clinic = Clinic()
        case = clinic.referral(1, word, title=word)
        clinic.do(case, do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.REACHED, understood=word))
        clinic.do(case, do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text=word))
        clinic.do(case, do.Note(text=word))
        clinic.do(case, do.Escalate(why=word))
        clinic.deliver(case, IntentState.PARKED, word)
        clinic.park("Task/1", "unreadable", word, b"{}")
        clinic.read_to(NOW, problem=word)
        client = clinic.client()
        refused = _send(client, case.id, "close", {"reason": "other", "evidence": word, "version": "99"})
        found = [client.get(path).text for path in ("/", f"/cases/{case.id}", "/review", "/connections", "/inbox/1")]
        found.append(client.post("/search", data={"q": word}, headers=OURS).text)
        found.append(client.post("/reassign", data={"id": case.id, "owner": "maria"}, headers=OURS).text)
        return [_tags(text) for text in (*found, refused.text)]

    assert pages(hostile) == pages("x" * 3)


def test_every_page_is_small(clinic: Clinic, client: TestClient) -> None:
    """U46: at most 150 KB, scripts and styles included."""
    for number in range(1, 51):
        clinic.referral(number, f"Patient With Quite A Long Name {number}")
    assets = sum(len(client.get(address).content) for address in _assets(client.get("/").text))

    assert len(client.get("/").content) + assets < 150_000


def test_nothing_is_inline_or_from_elsewhere(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()
    for path in ("/", f"/cases/{case.id}", "/review", "/measures", "/connections"):
        text = client.get(path).text
        assert not re.search(r"<style|style=|<script>|\son\w+=|https?://(?!main\.example)", text)


def test_every_label_belongs_to_a_field(clinic: Clinic, client: TestClient) -> None:
    text = client.get(f"/cases/{clinic.referral().id}").text
    ids = re.findall(r'\sid="([^"]+)"', text)

    assert len(ids) == len(set(ids))
    assert set(re.findall(r'<label for="([^"]+)"', text)) <= set(ids)


def test_every_state_and_intent_has_words() -> None:
    assert set(STATE_TEXT) == {state.value for state in IntentState} | {"sent"}
    assert set(INTENT_TEXT) == set(IntentKind)


def test_every_change_has_words() -> None:
    assert set(FACT_TEXT) == set(Fact.__args__)


def _send(client: TestClient, case_id: str, name: str, form: dict[str, str]):  # type: ignore[no-untyped-def]
    return client.post(f"/cases/{case_id}/commands/{name}", data=form, headers=OURS)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _parsed(text: str) -> _Tags:
    parser = _Tags()
    parser.feed(text)
    return parser


def _tags(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return _parsed(text).found


def _text(text: str) -> str:
    return " ".join(" ".join(_parsed(text).words).split())


def _assets(text: str) -> set[str]:
    return set(re.findall(r'(?:href|src)="(/static/[^"]+)"', text))
