"""
No page breaks a rule of WCAG 2.2 AA that a program can check: axe-core's, in every colour scheme, wide and narrow.

What it cannot check (the order of reading, the sense of words) is for the other tests here, and for people.
"""

from __future__ import annotations

import os
from datetime import timedelta
from importlib import resources
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.cases.model import Case
from bridge.cases.snapshot import Priority, Remark
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, Channel, ClosureReason, Concern
from tests.browser.test_coordination import say_who
from tests.unit.web.builders import NOW, Clinic

pytestmark = pytest.mark.browser

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "rules": {"target-size": {"enabled": True}},
}
"""axe-core leaves the size of targets (WCAG 2.2, 2.5.8) out unless it is asked for."""


@pytest.fixture(scope="module")
def axe() -> str:
    """Return axe-core's script (MPL-2.0), which comes with the package axe-playwright-python."""
    try:
        return (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    except ModuleNotFoundError:
        if os.environ.get("BRIDGE_REQUIRE_BROWSER") == "1":
            pytest.fail("BRIDGE_REQUIRE_BROWSER is set and axe-playwright-python is not installed")
        pytest.skip("needs axe-playwright-python (requirements/dev.txt)")


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Return a colour scheme."""
    return str(request.param)


@pytest.fixture(params=[1280, 400], ids="{}px".format)
def seen(page: Page, scheme: str, request: pytest.FixtureRequest) -> Page:
    """Return a page of a width in a colour scheme."""
    page.set_viewport_size({"width": request.param, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    return page


def a_busy_clinic(clinic: Clinic) -> Case:
    """A case with everything that a page can show, and others in every state."""
    remark = Remark("The patient says she has no ride to the clinic.", NOW, "Practitioner/maria")
    case = clinic.referral(1, "Ada Synthetic", remarks=(remark,), priority=Priority.URGENT)
    for number, category in enumerate(BlockerCategory, 2):
        other = clinic.referral(number, f"Patient {number}")
        clinic.do(other, do.RaiseBlocker(category=category, text="waits"))
        if number % 3 == 0:
            clinic.do(other, do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))
    clinic.do(case, do.Note(text="prefers mornings"))
    tried = do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.REACHED, concerns=(Concern.COMPLAINT,))
    clinic.do(case, tried)
    clinic.do(case, do.SetNextAction(code=Action.CALL_PATIENT, due_at=NOW + timedelta(hours=1)))
    clinic.do(case, do.Escalate(why="no slot in spring"))
    clinic.deliver(case, IntentState.PARKED, "The server refused the owner.")
    clinic.park("Task/1", "unknown-status", "Task.status is not known")
    clinic.read_to(NOW, problem="The server answers 500.")
    clinic.now = NOW + timedelta(hours=3)
    return case


def violations(page: Page, axe: str) -> list[str]:
    """Return what breaks which rule, and where."""
    page.evaluate(f"{axe}; undefined")
    found: list[dict[str, Any]] = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def test_no_page_breaks_a_rule(clinic: Clinic, seen: Page, axe: str) -> None:
    case = a_busy_clinic(clinic)
    addresses = (
        "/",
        "/?view=mine",
        "/?view=overdue&lane=referral",
        f"/cases/{case.id}",
        f"/cases/{case.id}?done=note",
        "/review",
        "/measures",
        "/connections",
        "/inbox/1",
        "/cases/unheard-of",
    )

    broken = {}
    for address in addresses:
        seen.goto(address)
        broken[address] = violations(seen, axe)

    assert {address: found for address, found in broken.items() if found} == {}


def test_nothing_breaks_a_rule_while_somebody_works(clinic: Clinic, seen: Page, axe: str) -> None:
    """Who-am-I, forms that are open, the attempt that is about to be recorded, refusals, conflicts, the dialog."""
    case = a_busy_clinic(clinic)
    states = {}

    seen.goto("/?view=team")
    say_who(seen)
    states["said who"] = violations(seen, axe)
    seen.get_by_role("button", name="Keyboard shortcuts").click()
    states["help"] = violations(seen, axe)
    seen.goto(f"/cases/{case.id}")
    for name in ("assign", "log-outreach", "close", "set-next-action"):
        seen.locator(f"#act-{name} summary").click()
        states[name] = violations(seen, axe)
    seen.goto(f"/cases/{case.id}")
    for key in "opr":
        seen.keyboard.press(key)
    expect(seen.locator("#armed")).to_be_visible()
    states["armed"] = violations(seen, axe)
    seen.keyboard.press("Escape")
    seen.keyboard.press("n")
    seen.keyboard.type("my remark")
    clinic.do(case, do.Note(text="another came first"))
    seen.get_by_role("button", name="Add note").click()
    expect(seen.get_by_text("The case changed while you were looking at it.")).to_be_visible()
    states["conflict"] = violations(seen, axe)

    assert {state: found for state, found in states.items() if found} == {}


def test_a_broken_rule_is_found(page: Page, axe: str) -> None:
    page.set_content('<html><body><p style="color: #bbb; background: #fff">pale</p><button></button></body></html>')

    found = {one.partition(":")[0] for one in violations(page, axe)}

    assert {"color-contrast", "button-name", "html-has-lang", "document-title"} <= found
