"""
Configuration: ``bridge.toml``, overridden by ``BRIDGE_*``, read once and checked whole at the start.

A wrong or unknown setting stops the start; every problem is named at once, in the file's own dotted form or by
its variable, with what was expected. Secrets come only from the environment or from files that are named
(``token_file``), never from ``bridge.toml`` itself.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource

from bridge.config_words import PREFIX, Where, in_words, key_of, nearest, section_of, variable_of
from bridge.errors import ConfigError
from bridge.settings import (
    DEFAULT_ROLES,
    SECRETS,
    ConnectionSection,
    Database,
    OwnerSection,
    Settings,
    read_secret,
)

__all__ = ["DEFAULT_ROLES", "ConnectionSection", "OwnerSection", "Settings", "find_file", "load_settings", "shown"]

_OUTSIDE = frozenset({"BRIDGE_CONFIG"})
_TEST_ONLY = ("BRIDGE_TEST_", "BRIDGE_REQUIRE_", "BRIDGE_EXAMPLES", "BRIDGE_REFEREE_URL")
_KUBERNETES = re.compile(r"BRIDGE_(SERVICE_(HOST|PORT(_.+)?)|PORT_\d+_(TCP|UDP)(_.+)?)")
"""What Kubernetes puts into every container beside a service that is called ``bridge``."""
_PASSWORD_IN_URL = re.compile(r"^[^/]*//[^/@]*:[^/@]*@|[?&](ssl)?password=")


def find_file(given: Path | None, env: Mapping[str, str] = os.environ) -> Path | None:
    """
    Return the configuration file: the one given, ``BRIDGE_CONFIG``, or ``bridge.toml`` here if there is one.

    Raises:
        ConfigError: A file was named and is not there.
    """
    named = given or (Path(env["BRIDGE_CONFIG"]) if env.get("BRIDGE_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            by = "" if given else " (named by BRIDGE_CONFIG)"
            raise ConfigError(f"{named}: no such configuration file{by}")
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
    where = Where(str(found) if found is not None else None)
    problems = _plain_secrets(document, str(found))
    values = _with_environment(document, where, problems)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigError("\n".join([*problems, *in_words(error, where)])) from None
    problems += _unknown_backups(settings, where)
    problems += _unknown_roles(settings, where)
    problems += _twice(settings, where)
    if problems:
        raise ConfigError("\n".join(problems))
    return _with_paths(settings, found.parent if found is not None else Path())


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain values, as they are in force, secrets hidden."""
    values = settings.model_dump(mode="json")
    url = re.sub(r"(//[^/@:]*):[^/]*@", r"\1:***@", settings.database.url.get_secret_value())
    values["database"]["url"] = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", url)
    return values


def _read(file: Path) -> dict[str, Any]:
    try:
        # Windows editors may put a byte order mark first.
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f'{file}: not valid TOML: {error}; texts and times stand in quotes, as "08:30"') from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: expected UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None


# The environment ------------------------------------------------------------------------------------------


def _with_environment(document: dict[str, Any], where: Where, problems: list[str]) -> dict[str, Any]:
    """Lay the ``BRIDGE_*`` variables over the file; those that mean nothing become problems."""
    given = EnvSettingsSource(Settings)()
    for name, value in sorted(os.environ.items()):
        if not name.startswith(PREFIX) or not value or name in _OUTSIDE or name.startswith(_TEST_ONLY):
            continue
        if _KUBERNETES.fullmatch(name) or (name == "BRIDGE_PORT" and "://" in value):
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if _reaches(given, path):
            where.variables[path] = name
        else:
            problems.append(f"{name}: no such setting{nearest(name, list(_all_variables(document)))}")
    return _merged(document, given)


def _reaches(values: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    names = {key_of(name): name for name in base}
    for key, value in over.items():
        name = names.get(key_of(key), key)
        below = result.get(name)
        result[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _all_variables(document: Mapping[str, Any]) -> Iterator[str]:
    """Return the variables that could be meant, for the names that the file already uses."""
    for name, field in Settings.model_fields.items():
        below = section_of(field.annotation)
        many = below is not None and not isinstance(field.annotation, type)
        inside = document.get(name) if isinstance(document.get(name), dict) else {}
        for path in [(name, each) for each in inside or {}] if many else [(name,)]:
            yield from (variable_of((*path, leaf)) for leaf in below.model_fields) if below else [variable_of(path)]


def _plain_secrets(document: Mapping[str, Any], where: str) -> list[str]:
    found = []
    database = document.get("database")
    if isinstance(database, dict) and _PASSWORD_IN_URL.search(str(database.get("url", ""))):
        found.append(
            f"{where}: database.url: a password does not belong in this file; "
            "use database.password_file or BRIDGE_DATABASE__URL"
        )
    connections = document.get("connections")
    for name, section in connections.items() if isinstance(connections, dict) else ():
        for secret in sorted(SECRETS & set(section)) if isinstance(section, dict) else ():
            path = ("connections", name, secret)
            found.append(
                f"{where}: {'.'.join(path)}: a secret does not belong in this file; "
                f"use {secret}_file or {variable_of(path)}"
            )
    return found


def _twice(settings: Settings, where: Where) -> list[str]:
    """Two connections that read the same of one endpoint would make every case and every Task twice."""
    problems, seen = [], dict[tuple[str, str], str]()
    for name, section in settings.connections.items():
        for kind in section.read:
            first = seen.setdefault((section.base_url.lower(), kind), name)
            if first != name:
                place = where(("connections", name, "base_url"))
                problems.append(f"{place}: {first!r} reads {kind} there already; every case would be there twice")
                break
    return problems


def _unknown_backups(settings: Settings, where: Where) -> list[str]:
    known = {*settings.owners, *DEFAULT_ROLES}
    problems = []
    for name, owner in settings.owners.items():
        place = where(("owners", name, "backup"))
        if owner.backup == name:
            problems.append(f"{place}: expected another owner than {name!r} itself")
        elif owner.backup is not None and owner.backup not in known:
            problems.append(f"{place}: there is no owner called {owner.backup!r}{nearest(owner.backup, list(known))}")
    return problems


def _unknown_roles(settings: Settings, where: Where) -> list[str]:
    known = {name for name, owner in settings.owners.items() if owner.kind == "role"} | {*DEFAULT_ROLES}
    known -= {name for name, owner in settings.owners.items() if owner.kind == "person"}
    problems = []
    for name, owner in settings.owners.items():
        place = where(("owners", name, "roles"))
        problems += [
            f"{place}: there is no role called {role!r}{nearest(role, sorted(known))}"
            for role in owner.roles
            if role not in known
        ]
        if owner.kind == "role" and owner.roles:
            problems.append(f"{place}: a person works role queues; {name!r} is one")
    return problems


# Files that settings name ---------------------------------------------------------------------------------


def _with_paths(settings: Settings, folder: Path) -> Settings:
    """Read relative file names from where the configuration file is."""
    connections = {name: _secrets_from(section, folder) for name, section in settings.connections.items()}
    return settings.model_copy(
        update={
            "database": _database_from(settings.database, folder),
            "lanes": _in(folder, settings.lanes),
            "connections": connections,
        }
    )


def _in(folder: Path, file: Path | None) -> Path | None:
    return folder / file.expanduser() if file is not None else None


def _secrets_from(section: ConnectionSection, folder: Path) -> ConnectionSection:
    names = [f"{secret}_file" for secret in SECRETS]
    return section.model_copy(update={name: _in(folder, getattr(section, name)) for name in names})


def _database_from(database: Database, folder: Path) -> Database:
    url = database.url.get_secret_value()
    if url.startswith("sqlite:///"):
        place = (folder / Path(url.removeprefix("sqlite:///")).expanduser()).resolve()
        return database.model_copy(update={"url": SecretStr(f"sqlite:///{place}")})
    if database.password_file is None:
        return database
    file = _in(folder, database.password_file)
    complete = _with_password(url, read_secret("database.password_file", file))
    return database.model_copy(update={"url": SecretStr(complete), "password_file": file})


def _with_password(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    user, _, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:{quote(password, safe='')}@{place}"
