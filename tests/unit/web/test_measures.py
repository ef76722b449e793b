"""Measures as a page, JSON, CSV and FHIR."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient
from fhir.resources.R4B.bundle import Bundle

from bridge.cases.commands import Close, LogOutreach, RaiseBlocker
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.measures.definitions import DEFINITIONS, GROUPS
from bridge.cases.measures.tally import Count, Distribution, Proportion, Report
from bridge.cases.measures.trend import Trend
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason
from bridge.store.memory import MemoryStore
from bridge.web.measuring import FRESH
from bridge.web.pages.measures import span_text
from tests.unit.web.builders import MAIN, Clinic, a_line, a_snapshot

NAME = "Zebulon Synthetic"


def attempt(outcome: AttemptOutcome) -> LogOutreach:
    return LogOutreach(channel=Channel.PHONE, outcome=outcome)


@pytest.fixture
def worked(clinic: Clinic) -> Clinic:
    """Three referrals: one completed after three attempts, one waiting for a document, one just entered in error."""
    first, second, third = (clinic.referral(number, NAME) for number in (1, 2, 3))
    for outcome in (AttemptOutcome.NO_ANSWER, AttemptOutcome.LEFT_MESSAGE, AttemptOutcome.REACHED):
        clinic.now += timedelta(minutes=30)
        clinic.do(first, attempt(outcome))
    clinic.do(first, Close(reason=ClosureReason.COMPLETED, outcome="seen", evidence=("DocumentReference/1",)))
    clinic.do(second, RaiseBlocker(category=BlockerCategory.MISSING_DOCUMENTATION, text="no letter"))
    gone = a_snapshot(third.root, "entered-in-error", version="2", updated_at=clinic.now)
    clinic.arrive(gone)
    clinic.now += timedelta(hours=1)
    return clinic


@pytest.fixture
def asking(worked: Clinic) -> Iterator[TestClient]:
    with worked.client() as client:
        yield client


def whole(report: Report, code: str) -> Any:
    return next(one.whole for one in report.measures if one.code == code)


def read(client: TestClient, query: str = "") -> Report:
    answer = client.get(f"/api/v1/measures{query}")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Report)


def test_json_holds_every_measure_with_its_strata(asking: TestClient) -> None:
    report = read(asking)

    assert [one.code for one in report.measures] == [one.code for one in DEFINITIONS]
    assert whole(report, "contact-rate") == Proportion(denominator=3, numerator=1, excluded=0, pending=0, rate=1 / 3)
    assert whole(report, "attempts-per-contact").median == 3
    assert whole(report, "referral-report").rate == 1.0
    assert whole(report, "open-by-owner").total == 1
    assert whole(report, "blockers") == Count(total=1, categories={"missing-documentation": 1})
    by_lane = next(one.by["lane"] for one in report.measures if one.code == "completion")
    assert isinstance(by_lane["referral"], Distribution)


def test_a_loop_is_closed_once_the_message_of_its_end_stands_in_the_ehr(worked: Clinic, asking: TestClient) -> None:
    """What went out before says nothing of the end: an attempt, and our own Task."""
    first = worked.referral()

    sent: list[IntentKind] = []
    while (before := whole(read(asking), "referral-loop-closure")).pending:
        [intent] = worked.deliver(first, IntentState.CONFIRMED)
        sent.append(intent.kind)
        worked.now += FRESH

    assert before.rate == 1.0
    assert len(sent) > 1
    assert sent[-1] is IntentKind.STATUS_MESSAGE
    assert sent.count(IntentKind.STATUS_MESSAGE) == 1


def test_the_period_is_this_month_until_another_is_chosen(asking: TestClient) -> None:
    report, chosen = read(asking), read(asking, "?from=2026-10-05&to=2026-10-06")

    assert (report.first_on, report.last_on, report.complete) == (date(2026, 11, 1), date(2026, 11, 23), False)
    assert (chosen.first_on, chosen.last_on, chosen.complete) == (date(2026, 10, 5), date(2026, 10, 6), True)


def test_a_period_that_is_over_says_so_and_does_not_change(worked: Clinic, asking: TestClient) -> None:
    worked.now += timedelta(days=40)
    before = read(asking, "?from=2026-11-01&to=2026-11-30")
    clinic_case = worked.arrive(a_snapshot("ServiceRequest/9"))[0]
    worked.do(clinic_case, attempt(AttemptOutcome.REACHED))
    worked.now += timedelta(days=1)

    assert before.complete
    assert read(asking, "?from=2026-11-01&to=2026-11-30") == before
    assert whole(read(asking, "?from=2026-12-01&to=2027-01-31"), "contact-rate").denominator == 1


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?from=2026-11-24", "not begun"),
        ("?from=2026-11-20&to=2026-11-10", "before the first"),
        ("?from=9999-12-31&to=9999-12-31", "from and to"),
        ("?from=yesterday", "from"),
        ("?connection=elsewhere", "main"),
        ("?until=2026-11-10", "until"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(asking: TestClient, query: str, words: str) -> None:
    for path in ("/api/v1/measures", "/api/v1/measures.csv", "/api/v1/measures/fhir"):
        answer = asking.get(path + query)

        assert answer.status_code == 422
        assert words in answer.json()["detail"]


def test_connections_are_measured_together_or_one_by_one() -> None:
    clinic = Clinic(MemoryStore(), lines={MAIN: a_line(), "second": a_line("second")})
    clinic.arrive(a_snapshot("ServiceRequest/1"))
    clinic.arrive(a_snapshot("ServiceRequest/1"), a_snapshot("ServiceRequest/2"), connection="second")
    clinic.now += timedelta(minutes=1)

    with clinic.client() as client:
        assert [read(client, query).cases for query in ("", "?connection=main", "?connection=second")] == [3, 1, 2]


def test_a_table_has_the_same_numbers(asking: TestClient) -> None:
    answer = asking.get("/api/v1/measures.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    report = read(asking)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="measures-2026-11-01-2026-11-23.csv"' in answer.headers["content-disposition"]
    contact = next(row for row in rows if row["measure"] == "contact-rate" and not row["stratum"])
    assert (contact["denominator"], contact["numerator"], contact["rate"]) == ("3", "1", str(1 / 3))
    reasons = {
        row["category"]: int(row["amount"]) for row in rows if row["measure"] == "closure-reasons" if row["amount"]
    }
    assert reasons == whole(report, "closure-reasons").categories
    assert {(row["measure"], row["kind"]) for row in rows} == {(one.code, one.kind.value) for one in DEFINITIONS}


def test_a_table_holds_no_formula(clinic: Clinic) -> None:
    case = clinic.referral()
    clinic.do(case, attempt(AttemptOutcome.REACHED))
    with clinic.store.transaction() as tx:
        [change] = [one for one in tx.history(case.id) if type(one.fact).__name__ == "OutreachLogged"]
    made = msgspec.structs.replace(change.fact.attempt, by="=1+1", id="x")  # type: ignore[union-attr]
    stored = clinic.case(case)
    more = msgspec.structs.replace(
        change,
        seq=99,
        version=stored.version + 1,
        fact=type(change.fact)(made),  # type: ignore[call-arg]
    )
    with clinic.store.transaction() as tx:
        tx.save_cases([msgspec.structs.replace(stored, version=stored.version + 1)], [more])
    clinic.now += timedelta(minutes=1)

    with clinic.client() as client:
        text = client.get("/api/v1/measures.csv").text

    assert ",'=1+1," in text
    assert ",=1+1" not in text


def test_measure_reports_are_valid_and_say_the_same(asking: TestClient) -> None:
    answer = asking.get("/api/v1/measures/fhir")
    bundle = Bundle.model_validate(answer.json())
    reports = {entry.resource.measure.rpartition(":")[2]: entry.resource for entry in bundle.entry}

    assert answer.headers["content-type"] == "application/fhir+json"
    assert set(reports) == {one.code for one in DEFINITIONS}
    for report in reports.values():
        assert (report.status, report.type, str(report.period.start)) == ("pending", "summary", "2026-11-01")
    for group in [group for report in reports.values() for group in report.group or ()]:
        assert _score_is_what_the_populations_say(group)
    [contact] = reports["contact-rate"].group
    assert _numbers(contact) == {"initial-population": 3, "denominator": 3, "denominator-exclusion": 0, "numerator": 1}
    [lane] = contact.stratifier[0].stratum
    assert (lane.value.coding[0].code, _numbers(lane)) == ("referral", _numbers(contact))
    completion = {group.code.coding[0].code: group for group in reports["completion"].group}
    assert set(completion) == {"median", "p90"}
    assert _numbers(completion["median"]) == {
        "initial-population": 3,
        "measure-population": 2,
        "measure-population-exclusion": 1,
    }


def _numbers(of: Any) -> dict[str, int]:
    return {one.code.coding[0].code: one.count for one in of.population or ()}


def _score_is_what_the_populations_say(group: Any) -> bool:
    for one in (group, *(stratum for by in group.stratifier or () for stratum in by.stratum)):
        numbers = _numbers(one)
        if "denominator" not in numbers:
            continue
        rest = numbers["denominator"] - numbers["denominator-exclusion"]
        if (one.measureScore is None) != (rest == 0):
            return False
        if rest and abs(float(one.measureScore.value) - numbers["numerator"] / rest) > 1e-9:
            return False
    return True


def test_the_page_says_it_in_words(asking: TestClient) -> None:
    text = asking.get("/measures").text

    assert "33 %" in text
    assert "1 of 3" in text
    assert "the period is not over" in text
    for definition in DEFINITIONS:
        assert definition.title in text
        assert f'id="means-{definition.code}"' in text


def test_neither_page_nor_address_nor_figures_name_a_patient(worked: Clinic, asking: TestClient) -> None:
    paths = ("/measures", "/api/v1/measures", "/api/v1/measures.csv", "/api/v1/measures/fhir")
    texts = [asking.get(path).text for path in paths]

    assert not any("Zebulon" in text or "Patient/" in text for text in texts)


def test_a_page_of_nothing_says_none(clinic: Clinic) -> None:
    with clinic.client() as client:
        text = client.get("/measures").text

    assert "none" in text
    assert "0 %" not in text


def test_the_choice_of_periods_is_links(asking: TestClient) -> None:
    text = asking.get("/measures?from=2026-10-01&to=2026-10-31").text

    assert '<a href="/measures?from=2026-10-01&amp;to=2026-10-31" aria-current="page">Last month</a>' in text
    assert '<a href="/measures?from=2026-11-01&amp;to=2026-11-23">This month</a>' in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (9000, "2 h 30 min"),
        (93_600, "1 d 2 h"),
    ],
)
def test_spans_are_told_in_two_units(seconds: int, text: str) -> None:
    assert span_text(seconds) == text


def test_what_is_drawn_are_the_numbers_of_the_tables(asking: TestClient) -> None:
    """Without scripts the page says the same: the plots are made of its tables."""
    text, report = asking.get("/measures").text, read(asking)

    tables = [block.split("</table>")[0] for block in text.split("data-plot")[1:]]
    drawn = [[int(number) for number in re.findall(r'<tr data-n="(\d+)">', table)] for table in tables]
    counted = [one.whole for one in report.measures if isinstance(one.whole, Count)]
    assert sorted(map(sorted, drawn)) == sorted(sorted(one.categories.values()) for one in counted)


def test_the_page_with_its_plots_is_small(asking: TestClient) -> None:
    """U46: at most 150 KB, scripts and styles included."""
    page = asking.get("/measures")
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)

    assert any("uPlot" in address for address in assets)
    assert len(page.content) + sum(len(asking.get(address).content) for address in assets) < 150_000


def trend(client: TestClient, query: str = "") -> Trend:
    answer = client.get(f"/api/v1/measures/trend{query}")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Trend)


def test_twelve_months_are_each_what_they_are_alone(worked: Clinic, asking: TestClient) -> None:
    worked.now += timedelta(days=40)
    months = trend(asking)

    alone = [read(asking, f"?from={one.first_on}&to={one.last_on}") for one in months.reports[-3:]]

    assert [one.first_on for one in months.reports][::11] == [date(2026, 2, 1), date(2027, 1, 1)]
    assert [one.complete for one in months.reports] == [True] * 11 + [False]
    for one, other in zip(months.reports[-3:], alone, strict=True):
        assert [(each.code, each.whole) for each in one.measures] == [
            (each.code, each.whole) for each in other.measures
        ]
    assert whole(months.reports[-3], "contact-rate").denominator == 3


def test_weeks_begin_on_monday_and_end_with_the_one_that_is_asked_for(asking: TestClient) -> None:
    weeks = trend(asking, "?by=week&to=2026-11-19").reports

    assert [(one.first_on, one.last_on) for one in weeks[-2:]] == [
        (date(2026, 11, 9), date(2026, 11, 15)),
        (date(2026, 11, 16), date(2026, 11, 22)),
    ]


@pytest.mark.parametrize("query", ["?by=day", "?to=2026-12-01", "?to=0001-01-05", "?connection=elsewhere", "?lane=x"])
def test_a_row_of_periods_that_cannot_be_measured_is_refused(asking: TestClient, query: str) -> None:
    for path in ("/api/v1/measures/trend", "/api/v1/measures/trend.csv"):
        assert asking.get(path + query).status_code == 422
    assert asking.get("/measures/trend?group=Weather").status_code == 422


def test_the_table_of_a_trend_has_the_figures_of_each_period(asking: TestClient) -> None:
    answer = asking.get("/api/v1/measures/trend.csv?by=week")
    rows = [row for row in csv.DictReader(io.StringIO(answer.text)) if row["measure"] == "contact-rate"]

    wholes = [row for row in rows if not row["stratum"]]
    assert 'filename="measures-by-week-2026-09-07-2026-11-29.csv"' in answer.headers["content-disposition"]
    assert (len(wholes), wholes[-1]["from"], wholes[-1]["denominator"]) == (12, "2026-11-23", "3")


def test_the_page_of_a_trend_draws_the_figures_that_stand_beside_it(asking: TestClient) -> None:
    """A month of which there is nothing to say has no point, one that is not over says so."""
    text = asking.get("/measures/trend?by=month").text
    contacts = next(block for block in text.split("data-trend")[1:] if "#means-contact-rate" in block)
    rows = re.findall(r"<tr(.*?)><th scope=\"row\">(.*?)</th><td>(.*?)<", contacts)

    assert len(rows) == 12
    assert rows[0] == ("", "Dec 2025", "none")
    assert rows[-1][1:] == ("Nov 2026 so far", "33 % ")
    assert float(rows[-1][0].split('"')[1]) == pytest.approx(100 / 3)


def test_the_page_of_a_trend_shows_one_lane_or_all(asking: TestClient) -> None:
    lane, nobody = (asking.get(f"/measures/trend?lane={name}").text for name in ("referral", "missed-call"))

    assert "33 %" in lane
    assert "33 %" not in nobody


@pytest.mark.parametrize("group", GROUPS)
def test_the_page_of_a_trend_is_small_and_names_no_patient(asking: TestClient, group: str) -> None:
    page = asking.get("/measures/trend", params={"group": group, "by": "week"})
    assets = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))

    assert page.status_code == 200
    assert "Zebulon" not in page.text
    assert len(page.content) + sum(len(asking.get(address).content) for address in assets) < 160_000
