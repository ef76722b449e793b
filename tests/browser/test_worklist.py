"""What only a browser can tell: keys, live updates, the policy that it enforces, narrow windows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel
from tests.unit.web.builders import NOW, Clinic
from tests.unit.web.test_pages import HOSTILE

pytestmark = pytest.mark.browser


def test_triage_by_keyboard_alone(clinic: Clinic, page: Page) -> None:
    """U31: from the list into a case, an attempt recorded, and back, without a mouse."""
    case = clinic.referral(1, "Ada Synthetic")
    clinic.referral(2, "Bola Example")

    page.goto("/")
    page.keyboard.press("j")
    expect(page.locator(f"#row-{case.id}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Ada Synthetic")).to_be_visible()
    page.keyboard.press("o")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("no answer", delay=1)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Attempt recorded.")).to_be_visible()
    assert [attempt.outcome for attempt in clinic.case(case).outreach] == [AttemptOutcome.NO_ANSWER]
    page.keyboard.press("u")
    expect(page.get_by_text("Phone: no answer")).to_be_visible()


def test_list_follows_what_happens_and_keeps_the_focus(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto("/")
    page.keyboard.press("j")

    clinic.do(case, do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"))

    expect(page.get_by_role("cell", name="Transport")).to_be_visible()
    expect(page.locator(f"#row-{case.id}")).to_be_focused()
    expect(page.locator("#said")).to_have_text("Updated.")


def test_case_changed_by_somebody_else_is_said_and_never_overwritten(clinic: Clinic, page: Page) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    page.goto(f"/cases/{case.id}")
    page.keyboard.press("n")
    page.keyboard.type("my remark", delay=1)

    clinic.do(case, do.Assign(owner="maria"))
    expect(page.get_by_text("This case changed since you opened it.")).to_be_visible()
    expect(page.get_by_label("Note, for staff only")).to_have_value("my remark")
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_text("The case changed while you were looking at it.")).to_be_visible()
    assert clinic.case(case).notes == ()
    page.get_by_role("button", name="Do it on the case as it is now").click()

    expect(page.get_by_text("Note added.")).to_be_visible()
    assert [note.text for note in clinic.case(case).notes] == ["my remark"]


def test_lost_server_is_said(clinic: Clinic, page: Page) -> None:
    clinic.referral()
    page.goto("/")

    page.route("**/*", lambda route: route.fulfill(status=502, body="", headers={"x": "y"}))
    page.evaluate("document.body.dispatchEvent(new Event('refresh'))")

    expect(page.locator("#said")).to_contain_text("Bridge cannot be reached.")


def test_shortcuts_can_be_switched_off(clinic: Clinic, page: Page) -> None:
    """WCAG 2.2, 2.1.4: single-key shortcuts must be possible to switch off."""
    case = clinic.referral()
    page.goto("/")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.get_by_role("button", name="Close").click()

    page.keyboard.press("j")

    expect(page.locator(f"#row-{case.id}")).not_to_be_focused()


def test_pages_read_without_scripts(browser: Browser, clinic: Clinic, address: str) -> None:
    case = clinic.referral(1, "Ada Synthetic")
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()

    page.goto("/")
    page.get_by_role("link", name="Ada Synthetic").click()
    page.get_by_text("Assign").first.click()
    page.get_by_label("Owner").select_option("maria")
    page.get_by_role("button", name="Assign").click()

    expect(page.get_by_text("Owner changed.")).to_be_visible()
    assert clinic.case(case).owner.id == "maria"
    context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_cut_off_at_any_width(clinic: Clinic, page: Page, width: int) -> None:
    """WCAG 2.2, 1.4.10: 320 pixels are 1280 at 400 % zoom; no page scrolls sideways."""
    case = clinic.referral(1, "Ada Synthetic With A Name That Takes More Than One Line In Any Window")
    clinic.do(case, do.RaiseBlocker(category=BlockerCategory.MISSING_DOCUMENTATION, text="w" * 60))
    clinic.do(case, do.LogOutreach(channel=Channel.VOICEMAIL, outcome=AttemptOutcome.LEFT_MESSAGE))
    clinic.deliver(case, IntentState.PARKED, "The server refused the owner.")
    clinic.park("Task/1", "unknown-status", "Task.status is not known")
    page.set_viewport_size({"width": width, "height": 800})

    for path in ("/", f"/cases/{case.id}", "/review", "/measures", "/connections", "/inbox/1"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_hostile_texts_run_nothing(clinic: Clinic, page: Page) -> None:
    """S17: no dialog, no foreign request, no complaint of the policy (the page fixture checks all three)."""
    for number, hostile in enumerate(HOSTILE, 1):
        case = clinic.referral(number, hostile, title=hostile)
        clinic.do(case, do.Note(text=hostile))
        clinic.do(case, do.Escalate(why=hostile))
    clinic.park("Task/1", "unreadable", HOSTILE[0], b"{}")
    clinic.read_to(NOW, problem=HOSTILE[1])

    page.goto("/")
    links = page.locator("a.row").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(links) == len(HOSTILE)
    for path in [*links, "/connections", "/inbox/1"]:
        page.goto(path)
        assert page.locator("img[src=x], iframe, math, main svg").count() == 0


def test_nothing_about_a_patient_is_left_in_the_browser(clinic: Clinic, page: Page) -> None:
    """S12, S42: neither in the addresses visited nor in the browser's storage."""
    case = clinic.referral(1, "Ada Synthetic")
    page.goto("/")
    page.get_by_label("Search patient or title").fill("Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Search", exact=True)).to_be_visible()
    page.get_by_role("link", name="Ada Synthetic").click()

    assert re.search(rf"/cases/{case.id}$", page.url)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert not re.search("ada|synthetic|mrn|1971|cardiology", kept, re.I)
