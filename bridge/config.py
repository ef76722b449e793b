"""
Configuration: ``bridge.toml``, overridden by ``BRIDGE_*``, read once and checked whole at the start.

A wrong or unknown setting stops the start; every problem is named at once, in the file's own dotted form, with
what was expected. Secrets come only from the environment or from files that are named (``token_file``), never
from ``bridge.toml`` itself.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.cases.model import OwnerKind
from bridge.errors import ConfigError
from bridge.fhir.vendors import profile

Resource = Literal["Task", "ServiceRequest", "Appointment", "MedicationRequest"]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SECRETS = frozenset({"token", "password"})
_PASSWORD_IN_URL = re.compile(r"^[^/]*//[^/@]*:[^/@]*@|[?&]password=")


def _base_url(value: object) -> str:
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an http or https URL such as http://127.0.0.1:8080/fhir")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password; set auth instead")
    if parts.query or parts.fragment:
        raise ValueError("must not carry a query or fragment")
    return str(value).rstrip("/")


def _zone(value: object) -> str:
    try:
        ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected an IANA time zone such as America/New_York") from None
    return str(value)


def _vendor(value: object) -> str:
    try:
        return profile(str(value)).name
    except ConfigError as error:
        raise ValueError(str(error)) from None


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Section):
    """
    Where everything is kept: an SQLite file (relative to the configuration file) or PostgreSQL.

    The password is in ``password_file``, or in the URL where that comes from the environment.
    """

    url: SecretStr = SecretStr("sqlite:///bridge.sqlite3")
    password_file: Path | None = None

    @model_validator(mode="after")
    def _known(self) -> Database:
        scheme = self.url.get_secret_value().partition(":")[0]
        if scheme not in ("sqlite", "postgresql", "postgresql+psycopg"):
            raise ValueError("expected sqlite:///FILE or postgresql://USER@HOST/NAME")
        return self


class Hours(_Section):
    """Opening and closing time of a day."""

    opens: time
    closes: time

    @model_validator(mode="after")
    def _forward(self) -> Hours:
        if self.opens >= self.closes:
            raise ValueError("opens must be before closes")
        return self


class Site(_Section):
    """Where the work is done, for due dates: time zone, opening hours, holidays."""

    time_zone: Annotated[str, BeforeValidator(_zone)] = "UTC"
    business_hours: dict[Literal[_DAYS], Hours] = Field(  # type: ignore[valid-type]
        default_factory=lambda: {day: Hours(opens=time(8), closes=time(17)) for day in _DAYS[:5]}
    )
    holidays: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _open_sometime(self) -> Site:
        if not self.business_hours:
            raise ValueError("business_hours must name at least one day")
        return self


class OwnerSection(_Section):
    """A person or role queue that owns cases; ``references`` are the ways the EHR names them."""

    kind: Literal["person", "role"]
    display: str
    references: tuple[str, ...] = ()
    backup: str | None = None

    @property
    def owner_kind(self) -> OwnerKind:
        """The kind, as the core knows it."""
        return OwnerKind(self.kind)


class ConnectionSection(_Section):
    """One EHR endpoint. Only ``base_url`` is needed for an open server."""

    base_url: Annotated[str, BeforeValidator(_base_url)]
    vendor: Annotated[str, BeforeValidator(_vendor)] = "generic"
    fhir_version: Literal["R4", "R4B", "R5"] = "R4"
    auth: Literal["none", "basic", "bearer"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    start_date: date | None = None
    read: tuple[Resource, ...] = ("ServiceRequest", "MedicationRequest", "Appointment", "Task")
    write: bool = True
    page_size: int = Field(200, ge=1, le=1000)
    poll_seconds: int = Field(30, ge=1)
    sweep_minutes: int = Field(30, ge=1)
    overlap_seconds: int = Field(300, ge=0)
    lag_seconds: int = Field(5, ge=0)
    concurrency: int = Field(4, ge=1, le=32)
    timeout_seconds: float = Field(30, gt=0, le=600)
    open_proposals: bool = False
    direct_cancel: bool = False
    acknowledge_with: Literal["received", "accepted"] = "received"
    we_are: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _credentials(self) -> ConnectionSection:
        if self.auth == "basic" and not (self.username and (self.password or self.password_file)):
            raise ValueError("auth = 'basic' needs username, and password_file or BRIDGE_..._PASSWORD")
        if self.auth == "bearer" and not (self.token or self.token_file):
            raise ValueError("auth = 'bearer' needs token_file or BRIDGE_..._TOKEN")
        return self

    def secret(self, name: Literal["token", "password"]) -> str:
        """
        Return a secret, from the environment or from the file that is named.

        Raises:
            ConfigError: The file cannot be read or is empty.
        """
        given: SecretStr | None = getattr(self, name)
        if given is not None:
            return given.get_secret_value()
        return read_secret(f"{name}_file", getattr(self, f"{name}_file"))

    @property
    def overlap(self) -> timedelta:
        """How far behind its watermark a poll begins."""
        return timedelta(seconds=self.overlap_seconds)

    @property
    def lag(self) -> timedelta:
        """How far a watermark stays behind the server's clock."""
        return timedelta(seconds=self.lag_seconds)


class Web(_Section):
    """Where the web view listens. There is no login yet: keep it on loopback."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    allowed_hosts: tuple[str, ...] = ()


class Log(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(BaseSettings):
    """Everything that can be set; ``[connections.NAME] base_url = "..."`` is enough to begin with."""

    model_config = SettingsConfigDict(env_prefix="BRIDGE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    tenant: str = "default"
    database: Database = Database()
    site: Site = Site()
    owners: dict[str, OwnerSection] = {}
    lanes: Path | None = None
    connections: dict[str, ConnectionSection] = {}
    web: Web = Web(port=8000)
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings


def read_secret(setting: str, file: Path | None) -> str:
    """
    Return what a secret's *file* holds, white space around it apart.

    Raises:
        ConfigError: It cannot be read or is empty; *setting* is named.
    """
    try:
        found = file.read_text().strip() if file is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {file} cannot be read ({error})") from None
    if not found:
        raise ConfigError(f"{setting}: {file} is empty")
    return found


def find_file(given: Path | None, env: Mapping[str, str] = os.environ) -> Path | None:
    """
    Return the configuration file: the one given, ``BRIDGE_CONFIG``, or ``bridge.toml`` here if there is one.

    Raises:
        ConfigError: A file was named and is not there.
    """
    named = given or (Path(env["BRIDGE_CONFIG"]) if env.get("BRIDGE_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(f"{named}: no such configuration file")
        return named
    here = Path("bridge.toml")
    return here if here.is_file() else None


def load_settings(file: Path | None = None) -> Settings:
    """
    Read and check the configuration.

    Raises:
        ConfigError: Anything in it is wrong; every problem is on a line of its own.
    """
    found = find_file(file)
    document = _read(found) if found is not None else {}
    where = str(found) if found is not None else "environment"
    problems = [*_plain_secrets(document, where), *_unknown_variables(os.environ)]
    if problems:
        raise ConfigError("\n".join(problems))
    try:
        settings = Settings(**document)
    except ValidationError as error:
        raise ConfigError("\n".join(_words(problem, where) for problem in error.errors())) from None
    _check_owners(settings, where)
    return _with_paths(settings, found.parent if found is not None else Path())


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from None


def _plain_secrets(document: Mapping[str, Any], where: str) -> list[str]:
    found = []
    database = document.get("database")
    if isinstance(database, dict) and _PASSWORD_IN_URL.search(str(database.get("url", ""))):
        found.append(
            f"{where}: database.url: a password does not belong in this file; "
            "use database.password_file or BRIDGE_DATABASE__URL"
        )
    connections = document.get("connections")
    if not isinstance(connections, dict):
        return found
    return found + [
        f"{where}: connections.{name}.{secret}: a secret does not belong in this file; "
        f"use {secret}_file or BRIDGE_CONNECTIONS__{name.upper()}__{secret.upper()}"
        for name, section in connections.items()
        if isinstance(section, dict)
        for secret in sorted(_SECRETS & set(section))
    ]


_OUTSIDE = frozenset({"BRIDGE_CONFIG"})
_TEST_ONLY = ("BRIDGE_TEST_", "BRIDGE_REQUIRE_", "BRIDGE_EXAMPLES", "BRIDGE_REFEREE_URL")


def _unknown_variables(env: Mapping[str, str]) -> list[str]:
    """Name ``BRIDGE_*`` variables that mean nothing: a misspelt one would be overlooked otherwise."""
    found = []
    for name in sorted(env):
        if not name.startswith("BRIDGE_") or name in _OUTSIDE or name.startswith(_TEST_ONLY):
            continue
        section = name.removeprefix("BRIDGE_").partition("__")[0].lower()
        if section not in Settings.model_fields:
            found.append(f"environment: {name}: no such setting{_nearest(section, Settings.model_fields)}")
    return found


def _words(problem: Any, where: str) -> str:
    path = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "extra_forbidden":
        *parents, name = [str(part) for part in problem["loc"]]
        return f"{where}: {path}: no such setting{_nearest(name, _fields_at(parents))}"
    if problem["type"] == "missing":
        return f"{where}: {path}: is needed and not set"
    said = problem["msg"].removeprefix("Value error, ")
    shown = "" if any(secret in path for secret in (*_SECRETS, "url")) else f", found {problem['input']!r:.60}"
    return f"{where}: {path}: {said}{shown}"


def _fields_at(path: list[str]) -> Mapping[str, Any]:
    sections: dict[str, type[BaseModel]] = {
        "database": Database,
        "site": Site,
        "owners": OwnerSection,
        "connections": ConnectionSection,
        "web": Web,
        "log": Log,
    }
    return sections[path[0]].model_fields if path and path[0] in sections else Settings.model_fields


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(sorted(known))}"


def _check_owners(settings: Settings, where: str) -> None:
    problems = [
        f"{where}: owners.{name}.backup: there is no owner called {owner.backup!r}"
        for name, owner in settings.owners.items()
        if owner.backup is not None and owner.backup not in {*settings.owners, *DEFAULT_ROLES}
    ]
    if problems:
        raise ConfigError("\n".join(problems))


DEFAULT_ROLES = {
    "referral-coordinator": "Referral coordinators",
    "scheduler": "Schedulers",
    "refill-nurse": "Refill nurses",
    "authorization-specialist": "Authorization specialists",
    "supervisor": "Supervisor",
    "clinician": "Clinician on duty",
}
"""Role queues that the shipped lanes name; they exist without being configured."""


def _with_paths(settings: Settings, folder: Path) -> Settings:
    """Read relative file names from where the configuration file is."""
    url = settings.database.url.get_secret_value()
    if settings.database.password_file is not None:
        file = folder / settings.database.password_file
        complete = _with_password(url, read_secret("database.password_file", file))
        database = settings.database.model_copy(update={"url": SecretStr(complete)})
        settings = settings.model_copy(update={"database": database})
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        place = (folder / url.removeprefix("sqlite:///")).resolve()
        database = settings.database.model_copy(update={"url": SecretStr(f"sqlite:///{place}")})
        settings = settings.model_copy(update={"database": database})
    if settings.lanes is not None and not settings.lanes.is_absolute():
        settings = settings.model_copy(update={"lanes": folder / settings.lanes})
    connections = {name: _secrets_from(section, folder) for name, section in settings.connections.items()}
    return settings.model_copy(update={"connections": connections})


def _secrets_from(section: ConnectionSection, folder: Path) -> ConnectionSection:
    files = {name: getattr(section, name) for name in ("password_file", "token_file")}
    return section.model_copy(update={name: folder / file for name, file in files.items() if file is not None})


def _with_password(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    user, at, place = rest.partition("@")
    if not at or scheme == "sqlite":
        raise ConfigError("database.password_file: database.url names no user, as in postgresql://bridge@host/bridge")
    return f"{scheme}://{user.partition(':')[0]}:{quote(password, safe='')}@{place}"
