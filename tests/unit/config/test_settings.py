"""bridge.toml and BRIDGE_*: what is enough, what wins, and what a person is told when something is wrong."""

from __future__ import annotations

from datetime import date, time, timedelta
from pathlib import Path

import pytest

from bridge.config import Settings, find_file, load_settings
from bridge.errors import ConfigError
from tests.unit.config.given import MAIN, SECRET, Load, Problems

# What is enough -------------------------------------------------------------------------------------------


def test_nothing_at_all_is_a_configuration() -> None:
    settings = load_settings()

    assert settings.connections == {}
    assert settings.site.time_zone == "UTC"


def test_an_address_is_enough_for_a_connection(load: Load) -> None:
    section = load(MAIN).connections["main"]

    assert section.base_url == "http://127.0.0.1:8080/fhir"
    assert (section.vendor, section.fhir_version, section.auth, section.write) == ("generic", "R4", "none", True)
    assert (section.overlap, section.lag) == (timedelta(minutes=5), timedelta(seconds=5))


def test_weekdays_are_business_days_unless_the_site_says_otherwise(load: Load) -> None:
    usual = load(MAIN).site.business_hours
    own = load('[site.business_hours]\nsaturday = { opens = "09:00", closes = 13:30:00 }\n').site.business_hours

    assert list(usual) == ["monday", "tuesday", "wednesday", "thursday", "friday"]
    assert {day: (hours.opens, hours.closes) for day, hours in own.items()} == {"saturday": (time(9), time(13, 30))}


def test_holidays_may_be_dates_or_texts(load: Load) -> None:
    settings = load('[site]\nholidays = [2026-12-25, "2027-01-01"]\n')

    assert settings.site.holidays == (date(2026, 12, 25), date(2027, 1, 1))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://[::1]:8080/fhir/", "http://[::1]:8080/fhir"),
        ("https://ehr.example/r4//", "https://ehr.example/r4"),
        ("http://localhost:8080", "http://localhost:8080"),
    ],
)
def test_addresses_lose_only_their_last_slashes(load: Load, written: str, read: str) -> None:
    settings = load(f'[connections.main]\nbase_url = "{written}"\n')

    assert settings.connections["main"].base_url == read


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Windows editors write one."""
    file = tmp_path / "own.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MAIN.encode())

    assert "main" in load_settings(file).connections


def test_only_loading_looks_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the demo would work on the EHR that somebody's shell names."""
    monkeypatch.setenv("BRIDGE_CONNECTIONS__REAL__BASE_URL", "https://ehr.example/fhir")

    assert Settings().connections == {}
    assert "real" in load_settings().connections


# Which file, and what wins --------------------------------------------------------------------------------


def test_the_file_is_the_one_given_then_the_variable_then_the_one_here(tmp_path: Path) -> None:
    given, named, here = (tmp_path / name for name in ("given.toml", "named.toml", "bridge.toml"))
    for file in (given, named, here):
        file.touch()

    assert find_file(given, {"BRIDGE_CONFIG": str(named)}) == given
    assert find_file(None, {"BRIDGE_CONFIG": str(named)}) == named
    assert find_file(None, {"BRIDGE_CONFIG": ""}) == Path("bridge.toml")


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such configuration file"):
        load_settings(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such configuration file \(named by BRIDGE_CONFIG\)"):
        find_file(None, {"BRIDGE_CONFIG": "nowhere.toml"})


def test_the_environment_wins_setting_by_setting(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__PAGE_SIZE", "50")
    monkeypatch.setenv("BRIDGE_SITE__TIME_ZONE", "Europe/Vienna")
    monkeypatch.setenv("BRIDGE_WEB__PORT", "")

    settings = load(f'[site]\ntime_zone = "America/New_York"\nholidays = ["2026-12-25"]\n{MAIN}vendor = "hapi"\n')

    assert (settings.site.time_zone, settings.site.holidays) == ("Europe/Vienna", (date(2026, 12, 25),))
    assert (settings.connections["main"].page_size, settings.connections["main"].vendor) == (50, "hapi")
    assert settings.web.port == 8000, "an empty variable is none"


def test_variables_reach_names_with_hyphens_and_capitals(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN_EHR__TOKEN", SECRET)

    settings = load('[connections.Main-EHR]\nbase_url = "https://ehr.example"\nauth = "bearer"\n')

    assert list(settings.connections) == ["Main-EHR"]
    assert settings.connections["Main-EHR"].secret("token") == SECRET


@pytest.mark.parametrize("written", ["Task,Appointment", "Task, Appointment", '["Task", "Appointment"]'])
def test_lists_in_variables_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__BASE_URL", "http://127.0.0.1/fhir")
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__READ", written)
    monkeypatch.setenv("BRIDGE_SITE__HOLIDAYS", "2026-12-25,2026-12-26")

    settings = load_settings()

    assert settings.connections["main"].read == ("Task", "Appointment")
    assert settings.site.holidays == (date(2026, 12, 25), date(2026, 12, 26))


def test_relative_files_are_beside_the_configuration_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "token").write_text(f"{SECRET}\n")
    (folder / "own.toml").write_text(
        'lanes = "lanes.toml"\n[database]\nurl = "sqlite:///db/b.sqlite3"\n'
        f'{MAIN}auth = "bearer"\ntoken_file = "token"\n'
    )
    monkeypatch.chdir("/")

    settings = load_settings(folder / "own.toml")

    assert settings.lanes == folder / "lanes.toml"
    assert settings.database.url.get_secret_value() == f"sqlite:///{folder}/db/b.sqlite3"
    assert settings.connections["main"].secret("token") == SECRET


def test_absolute_files_stay(load: Load) -> None:
    settings = load('lanes = "/etc/bridge/lanes.toml"\n[database]\nurl = "sqlite:////var/lib/bridge.sqlite3"\n')

    assert settings.lanes == Path("/etc/bridge/lanes.toml")
    assert settings.database.url.get_secret_value() == "sqlite:////var/lib/bridge.sqlite3"


# What is wrong, in words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tennant = "x"', "tennant: no such setting; did you mean tenant?"),
        ("[sight]\n", "sight: no such setting; did you mean site?"),
        ('[site]\ntimezone = "UTC"', "site.timezone: no such setting; did you mean time_zone?"),
        (MAIN + 'url = "x"', "connections.main.url: no such setting"),
        ("[connections.main]\n", "connections.main.base_url: is needed and not set"),
        ('[owners.dana]\nkind = "person"', "owners.dana.display: is needed and not set"),
        ("connections = 5", "connections: expected a section, with settings of its own, found 5"),
        ("[connections]\nmain = 5", "connections.main: expected a section, with settings of its own, found 5"),
        (MAIN + "page_size = 0", "connections.main.page_size: expected at least 1, found 0"),
        (MAIN + "page_size = 5000", "connections.main.page_size: expected at most 1000, found 5000"),
        (MAIN + 'page_size = "many"', "connections.main.page_size: expected a whole number, found 'many'"),
        (MAIN + "page_size = 2.5", "connections.main.page_size: expected a whole number, found 2.5"),
        (MAIN + "timeout_seconds = 0", "connections.main.timeout_seconds: expected more than 0, found 0"),
        (MAIN + "timeout_seconds = nan", "connections.main.timeout_seconds: expected"),
        (MAIN + 'write = "perhaps"', "connections.main.write: expected true or false, found 'perhaps'"),
        (MAIN + "write = 7", "connections.main.write: expected true or false, found 7"),
        (MAIN + 'start_date = "soon"', "connections.main.start_date: expected a day such as 2026-12-25, found 'soon'"),
        (MAIN + "vendor = 'happi'", "connections.main.vendor: expected one of 'generic', 'hapi'"),
        (MAIN + "vendor = 'happi'", "(did you mean 'hapi'?), found 'happi'"),
        (MAIN + "fhir_version = 'r4'", "expected 'R4', 'R4B' or 'R5' (did you mean 'R4'?), found 'r4'"),
        (MAIN + "read = ['Tasks']", "connections.main.read[0]: expected 'Task', 'ServiceRequest'"),
        (MAIN + "read = []", "connections.main.read: expected at least one, found []"),
        (MAIN + "read = 5", 'connections.main.read: expected a list, such as ["..."], found 5'),
        (MAIN + "token_file = 5", "connections.main.token_file: expected the name of a file, in quotes, found 5"),
        (MAIN + "we_are = ['us']", 'connections.main.we_are[0]: expected a reference such as "Practitioner/12"'),
        ("[connections.'a b']\nbase_url='http://h'", "connections.a b: expected a connection name of letters, digits"),
        ("[site]\ntime_zone = 'America/NewYork'", "site.time_zone: expected an IANA time zone such as"),
        ("[site]\ntime_zone = '../etc/passwd'", "site.time_zone: expected an IANA time zone such as"),
        ("[site]\nholidays = ['2026-02-30']", "site.holidays[0]: expected a day such as 2026-12-25"),
        ("[site]\nholidays = [2026-02-03T10:00:00]", "site.holidays[0]: expected a day without a time"),
        ("[site]\nbusiness_hours = {}", "site.business_hours: expected at least one day, such as monday"),
        ("[site.business_hours]\nmonday = '8-17'", "site.business_hours.monday: expected a section"),
        ("[site.business_hours.monday]\nopens = '08:00'", "site.business_hours.monday.closes: is needed and not set"),
        (
            "[site.business_hours.monday]\nopens = 'early'\ncloses = '17:00'",
            "site.business_hours.monday.opens: expected a time such as 08:30, found 'early'",
        ),
        (
            "[site.business_hours.monday]\nopens = '17:00'\ncloses = '08:00'",
            "site.business_hours.monday: expected opens before closes, found 17:00 and 08:00",
        ),
        ("[site.business_hours.mondy]\nopens='08:00'\ncloses='17:00'", "(did you mean 'monday'?), found 'mondy'"),
        ("[owners.dana]\nkind='persn'\ndisplay='D'", "owners.dana.kind: expected 'person' or 'role' (did you mean"),
        ("[owners.dana]\nkind='person'\ndisplay=''", "owners.dana.display: expected a text that is not empty"),
        (
            "[owners.dana]\nkind='person'\ndisplay='D'\nreferences=['Practitioner']",
            'owners.dana.references[0]: expected a reference such as "Practitioner/12"',
        ),
        (
            "[owners.dana]\nkind='person'\ndisplay='D'\nbackup='schedular'",
            "owners.dana.backup: there is no owner called 'schedular'; did you mean scheduler?",
        ),
        (
            "[owners.dana]\nkind='person'\ndisplay='D'\nbackup='dana'",
            "owners.dana.backup: expected another owner than 'dana' itself",
        ),
        (
            "[owners.dana]\nkind='person'\ndisplay='D'\nroles=['schedular']",
            "owners.dana.roles: there is no role called 'schedular'; did you mean scheduler?",
        ),
        (
            "[owners.dana]\nkind='person'\ndisplay='D'\nroles=['luis']\n[owners.luis]\nkind='person'\ndisplay='L'",
            "owners.dana.roles: there is no role called 'luis'; expected one of authorization-specialist, clinician",
        ),
        (
            "[owners.desk]\nkind='role'\ndisplay='Desk'\nroles=['scheduler']",
            "owners.desk.roles: a person works role queues; 'desk' is one",
        ),
        ("[web]\nport = 99999", "web.port: expected at most 65535, found 99999"),
        ("[log]\nlevel = 'loud'", "log.level: expected 'debug', 'info', 'warning' or 'error'"),
        ("[database]\nurl = 'mysql://h/x'", "database.url: expected sqlite:///FILE or postgresql://USER@HOST/NAME"),
        ("[database]\nurl = 'sqlite://'", "database.url: expected sqlite:///FILE"),
        ("[database]\nurl = 'sqlite:///:memory:'", "database.url: expected sqlite:///FILE"),
        ("[database]\nurl = 'sqlite:///x'\npassword_file = 'p'", "database.password_file: an SQLite file has no"),
        ("[database]\nurl='postgresql://h/x'\npassword_file='p'", "database.url: expected a user before the host"),
        ("[site\n", "not valid TOML"),
        ("[site]\nopens = 08:30\n", 'texts and times stand in quotes, as "08:30"'),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(problems: Problems, text: str, said: str) -> None:
    found = problems(text)

    assert any(said in line for line in found), found
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://h/fhir", "expected an http or https URL such as http://127.0.0.1:8080/fhir, found 'ftp://h/fhir'"),
        ("127.0.0.1:8080/fhir", "expected an http or https URL"),
        ("http://[::1/fhir", "expected an http or https URL"),
        ("http://h:99999/fhir", "expected an http or https URL"),
        ("http://a b/fhir", "expected an http or https URL"),
        ("http://h/fhir?x=1", "expected a URL without ? or #"),
        (f"http://u:{SECRET}@h/fhir", "expected a URL without user name and password; use auth"),
        ("", "expected an http or https URL"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(problems: Problems, address: str, said: str) -> None:
    found = problems(f'[connections.main]\nbase_url = "{address}"')

    assert len(found) == 1
    assert said in found[0]
    assert SECRET not in found[0]


def test_every_problem_is_told_at_once(problems: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_WEBB__PORT", "1")

    found = problems(f"tennant = 'x'\n[site]\ntime_zone = 'Mars'\n{MAIN}page_size = 0\ntoken = '{SECRET}'\n")

    told = {line.partition(":")[0] for line in found}
    assert told == {
        "tennant",
        "site.time_zone",
        "connections.main.page_size",
        "connections.main.token",
        "BRIDGE_WEBB__PORT",
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "BRIDGE_CONNECTIONS__MAIN__PAGE_SIZE",
            "0",
            "BRIDGE_CONNECTIONS__MAIN__PAGE_SIZE: expected at least 1, found '0'",
        ),
        ("BRIDGE_WEB__PORT", "http", "BRIDGE_WEB__PORT: expected a whole number, found 'http'"),
        ("BRIDGE_WEB", "8000", "BRIDGE_WEB: expected a section, with settings of its own, found '8000'"),
        ("BRIDGE_PORT", "9000", "BRIDGE_PORT: no such setting; did you mean BRIDGE_WEB__PORT?"),
        ("BRIDGE_TENANT__X", "1", "BRIDGE_TENANT__X: no such setting; did you mean BRIDGE_TENANT?"),
        (
            "BRIDGE_CONNECTIONS__MAIN__PAGESIZE",
            "5",
            "BRIDGE_CONNECTIONS__MAIN__PAGESIZE: no such setting; did you mean BRIDGE_CONNECTIONS__MAIN__PAGE_SIZE?",
        ),
        ("BRIDGE_DATABASE__URL", f"mysql://u:{SECRET}@h/x", "BRIDGE_DATABASE__URL: expected sqlite:///FILE"),
    ],
)
def test_a_wrong_variable_is_named_itself(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as caught:
        load(MAIN)

    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_without_a_file_settings_are_named_as_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__VENDOR", "hapi")

    with pytest.raises(ConfigError, match=r"^BRIDGE_CONNECTIONS__MAIN__BASE_URL: is needed and not set$"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BRIDGE_SERVICE_HOST", "10.0.0.7"),
        ("BRIDGE_SERVICE_PORT_HTTP", "8000"),
        ("BRIDGE_PORT", "tcp://10.0.0.7:8000"),
        ("BRIDGE_PORT_8000_TCP_ADDR", "10.0.0.7"),
    ],
)
def test_what_kubernetes_says_of_a_service_called_bridge_is_no_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert load_settings().web.port == 8000


def test_a_file_that_is_not_text_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(b"\xff\xfe[\x00s\x00")

    with pytest.raises(ConfigError, match=r"own\.toml: expected UTF-8 text"):
        load_settings(file)


# How an EHR is read ---------------------------------------------------------------------------------------


def test_a_way_of_reading_is_set_by_type(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__BASE_URL", "http://127.0.0.1/fhir")
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__POLL__APPOINTMENT", "by-practitioner")
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__PRACTITIONERS", "Practitioner/1,Practitioner/2")

    main = load('[connections.main.poll]\nServiceRequest = "date"\n').connections["main"]

    assert main.poll == {"ServiceRequest": "date", "Appointment": "by-practitioner"}
    assert main.practitioners == ("Practitioner/1", "Practitioner/2")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('poll = { Appointment = "by-practitoner" }', "did you mean 'by-practitioner'"),
        ('poll = { Apointment = "date" }', "connections.main.poll.Apointment"),
        ('patients = ["Example, Pat"]', "expected a reference on that EHR"),
        ("days_ahead = 0", "expected at least 1"),
    ],
)
def test_a_wrong_way_of_reading_is_named(problems: Problems, line: str, said: str) -> None:
    (found,) = problems(f"{MAIN}\n{line}\n")

    assert said in found
