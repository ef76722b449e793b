"""
What can be set: one class for each section of ``bridge.toml``, with its defaults and its limits.

Nothing is read here; ``bridge.config`` does that and puts what is wrong into words.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.cases.terms import OwnerKind
from bridge.errors import ConfigError
from bridge.setting_values import (
    BY_TYPE,
    DATABASE_PLACE,
    DAYS,
    LISTED,
    ConnectionName,
    Reference,
    Resource,
    Roster,
    Url,
    Vendor,
    Way,
    Zone,
)

SECRETS = frozenset({"token", "password", "hook_secret", "hook_header_secret", "hook_signing_key"})
"""Settings of a connection that never stand in the configuration file; each has a ``_file`` beside it."""

DEFAULT_ROLES = {
    "referral-coordinator": "Referral coordinators",
    "scheduler": "Schedulers",
    "refill-nurse": "Refill nurses",
    "authorization-specialist": "Authorization specialists",
    "supervisor": "Supervisor",
    "clinician": "Clinician on duty",
}
"""Role queues that the shipped lanes name; they exist without being configured."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Section):
    """
    Where everything is kept: an SQLite file (relative to the configuration file) or PostgreSQL.

    The password is in ``password_file``, or in the URL where that comes from the environment.
    """

    url: SecretStr = SecretStr("sqlite:///bridge.sqlite3")
    password_file: Path | None = None
    lease_seconds: int = Field(120, ge=5, le=3600)

    @model_validator(mode="after")
    def _known(self) -> Database:
        scheme, _, place = self.url.get_secret_value().partition("://")
        if scheme == "sqlite":
            fit = place.startswith("/") and place.strip("/") not in ("", ":memory:")
        else:
            fit = scheme in ("postgresql", "postgresql+psycopg") and bool(place)
        if not fit:
            raise ValueError("url: expected sqlite:///FILE or postgresql://USER@HOST/NAME")
        if scheme != "sqlite" and not DATABASE_PLACE.match(place):
            raise ValueError(
                "url: expected postgresql://USER@HOST:PORT/NAME; characters like @ / ? # in a password are written "
                "as %40 %2F %3F %23, or the password is put into password_file as it is"
            )
        if scheme == "sqlite" and self.password_file is not None:
            raise ValueError("password_file: an SQLite file has no password; leave it out")
        if self.password_file is not None and "@" not in place:
            raise ValueError("url: expected a user before the host, as in postgresql://bridge@localhost/bridge")
        return self


class Hours(_Section):
    """Opening and closing time of a day."""

    opens: time
    closes: time

    @model_validator(mode="after")
    def _forward(self) -> Hours:
        if self.opens.tzinfo is not None or self.closes.tzinfo is not None:
            raise ValueError("expected times of the site's own zone, such as 08:30")
        if self.opens >= self.closes:
            raise ValueError(f"expected opens before closes, found {self.opens:%H:%M} and {self.closes:%H:%M}")
        return self


class Site(_Section):
    """Where the work is done: its name and number for scripts; for due dates time zone, opening hours, holidays."""

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    phone: Annotated[str, Field(min_length=3, max_length=40)] | None = None
    time_zone: Zone = "UTC"
    business_hours: dict[Literal[DAYS], Hours] = Field(  # type: ignore[valid-type]
        default_factory=lambda: {day: Hours(opens=time(8), closes=time(17)) for day in DAYS[:5]}
    )
    holidays: Annotated[tuple[date, ...], LISTED] = ()

    @model_validator(mode="after")
    def _open_sometime(self) -> Site:
        if not self.business_hours:
            raise ValueError("business_hours: expected at least one day, such as monday")
        return self


class AwaySection(_Section):
    """Civil days on which an owner is away, both included."""

    first: date
    last: date

    @model_validator(mode="after")
    def _in_order(self) -> AwaySection:
        if self.last < self.first:
            raise ValueError(f"last: {self.last} lies before first, {self.first}")
        return self


class OwnerSection(_Section):
    """A person or role queue that owns cases; ``references`` are the ways the EHR names them."""

    kind: Literal["person", "role"]
    display: str = Field(min_length=1)
    references: Annotated[tuple[Reference, ...], LISTED] = ()
    backup: str | None = None
    licensed: bool = False
    roles: Annotated[tuple[str, ...], LISTED] = ()
    away: tuple[AwaySection, ...] = ()

    @property
    def owner_kind(self) -> OwnerKind:
        """The kind, as the core knows it."""
        return OwnerKind(self.kind)


class ConnectionSection(_Section):
    """One EHR endpoint. Only ``base_url`` is needed for an open server."""

    base_url: Url
    vendor: Vendor = "generic"
    fhir_version: Literal["R4", "R4B", "R5"] = "R4"
    auth: Literal["none", "basic", "bearer"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    start_date: date | None = None
    read: Annotated[tuple[Resource, ...], LISTED, Field(min_length=1)] = (
        "ServiceRequest",
        "MedicationRequest",
        "Appointment",
        "Task",
    )
    poll: Annotated[dict[Resource, Way], BY_TYPE] = {}
    patients: Roster = ()
    practitioners: Roster = ()
    locations: Roster = ()
    days_back: int = Field(7, ge=0, le=3650)
    days_ahead: int = Field(90, ge=1, le=3650)
    snapshot_minutes: int = Field(10, ge=1, le=1440)
    write: bool = True
    page_size: int = Field(200, ge=1, le=1000)
    poll_seconds: int = Field(30, ge=1, le=86_400)
    sweep_minutes: int = Field(30, ge=1, le=10_080)
    overlap_seconds: int = Field(300, ge=0, le=604_800)
    lag_seconds: int = Field(5, ge=0, le=86_400)
    concurrency: int = Field(4, ge=1, le=32)
    requests_per_second: float | None = Field(None, gt=0, le=1000)
    office_requests_per_second: float | None = Field(None, gt=0, le=1000)
    timeout_seconds: float = Field(30, gt=0, le=600)
    open_proposals: bool = False
    direct_cancel: bool = False
    acknowledge_with: Literal["received", "accepted"] = "received"
    we_are: Annotated[tuple[Reference, ...], LISTED] = ()
    hook_secret: SecretStr | None = None
    hook_secret_file: Path | None = None
    hook_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    hook_header_secret: SecretStr | None = None
    hook_header_secret_file: Path | None = None
    hook_signing_key: SecretStr | None = None
    hook_signing_key_file: Path | None = None
    subscribe: Literal["off", "auto"] = "off"
    subscribe_url: Url | None = None
    subscribe_topics: Annotated[dict[Resource, str], BY_TYPE] = Field(default_factory=dict)
    subscribe_filters: Annotated[dict[Resource, str], BY_TYPE] = Field(default_factory=dict)
    subscribe_heartbeat_seconds: int | None = Field(None, ge=10, le=86_400)
    subscribe_days: int = Field(30, ge=1, le=3650)

    @model_validator(mode="after")
    def _credentials(self) -> ConnectionSection:
        problems = list(self._credential_problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _credential_problems(self) -> list[str]:
        """``BRIDGE_..._`` stands for the variables of this connection, whose name is not known here."""
        problems = []
        for secret, auth in (("password", "basic"), ("token", "bearer")):
            value, file = getattr(self, secret), getattr(self, f"{secret}_file")
            given = [f"{secret}_file"] * (file is not None) + [f"BRIDGE_..._{secret.upper()}"] * bool(value)
            if self.auth == auth and not given:
                problems.append(f"auth = {auth!r} needs {secret}_file or BRIDGE_..._{secret.upper()}")
            elif self.auth != auth and given:
                problems.append(f"{given[0]} is of no use with auth = {self.auth!r}; expected auth = {auth!r}")
            elif len(given) == 2:
                problems.append(f"expected either {given[0]} or {given[1]}, found both")
        for secret in ("hook_secret", "hook_header_secret", "hook_signing_key"):
            if getattr(self, secret) is not None and getattr(self, f"{secret}_file") is not None:
                problems.append(f"expected either {secret}_file or BRIDGE_..._{secret.upper()}, found both")
        if (self.hook_header is not None) is not self.has_secret("hook_header_secret"):
            problems.append("hook_header and hook_header_secret_file (or BRIDGE_..._HOOK_HEADER_SECRET) go together")
        if self.subscribe != "off":
            needed = {
                "subscribe_url": self.subscribe_url is not None,
                "hook_secret_file": self.has_secret("hook_secret"),
            }
            problems += [f"subscribe = {self.subscribe!r} needs {name}" for name, given in needed.items() if not given]
        if self.auth == "basic" and not self.username:
            problems.append("auth = 'basic' needs username")
        if self.username and self.auth != "basic":
            problems.append(f"username is of no use with auth = {self.auth!r}; expected auth = 'basic'")
        return problems

    def has_secret(self, name: str) -> bool:
        """Whether the secret is given, in the environment or by a file."""
        return getattr(self, name) is not None or getattr(self, f"{name}_file") is not None

    def secret(self, name: str) -> str:
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

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8000, ge=0, le=65535)
    allowed_hosts: Annotated[tuple[str, ...], LISTED] = ()


class Retention(_Section):
    """For how many days what neither work nor proof needs is kept; 0 for ever."""

    body_days: int = Field(90, ge=0, le=36_500)
    write_days: int = Field(90, ge=0, le=36_500)


class Log(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Tracing(_Section):
    """Where traces go, by OpenTelemetry; off without an endpoint. Needs ``pip install bridge-ehr[otel]``."""

    endpoint: Url | None = None
    share: float = Field(1.0, gt=0, le=1)


class Settings(BaseSettings):
    """
    Everything that can be set; ``[connections.NAME] base_url = "..."`` is enough to begin with.

    Made from values alone: only ``bridge.config.load_settings`` looks at the environment, so that the demo and
    the tests are not changed by it.
    """

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
    )

    tenant: str = Field("default", min_length=1)
    database: Database = Database(lease_seconds=120)
    site: Site = Site()
    owners: dict[str, OwnerSection] = {}
    lanes: Path | None = None
    connections: dict[ConnectionName, ConnectionSection] = {}
    web: Web = Web(host="127.0.0.1", port=8000)
    retention: Retention = Retention(body_days=90, write_days=90)
    log: Log = Log()
    tracing: Tracing = Tracing(share=1.0)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The values given are the only source."""
        return (init_settings,)


def read_secret(setting: str, file: Path | None) -> str:
    """
    Return what a secret's *file* holds, white space around it apart.

    Raises:
        ConfigError: It cannot be read or is empty; *setting* is named.
    """
    try:
        found = file.read_text(encoding="utf-8").strip() if file is not None else ""
    except UnicodeDecodeError:
        raise ConfigError(f"{setting}: {file} is not text") from None
    except OSError as error:
        raise ConfigError(f"{setting}: {file} cannot be read: {error.strerror}") from None
    if not found:
        raise ConfigError(f"{setting}: {file} is empty")
    if not found.isprintable():
        raise ConfigError(f"{setting}: {file} holds more than one line, or control characters")
    return found
