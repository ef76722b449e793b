"""What the site's lanes, owners and the shipped table are made into, and when Bridge does not start with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.cases.owners import OwnerBook
from bridge.cases.terms import BlockerCategory
from bridge.config import Settings
from bridge.errors import ConfigError
from bridge.wiring import make_owners, read_lanes
from tests.unit.cases.builders import SHIPPED, SHIPPED_TEXT

CARDIOLOGY = Path(__file__).parent / "cases" / "cardiology.toml"
STAFF = {name: {"kind": "role", "display": name} for name in ("cardiology-desk", "cardiology-lead")}
CARDIOLOGIST = {"kind": "role", "display": "Cardiologist", "licensed": True}


def owners(lanes: Path | None = None, **sections: Any) -> OwnerBook:
    settings = Settings.model_validate({"owners": sections, **({"lanes": lanes} if lanes else {})})
    return make_owners(settings, read_lanes(settings), ())


def test_without_any_owner_configured_the_shipped_queues_answer_clinical_questions() -> None:
    assert owners().licensed() == ("refill-nurse", "clinician")


def test_a_site_that_names_its_own_licensed_staff_starts() -> None:
    assert owners(CARDIOLOGY, **STAFF, cardiologist=CARDIOLOGIST).is_licensed("cardiologist")


def test_a_person_of_a_licensed_queue_is_licensed_and_one_who_may_take_from_each_is_not() -> None:
    dana = {"kind": "person", "display": "Dana", "roles": ["clinician", "scheduler"]}
    found = owners(dana=dana, luis={"kind": "person", "display": "Luis"})

    assert found.is_licensed("dana")
    assert not found.is_licensed("luis")


def test_shipped_lanes_whose_clinician_is_not_licensed_any_longer_do_not_start() -> None:
    clinician = {"kind": "role", "display": "Clinic doctors"}

    with pytest.raises(ConfigError) as caught:
        owners(clinician=clinician)

    told = str(caught.value).splitlines()
    assert "lanes.referral.escalates_to: nobody licensed would hear of worsening-symptoms" in str(told)
    assert all("(refill-nurse), or say licensed = true in [owners.clinician]" in line for line in told)
    assert all(line.startswith("shipped lanes: lanes.") for line in told)
    assert not [line for line in told if "lanes.medication-refill." in line], "the owner is a licensed queue"


@pytest.mark.parametrize("of_the_lane", ["cardiology-desk", "cardiology-lead"])
def test_any_licensed_owner_backup_or_rung_of_the_lane_is_enough(of_the_lane: str) -> None:
    staff = {**STAFF, of_the_lane: {**STAFF[of_the_lane], "licensed": True}}

    assert owners(CARDIOLOGY, **staff, cardiologist={**CARDIOLOGIST, "licensed": False}).licensed()


def test_a_lane_that_is_switched_off_keeps_nobody_from_starting(tmp_path: Path) -> None:
    text = CARDIOLOGY.read_text("utf-8").replace("[lanes.referral]", "[lanes.referral]\nenabled = false")
    text = text.replace("[lanes.missed-appointment]", '[lanes.missed-appointment]\nescalates_to = ["clinician"]')
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")

    owners(tmp_path / "mine.toml", **STAFF, cardiologist={**CARDIOLOGIST, "licensed": False})


def test_a_lane_without_a_line_for_clinical_questions_is_held_to_it_all_the_same(tmp_path: Path) -> None:
    text = CARDIOLOGY.read_text("utf-8").replace('to = ["cardiologist"]', 'to = ["cardiology-lead"]')
    (tmp_path / "mine.toml").write_text(text.replace(', "cardiologist"]', "]"), encoding="utf-8")

    with pytest.raises(
        ConfigError, match=r"mine\.toml: lanes\.missed-appointment\.escalates_to: nobody licensed would hear of"
    ):
        owners(tmp_path / "mine.toml", **STAFF, cardiologist=CARDIOLOGIST)


def lanes_of(tmp_path: Path, text: str) -> Any:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    return read_lanes(Settings.model_validate({"lanes": tmp_path / "mine.toml"}))


def test_a_lanes_file_without_a_table_of_blockers_knows_the_shipped_one(tmp_path: Path) -> None:
    begin, end = SHIPPED_TEXT.index("\n[[blockers]]"), SHIPPED_TEXT.index("\n[defaults]")

    assert lanes_of(tmp_path, SHIPPED_TEXT[:begin] + SHIPPED_TEXT[end:]).blockers == SHIPPED.blockers


def test_a_sites_own_table_is_asked_first_and_the_shipped_one_after_it(tmp_path: Path) -> None:
    lanes = lanes_of(tmp_path, f'[[blockers]]\ncategory = "transport"\nwords = ["shuttle"]\n{CARDIOLOGY.read_text()}')

    assert lanes.blockers[0].category is BlockerCategory.TRANSPORT
    assert lanes.blockers[0].words == ("shuttle",)
    assert lanes.blockers[-len(SHIPPED.blockers) :] == SHIPPED.blockers
