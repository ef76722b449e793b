"""
The practical test: somebody who has never seen the patient, one page, three keys, and what the clinician then reads.

Against a simulated EHR, with everything between the browser and the EHR as it runs in service.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from bridge.cases import commands as do
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel
from tests.browser.test_coordination import answer
from tests.unit.sync.world import World, order, patient
from tests.unit.web.builders import Clinic

pytestmark = pytest.mark.browser

ROOT = "ServiceRequest/o1"


@pytest.fixture
def world() -> World:
    """Return an EHR with a patient whose referral is owned, blocked and was tried by voicemail."""
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.ehr.put(order("o2", code={"text": "Referral to dermatology"}))
    world.sync()
    world.act(ROOT, do.Assign(owner="ann"))
    world.act(ROOT, do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="has no ride on Tuesdays"))
    world.act(ROOT, do.LogOutreach(channel=Channel.VOICEMAIL, outcome=AttemptOutcome.LEFT_MESSAGE), new_id="first")
    world.sync()
    return world


@pytest.fixture
def clinic(world: World) -> Clinic:
    """Return the web view of what Bridge read of that EHR."""
    return Clinic(store=world.store, now=world.clock(), lines={"main": world.line})


def messages(world: World) -> list[tuple[str, str]]:
    """Return what the EHR holds of attempts to reach the patient: the status, and what was noted."""
    found = world.ours("Communication", "urn:bridge:message")
    told = [one for one in found if "Outreach" in str(one.get("payload"))]
    return sorted((one["status"], one["payload"][0]["contentString"]) for one in told)


def test_a_newcomer_reads_one_page_records_with_three_keys_and_the_ehr_has_it(
    world: World, clinic: Clinic, page: Page
) -> None:
    visited: list[str] = []
    page.on("framenavigated", lambda frame: visited.append(frame.url))
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto("/")
    page.get_by_role("row", name="Referral to cardiology").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Pat Example")).to_be_in_viewport()
    before = messages(world)

    assert answer(page, "Status").startswith("Waiting on patient")
    assert answer(page, "Next").startswith("Call the patient")
    assert answer(page, "Owner").startswith("Ann Weber")
    assert answer(page, "Blocked by").startswith("Transport has no ride on Tuesdays since")
    assert answer(page, "Last outreach").startswith("Voicemail: message left")
    assert page.evaluate("window.scrollY") == 0
    assert len(visited) == 2, "the worklist and one page"

    for key in "opn":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Attempt recorded.")).to_be_visible()
    assert answer(page, "Last outreach").startswith("Phone: no answer")

    clinic.now = world.clock()
    world.sync()
    added = [one for one in messages(world) if one not in before]
    assert added == [("not-done", "Outreach by phone: no answer.")]
    (written,) = (one for one in world.ours("Communication", "urn:bridge:message") if "phone" in str(one["payload"]))
    assert written["subject"]["reference"] == "Patient/p1"
    assert {"reference": ROOT} in [{"reference": one["reference"]} for one in written["basedOn"]]
    page.reload()
    expect(page.get_by_role("listitem").filter(has_text="Record of an outreach attempt").first).to_contain_text(
        "Confirmed by the EHR"
    )
