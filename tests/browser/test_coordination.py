"""The practical tests of coordination: one page answers, three keys record, cases change hands, plots are drawn."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.cases.model import Case
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason
from tests.unit.web.builders import NOW, Clinic

pytestmark = pytest.mark.browser


def a_story(clinic: Clinic) -> Case:
    """A case with everything a newcomer asks for: owned, blocked, tried by voicemail, with others around it."""
    case = clinic.referral(1, "Ada Synthetic", title="Cardiology referral")
    clinic.referral(2, "Bola Example", title="Dermatology referral")
    clinic.do(case, do.Assign(owner="maria"))
    clinic.do(case, do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="has no ride on Tuesdays"))
    clinic.do(case, do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    clinic.now = NOW + timedelta(hours=1)
    clinic.do(case, do.LogOutreach(channel=Channel.VOICEMAIL, outcome=AttemptOutcome.LEFT_MESSAGE))
    clinic.now = NOW + timedelta(hours=2)
    return case


def answer(page: Page, question: str) -> str:
    """Return what a page answers to a question that stands above the answer, as a person reads it."""
    term = page.locator("dt", has_text=re.compile(rf"^{question}$"))
    expect(term).to_be_in_viewport()
    shown = term.locator("xpath=following-sibling::dd[1]")
    expect(shown).to_be_in_viewport()
    return " ".join(shown.inner_text().split())


def say_who(page: Page) -> None:
    """Say that one is Maria, and wait until the page knows."""
    page.get_by_label("I am").select_option("maria")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_text("as “Maria Synthetic”")).to_be_visible()


@pytest.mark.parametrize("size", [(1280, 900), (1024, 768)], ids=str)
def test_a_newcomer_finds_all_five_answers_on_one_page(clinic: Clinic, page: Page, size: tuple[int, int]) -> None:
    """
    The practical test: status, next action, owner, blocker and last outreach, without opening another page.

    Without scrolling either: every answer is in the window as it opens. The patient is found by name in the list.
    """
    a_story(clinic)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto("/")
    page.get_by_role("link", name="Ada Synthetic").click()
    expect(page.get_by_role("heading", name="Ada Synthetic")).to_be_in_viewport()
    visited = page.url

    assert answer(page, "Status").startswith("Waiting on patient")
    assert re.match(r"Call the patient due .*\d", answer(page, "Next"))
    assert answer(page, "Owner") == "Maria Synthetic backup Supervisors"
    assert answer(page, "Blocked by").startswith("Transport has no ride on Tuesdays since")
    assert answer(page, "Last outreach") == "Voicemail: message left today 11:00 by Maria Synthetic"
    assert page.url == visited
    assert page.evaluate("window.scrollY") == 0


def test_a_newcomer_reads_the_same_without_scripts(browser: Browser, clinic: Clinic, address: str) -> None:
    case = a_story(clinic)
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/cases/{case.id}")

    assert answer(page, "Last outreach") == "Voicemail: message left today 11:00 by Maria Synthetic"
    page.locator("#act-log-outreach summary").click()
    expect(page.get_by_text("please call us back at").first).to_be_visible()
    expect(page.locator("#quick")).to_be_hidden()
    context.close()


def test_three_keys_record_an_attempt(clinic: Clinic, page: Page) -> None:
    """U28: o, how, what came of it; Enter does not wait for the five seconds."""
    case = clinic.referral(1, "Ada Synthetic")
    page.goto(f"/cases/{case.id}")

    page.keyboard.press("o")
    page.keyboard.press("t")
    expect(page.get_by_text("[name of the clinic]: please call us back")).to_be_visible()
    expect(page.locator("[data-chosen='log-outreach-channel']:visible")).to_have_count(1)
    page.keyboard.press("s")
    expect(page.locator("#armed-what")).to_have_text("Text: sent")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Attempt recorded.")).to_be_visible()
    (attempt,) = clinic.case(case).outreach
    assert (attempt.channel, attempt.outcome) == (Channel.TEXT, AttemptOutcome.SENT)


def test_three_keys_alone_are_enough(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto(f"/cases/{case.id}")

    for key in "opn":
        page.keyboard.press(key)

    expect(page.get_by_text("Attempt recorded.")).to_be_visible(timeout=15_000)
    assert [attempt.outcome for attempt in clinic.case(case).outreach] == [AttemptOutcome.NO_ANSWER]


def test_escape_undoes_what_is_about_to_be_recorded(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto(f"/cases/{case.id}")
    page.clock.install()

    for key in "opn":
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    page.clock.fast_forward(20_000)

    expect(page.locator("#armed")).to_be_hidden()
    expect(page.locator("#said")).to_have_text("Not recorded.")
    assert clinic.case(case).outreach == ()


def test_who_leaves_the_page_has_recorded_it(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto(f"/cases/{case.id}")
    for key in "opr":
        page.keyboard.press(key)

    page.goto("/")

    expect(page.get_by_text("Phone: patient reached")).to_be_visible()
    assert len(clinic.case(case).outreach) == 1


def test_keys_that_mean_nothing_record_nothing(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto(f"/cases/{case.id}")

    for key in "ozq":
        page.keyboard.press(key)

    expect(page.locator("#armed")).to_be_hidden()
    assert clinic.case(case).outreach == ()


def test_cases_are_ticked_by_key_and_given_away_after_a_look(clinic: Clinic, page: Page) -> None:
    cases = [clinic.referral(number, f"Patient {number}") for number in (1, 2, 3)]
    page.goto("/")
    say_who(page)
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    clinic.do(cases[2], do.Note(text="something else happens, and the list is renewed"))
    clinic.do(cases[2], do.Assign(owner="supervisor"))
    expect(page.get_by_role("cell", name="Supervisors")).to_be_visible()
    expect(page.locator("input.pick:checked")).to_have_count(2)

    page.get_by_label("Give the ticked cases to").select_option("scheduler")
    page.get_by_role("button", name="Look at what that would do").click()
    expect(page.get_by_text("2 of 2 cases would change hands.")).to_be_visible()
    page.get_by_role("button", name="Reassign 2 cases").click()

    expect(page.get_by_text("2 of 2 cases reassigned.")).to_be_visible()
    assert sorted(clinic.case(case).owner.id for case in cases) == ["scheduler", "scheduler", "supervisor"]


def test_the_next_case_is_taken_with_a_button(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto("/?view=team")
    say_who(page)

    page.get_by_role("button", name="Take the next of Referral coordinators").click()

    expect(page.get_by_text("The case is yours.")).to_be_visible()
    assert clinic.case(case).owner.id == "maria"


def a_week(clinic: Clinic) -> None:
    for number, category in enumerate((*BlockerCategory, BlockerCategory.TRANSPORT)):
        case = clinic.referral(number, f"Patient {number}")
        clinic.do(case, do.RaiseBlocker(category=category, text="x"))
        if number % 3 == 0:
            clinic.do(case, do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    clinic.now = NOW + timedelta(days=2)


def test_plots_are_drawn_from_the_tables_and_on_paper_in_ink(clinic: Clinic, page: Page) -> None:
    a_week(clinic)
    page.goto("/measures")

    plots = page.locator(".plot canvas")
    expect(plots.first).to_be_visible()
    assert plots.count() == page.locator("[data-plot]:has(tr[data-n] + tr[data-n])").count()
    dark = """canvas => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 200 && data[at] + data[at + 1] + data[at + 2] < 60) count += 1;
      }
      return count;
    }"""
    page.emulate_media(color_scheme="dark")
    expect(plots.first).to_be_visible()
    assert plots.first.evaluate(dark) == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert plots.first.evaluate(dark) > 20
    expect(page.locator("table.measures").first).to_be_visible()


def test_a_trend_is_drawn_beside_its_figures(clinic: Clinic, page: Page) -> None:
    """Of what was there to count in two periods at least; the figures stand there whether drawn or not."""
    a_week(clinic)
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.goto("/measures/trend?by=week&group=Closing+and+who+did+it")

    plots = page.locator(".trend .plot canvas")
    expect(plots.first).to_be_visible()
    assert plots.count() == page.locator(".trend:has(tr[data-n] ~ tr[data-n])").count() == 2
    assert page.locator(".trend").first.locator("tbody tr").count() == 12
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(plots.first).to_be_visible()
    assert faults == []


@pytest.mark.parametrize("path", ["/review", "/measures", "/measures/trend?by=week"])
def test_pages_for_paper_fit_on_it(clinic: Clinic, page: Page, path: str) -> None:
    """On A4 and Letter, with nothing to click, and in ink whatever the screen was."""
    a_week(clinic)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 700, "height": 900})
    page.goto(path)

    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    for hidden in (".top", ".foot", ".filters"):
        expect(page.locator(hidden).first).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_the_ehr_is_waited_for_until_it_has_answered(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto("/?view=waiting")
    expect(page.get_by_role("link", name="Ada Synthetic")).to_be_visible()

    for _ in range(4):
        clinic.deliver(case, IntentState.CONFIRMED)

    expect(page.get_by_text("No case is in this view.")).to_be_visible()
