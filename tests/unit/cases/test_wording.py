"""What a message may say where others hear or read it."""

from __future__ import annotations

import itertools

import pytest

from bridge.cases.lanes import parse_lanes
from bridge.cases.terms import Channel
from bridge.cases.wording import OPEN_CHANNELS, check_script, telling
from bridge.errors import ConfigError
from tests.unit.cases.builders import SHIPPED, SHIPPED_TEXT

FINE = [
    "This is {clinic}. Please call us back at {callback}.",
    "Hello, this is Anna from {clinic}; please call {callback} before {time}.",
    "{clinic}: please call us at {callback}. Thank you.",
    "Please call us back. We are open from 8 to 5.",
]
PLANTED = [
    "your test result", "the biopsy", "your MRI", "diabetes", "the oncology clinic", "HIV", "your medication",
    "a refill", "your prescription", "the surgery", "your pregnancy", "psychiatry", "counseling", "mental health",
    "methadone", "cancer", "your colonoscopy", "chemotherapy", "a specialist referral", "hospital discharge",
    "prior authorization", "MRN 1234567", "born 02/03/1961", "date of birth", "1961-02-03", "an infection",
    "Dr. House of Cardiology", "rehab", "hepatitis", "your insulin dose", "your x-ray", "a vaccination",
    "your blood pressure", "the behavioral clinic", "dialysis", "your symptoms", "an abortion", "your insurance",
    "palliative care", "genetic counseling",
]  # fmt: skip
FRAMES = [
    "This is {{clinic}}, about {}. Please call {{callback}}.",
    "{{clinic}}: {}, please call",
    "Hi! {} {{callback}}",
    "Calling because of {}",
    "RE: {}",
]


@pytest.mark.parametrize("script", FINE)
def test_who_calls_and_how_to_call_back_may_be_said(script: str) -> None:
    for channel in Channel:
        check_script(channel, script)


@pytest.mark.parametrize(("planted", "frame"), list(itertools.product(PLANTED, FRAMES)))
def test_two_hundred_messages_that_tell_more_are_all_found(planted: str, frame: str) -> None:
    script = frame.format(planted)

    assert telling(script)
    with pytest.raises(ValueError, match="others may hear or read this"):
        check_script(Channel.VOICEMAIL, script)


def test_what_only_the_patient_hears_may_say_what_it_is_about() -> None:
    for channel in set(Channel) - OPEN_CHANNELS:
        check_script(channel, "Your test result is here.")


def test_what_nobody_fills_in_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\{diagnosis\} is not known"):
        check_script(Channel.PHONE, "About {diagnosis}")


def test_a_lanes_file_that_says_too_much_is_refused_by_the_line() -> None:
    text = SHIPPED_TEXT.replace('voicemail = "This is {clinic}.', 'voicemail = "This is {clinic} about your biopsy.')

    with pytest.raises(ConfigError, match=r"outreach\.scripts: voicemail: biopsy"):
        parse_lanes(text, file="my-lanes.toml")


def test_every_shipped_lane_has_words_for_every_open_channel_that_it_uses() -> None:
    for lane in SHIPPED.all:
        assert lane.outreach is not None
        assert set(lane.outreach.channels) & OPEN_CHANNELS <= set(lane.outreach.scripts), lane.name
