"""``docs/configuration.md``: every setting with its default; ``python -m bridge.settings_page`` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from bridge.fhir.vendors import PROFILES
from bridge.settings import (
    ConnectionSection,
    Database,
    Hours,
    Log,
    OwnerSection,
    Retention,
    Settings,
    Site,
    Tracing,
    Web,
)

SECTIONS: dict[str, type[BaseModel]] = {
    "": Settings,
    "site": Site,
    "site.business_hours.DAY": Hours,
    "connections.NAME": ConnectionSection,
    "owners.NAME": OwnerSection,
    "database": Database,
    "web": Web,
    "retention": Retention,
    "log": Log,
    "tracing": Tracing,
}

MEANINGS = {
    "tenant": "whose cases these are, where several organisations share a database",
    "lanes": "file with the lanes; without it those in `bridge/cases/lanes.toml`, which explains each line",
    "site.name": "what the site calls itself to patients: `{clinic}` in scripts",
    "site.phone": "the number that patients call back: `{callback}` in scripts",
    "site.time_zone": "IANA time zone in which due dates are reckoned and shown",
    "site.business_hours": "days on which work is done, monday to friday from 08:00 to 17:00 unless given",
    "site.business_hours.DAY.opens": 'when work begins on that day, as "08:30"',
    "site.business_hours.DAY.closes": "when it ends",
    "site.holidays": "days on which nobody works, as 2026-12-25",
    "connections.NAME.base_url": "where the EHR's FHIR server is; `/metadata` follows it",
    "connections.NAME.vendor": f"what differs there: {', '.join(PROFILES)}",
    "connections.NAME.fhir_version": "R4, R4B or R5",
    "connections.NAME.auth": "none, basic or bearer",
    "connections.NAME.username": "for basic",
    "connections.NAME.password": "for basic; from the environment alone",
    "connections.NAME.password_file": "for basic: file that holds the password",
    "connections.NAME.token": "for bearer; from the environment alone",
    "connections.NAME.token_file": "for bearer: file that holds the token",
    "connections.NAME.start_date": "read nothing that changed last before this day, where the EHR can be asked so",
    "connections.NAME.read": "resource types to read",
    "connections.NAME.poll": 'how a type is read, where Bridge is not to choose: `Appointment = "by-practitioner"`',
    "connections.NAME.patients": "whose resources are read where the EHR gives no others; `Group/7` for its members",
    "connections.NAME.practitioners": "whose appointments are read where the EHR gives them by schedule alone",
    "connections.NAME.locations": "where the appointments are that are read, likewise",
    "connections.NAME.days_back": "how far back appointments are read, where they are searched by day",
    "connections.NAME.days_ahead": "how far ahead",
    "connections.NAME.snapshot_minutes": "how often types are read that cannot be asked for their changes",
    "connections.NAME.write": "whether anything is written to this EHR",
    "connections.NAME.page_size": "resources asked for at a time",
    "connections.NAME.poll_seconds": "how often changes are looked for",
    "connections.NAME.sweep_minutes": "how often every open case is compared with the EHR",
    "connections.NAME.overlap_seconds": "how far each poll looks back again, for servers that index late",
    "connections.NAME.lag_seconds": "how far reading stays behind the server's clock",
    "connections.NAME.concurrency": "requests under way at a time, of all processes together",
    "connections.NAME.requests_per_second": "requests a second, of all processes together; without it any number",
    "connections.NAME.office_requests_per_second": "the same within the site's business hours, where that differs",
    "connections.NAME.timeout_seconds": "longest wait for the network",
    "connections.NAME.open_proposals": "whether proposals and plans open cases",
    "connections.NAME.direct_cancel": "whether this EHR lets a Task in progress or on hold be cancelled directly",
    "connections.NAME.acknowledge_with": "received or accepted: the status with which a Task for us is taken up",
    "connections.NAME.we_are": "how the EHR names us as the owner of Tasks",
    "connections.NAME.hook_secret": "secret in the address at which the EHR rings (notifications.md); environment only",
    "connections.NAME.hook_secret_file": "file that holds it, 16 characters or more",
    "connections.NAME.hook_header": "name of the header that a notification has to carry",
    "connections.NAME.hook_header_secret": "its value; environment only",
    "connections.NAME.hook_header_secret_file": "file that holds it",
    "connections.NAME.hook_signing_key": "key of the HMAC that notifications are signed with; environment only",
    "connections.NAME.hook_signing_key_file": "file that holds it",
    "connections.NAME.subscribe": "auto: Bridge makes and keeps Subscriptions there (notifications.md); or off",
    "connections.NAME.subscribe_url": "where the EHR reaches Bridge; `/hooks/NAME/...` follows it",
    "connections.NAME.subscribe_topics": 'the topic that tells of a type, as `{ Task = "http://..." }`',
    "connections.NAME.subscribe_filters": "a search that narrows a type's topic, as the EHR writes filters",
    "connections.NAME.subscribe_heartbeat_seconds": "how often to ask for a heartbeat; topics only",
    "connections.NAME.subscribe_days": "for how long a Subscription is asked for; it is renewed in time",
    "owners.NAME.kind": "person or role",
    "owners.NAME.display": "the name that people see",
    "owners.NAME.references": 'how the EHR names this owner: "Practitioner/12", or an identifier as "system\\|value"',
    "owners.NAME.backup": "the owner who steps in",
    "owners.NAME.licensed": "whether they are asked clinical questions and answer them; each lane needs one (lanes.md)",
    "owners.NAME.roles": "the role queues that a person takes cases from, and is licensed with; without any, from each",
    "owners.NAME.away": "days away, both included: [{ first = 2026-12-21, last = 2027-01-02 }]; the backup acts",
    "database.url": "sqlite:///FILE, or postgresql://USER@HOST/NAME; a password only from the environment",
    "database.lease_seconds": "how long a process may be silent in its work until another takes it over",
    "database.password_file": "file that holds the password of PostgreSQL's user",
    "retention.body_days": "days for which the content of received versions is kept (retention.md); 0 for ever",
    "retention.write_days": "days for which writes are kept whose place a later one took; 0 for ever",
    "web.host": "address the web view listens on; there is no login yet, so keep it on loopback",
    "web.port": "its port; 0 takes a free one",
    "web.allowed_hosts": "names beside localhost by which browsers may reach it",
    "log.level": "debug, info, warning or error",
    "log.format": "text or json",
    "tracing.endpoint": "where an OpenTelemetry collector takes traces by OTLP over HTTP, as http://127.0.0.1:4318",
    "tracing.share": "which share of the versions is traced, all of what happens to each or nothing",
}


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_rows()]) + "\n"


def names() -> Iterator[str]:
    """Return every setting's name, sections of their own left out."""
    for section, model in SECTIONS.items():
        for name in model.model_fields:
            if section or name not in {key.partition(".")[0] for key in SECTIONS}:
                yield f"{section}.{name}" if section else name


_HEAD = """# Configuration

`bridge.toml` beside where Bridge is started, the file that `BRIDGE_CONFIG` names, or the one given with
`--config`. Each setting can come from the environment too, which wins: `BRIDGE_`, then the name in capitals with
`__` for each dot and `_` for each hyphen, as `BRIDGE_CONNECTIONS__MAIN__BASE_URL`; lists are separated by commas
there. Secrets come only from the environment or from files that are named. Files that are not absolute are
beside `bridge.toml`. `bridge config check` names everything that is wrong; `bridge config show` prints what is
in force.

| Setting | Default | What it is |
| --- | --- | --- |"""


def _rows() -> Iterator[str]:
    for name in names():
        section, _, field = name.rpartition(".")
        info = SECTIONS[section].model_fields[field]
        default = "**needed**" if info.is_required() else _shown(info.get_default())
        yield f"| `{name}` | {default} | {MEANINGS[name]} |"


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return f"`{value.get_secret_value()}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{entry}`" for entry in value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, str | int | float | Path) else ""


if __name__ == "__main__":
    print(page(), end="")
