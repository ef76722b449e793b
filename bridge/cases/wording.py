"""
What may be said where others might hear or read it: the minimum, and nothing of why.

A message on an answering machine, a text, an e-mail or a letter may reach whoever is at home. HHS advises to leave
no more than who calls and how to call back (HHS, HIPAA FAQ 198, answering machines; 45 CFR 164.510(b)). So a script
for these channels names the clinic, the callback number and a time, and no word that tells what it is about.
"""

from __future__ import annotations

import re

from bridge.cases.terms import Channel

OPEN_CHANNELS = frozenset({Channel.VOICEMAIL, Channel.TEXT, Channel.EMAIL, Channel.LETTER})
"""Channels on which somebody other than the patient may hear or read it; a portal and a talk are the patient's."""

PLACES = frozenset({"clinic", "callback", "time"})
"""What a script may leave open: ``{clinic}``, ``{callback}`` and ``{time}``."""

_TELLING = (
    r"diagnos\w*", r"results?", r"tests?", r"labs?", r"laborator\w+", r"biops\w+", r"scans?", r"x-?rays?",
    r"imaging", r"mri", r"ct", r"ultrasound\w*", r"mammogra\w+", r"colonoscop\w+", r"endoscop\w+", r"screenings?",
    r"vaccin\w+", r"medic(ation|ine)s?", r"drugs?", r"pills?", r"tablets?", r"refills?", r"prescriptions?",
    r"pharmac\w+", r"dos(e|es|age)", r"insulin", r"metformin", r"opioids?", r"methadone", r"chemo\w*", r"radiation",
    r"dialysis", r"transplant\w*", r"surg\w+", r"operations?", r"procedures?", r"treatments?", r"therap\w+",
    r"symptoms?", r"pain", r"disease\w*", r"disorder\w*", r"condition", r"infections?", r"cancer\w*", r"tumou?rs?",
    r"oncolog\w*", r"cardiolog\w*", r"neurolog\w*", r"psych\w+", r"behaviou?ral", r"mental", r"counsel\w+",
    r"depress\w+", r"anxiety", r"suicid\w+", r"addict\w*", r"substance", r"alcohol", r"rehab\w*", r"recovery",
    r"hiv", r"aids", r"std", r"sti", r"hepatitis", r"tubercul\w+", r"pregnan\w+", r"prenatal", r"obstetric\w*",
    r"gyn\w*", r"fertil\w+", r"abortion\w*", r"contracept\w+", r"urolog\w*", r"nephrolog\w*", r"dermatolog\w*",
    r"gastro\w*", r"orthop\w+", r"rheumat\w*", r"endocrin\w*", r"pulmon\w*", r"hematolog\w*", r"genetic\w*",
    r"hospice", r"palliative", r"hospitals?", r"discharg\w+", r"emergency", r"referr\w+", r"specialists?",
    r"authori[sz]ation\w*", r"insur\w+", r"diabet\w+", r"asthma", r"blood", r"pressure", r"weight", r"mrn",
    r"record number", r"date of birth", r"dob", r"born", r"social security", r"ssn",
)  # fmt: skip
_WORDS = re.compile(rf"(?<!\w)({'|'.join(_TELLING)})(?!\w)", re.IGNORECASE)
_NUMBERS = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|(?<!\d)\d{5,}(?!\d)")
_PLACE = re.compile(r"\{([^{}]*)\}")


def telling(script: str) -> tuple[str, ...]:
    """Return every word or number of *script* that tells more than who calls and how to call back."""
    bare = _PLACE.sub(" ", script)
    found = [match.group() for pattern in (_WORDS, _NUMBERS) for match in pattern.finditer(bare)]
    return tuple(dict.fromkeys(found))


def check_script(channel: Channel, script: str) -> None:
    """
    Refuse a script that says too much for its channel, or leaves open what nobody fills in.

    Raises:
        ValueError: The message names the words.
    """
    unknown = sorted(set(_PLACE.findall(script)) - PLACES)
    if unknown or script.count("{") != script.count("}"):
        raise ValueError(
            f"{channel.value}: {{{', '.join(unknown)}}} is not known; use {{clinic}}, {{callback}} or {{time}}"
        )
    if channel not in OPEN_CHANNELS:
        return
    if found := telling(script):
        raise ValueError(
            f"{channel.value}: {', '.join(found)}: others may hear or read this; leave out what it is about"
        )
