"""Where secrets come from, and that they are shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import shown
from bridge.errors import ConfigError
from tests.unit.config.given import MAIN, SECRET, Load, Problems

# Secrets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{MAIN}auth = 'bearer'\ntoken = '{SECRET}'",
            "connections.main.token: a secret does not belong in this file; "
            "use token_file or BRIDGE_CONNECTIONS__MAIN__TOKEN",
        ),
        (
            f"[connections.Main-EHR]\nbase_url='http://h'\nauth='basic'\nusername='u'\npassword='{SECRET}'",
            "connections.Main-EHR.password: a secret does not belong in this file; "
            "use password_file or BRIDGE_CONNECTIONS__MAIN_EHR__PASSWORD",
        ),
        (
            f"[database]\nurl = 'postgresql://bridge:{SECRET}@db/bridge'",
            "database.url: a password does not belong in this file; use database.password_file or BRIDGE_DATABASE__URL",
        ),
    ],
)
def test_a_secret_in_the_file_stops_the_start_and_is_not_repeated(problems: Problems, text: str, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("auth = 'bearer'", "auth = 'bearer' needs token_file or BRIDGE_CONNECTIONS__MAIN__TOKEN"),
        ("auth = 'basic'\nusername = 'u'", "auth = 'basic' needs password_file or BRIDGE_CONNECTIONS__MAIN__PASSWORD"),
        ("auth = 'basic'\npassword_file = 'p'", "auth = 'basic' needs username"),
        ("token_file = 't'", "token_file is of no use with auth = 'none'; expected auth = 'bearer'"),
        ("username = 'u'", "username is of no use with auth = 'none'; expected auth = 'basic'"),
        (
            "auth = 'basic'\nusername = 'u'\npassword_file = 'p'\ntoken_file = 't'",
            "token_file is of no use with auth = 'basic'; expected auth = 'bearer'",
        ),
        ("auth = 'oauth'", "auth: expected 'none', 'basic' or 'bearer', found 'oauth'"),
    ],
)
def test_credentials_and_auth_must_fit_each_other(problems: Problems, lines: str, said: str) -> None:
    found = problems(MAIN + lines)

    assert len(found) == 1
    assert said in found[0]


def test_a_secret_twice_is_refused_without_showing_it(problems: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__TOKEN", SECRET)

    (said,) = problems(MAIN + "auth = 'bearer'\ntoken_file = 't'")

    assert "expected either token_file or BRIDGE_CONNECTIONS__MAIN__TOKEN, found both" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not text"),
        (f"{SECRET}\nX-Evil: 1\n".encode(), "holds more than one line, or control characters"),
    ],
)
def test_an_unfit_secret_file_is_named_and_not_shown(
    load: Load, tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    section = load(f"{MAIN}auth = 'bearer'\ntoken_file = 'token'").connections["main"]

    with pytest.raises(ConfigError) as caught:
        section.secret("token")

    assert str(caught.value) == f"token_file: {tmp_path / 'token'} {said}"


def test_the_database_password_comes_from_its_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("a/b@c:d\n")

    settings = load("[database]\nurl = 'postgresql://bridge@db:5432/bridge'\npassword_file = 'pw'")

    assert settings.database.url.get_secret_value() == "postgresql://bridge:a%2Fb%40c%3Ad@db:5432/bridge"


@pytest.mark.parametrize(
    "place",
    [
        f"bridge:a@{SECRET}@db/bridge",
        f"bridge:a/{SECRET}@db/bridge",
        f"bridge:a?{SECRET}@db/bridge",
        f"bridge:a#{SECRET}@db/bridge",
        f"bridge@db:{SECRET}/bridge",
    ],
)
def test_a_password_that_would_be_read_as_something_else_is_refused_without_showing_it(
    load: Load, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """As part of the host it would be told to whoever hears that there is no such host."""
    monkeypatch.setenv("BRIDGE_DATABASE__URL", f"postgresql://{place}")

    with pytest.raises(ConfigError, match="password_file as it is") as caught:
        load(MAIN)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "bridge:a%40b[c:d@db:5432/bridge",
        "bridge@[::1]:5432/bridge?sslmode=require",
        "bridge@one:5432,two:5433/bridge",
        "/bridge?host=/run/postgresql",
        "db",
    ],
)
def test_every_form_of_a_database_url_is_taken(load: Load, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_DATABASE__URL", f"postgresql://{place}")

    assert load(MAIN).database.url.get_secret_value() == f"postgresql://{place}"


def test_an_unreadable_database_password_stops_the_start(problems: Problems) -> None:
    (said,) = problems("[database]\nurl = 'postgresql://bridge@db/bridge'\npassword_file = 'pw'")

    assert said.startswith("database.password_file: ")
    assert said.endswith("pw cannot be read: No such file or directory")


def test_what_is_shown_of_the_settings_holds_no_secret(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_CONNECTIONS__MAIN__TOKEN", SECRET)
    monkeypatch.setenv(
        "BRIDGE_DATABASE__URL", f"postgresql://bridge:{SECRET}@db/bridge?password={SECRET}&x=1&sslpassword={SECRET}"
    )
    settings = load(MAIN + "auth = 'bearer'")

    said = shown(settings)

    assert said["database"]["url"] == "postgresql://bridge:***@db/bridge?password=***&x=1&sslpassword=***"
    assert SECRET not in f"{said} {settings!r} {settings}"


def test_two_connections_to_one_endpoint_are_refused(load: Load) -> None:
    """By the case ids that two names give, every case and Task would be there twice."""
    twice = MAIN + MAIN.replace("main", "second")

    with pytest.raises(ConfigError, match=r"connections\.second\.base_url: 'main' reads ServiceRequest there already"):
        load(twice)

    apart = load(MAIN + 'read = ["Task"]\n' + MAIN.replace("main", "second") + 'read = ["Appointment"]\n')
    assert set(apart.connections) == {"main", "second"}
