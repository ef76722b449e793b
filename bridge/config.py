"""
Configuration: ``bridge.toml``, overridden by ``BRIDGE_*``, read once and checked whole at the start.

A wrong or unknown setting stops the start; every problem is named at once, in the file's own dotted form or by
its variable, with what was expected. Secrets come only from the environment or from files that are named
(``token_file``), never from ``bridge.toml`` itself.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource

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

_PREFIX = "BRIDGE_"
_OUTSIDE = frozenset({"BRIDGE_CONFIG"})
_TEST_ONLY = ("BRIDGE_TEST_", "BRIDGE_REQUIRE_", "BRIDGE_EXAMPLES", "BRIDGE_REFEREE_URL")
_KUBERNETES = re.compile(r"BRIDGE_(SERVICE_(HOST|PORT(_.+)?)|PORT_\d+_(TCP|UDP)(_.+)?)")
"""What Kubernetes puts into every container beside a service that is called ``bridge``."""
_PASSWORD_IN_URL = re.compile(r"^[^/]*//[^/@]*:[^/@]*@|[?&]password=")


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
    where = _Where(str(found) if found is not None else None)
    problems = _plain_secrets(document, str(found))
    values = _with_environment(document, where, problems)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigError("\n".join([*problems, *_words(error, where)])) from None
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
    values["database"]["url"] = re.sub(r"([?&]password=)[^&]*", r"\1***", url)
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


class _Where:
    """Where each setting comes from, or could come from: its variable, or the file."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.variables: dict[tuple[str, ...], str] = {}

    def __call__(self, path: Sequence[str]) -> str:
        """Return the place of the setting at *path*, with the setting's name where the place does not say it."""
        key = tuple(_key(part) for part in path)
        for end in range(len(key), 0, -1):
            if key[:end] in self.variables:
                return self.variables[key[:end]]
        return f"{self.file}: {_dotted(path)}" if self.file is not None else _variable(path)


def _key(name: str) -> str:
    """A variable's name has neither ``-`` nor case: ``main-ehr`` is ``MAIN_EHR`` there."""
    return re.sub(r"[-.]", "_", name).lower()


def _with_environment(document: dict[str, Any], where: _Where, problems: list[str]) -> dict[str, Any]:
    """Lay the ``BRIDGE_*`` variables over the file; those that mean nothing become problems."""
    given = EnvSettingsSource(Settings)()
    for name, value in sorted(os.environ.items()):
        if not name.startswith(_PREFIX) or not value or name in _OUTSIDE or name.startswith(_TEST_ONLY):
            continue
        if _KUBERNETES.fullmatch(name) or (name == "BRIDGE_PORT" and "://" in value):
            continue
        path = tuple(name.removeprefix(_PREFIX).lower().split("__"))
        if _reaches(given, path):
            where.variables[path] = name
        else:
            problems.append(f"{name}: no such setting{_nearest(name, list(_all_variables(document)))}")
    return _merged(document, given)


def _dotted(path: Sequence[str]) -> str:
    """``site.holidays[0]``: entries of lists are counted from 0."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(path))


def _reaches(values: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    names = {_key(name): name for name in base}
    for key, value in over.items():
        name = names.get(_key(key), key)
        below = result.get(name)
        result[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _all_variables(document: Mapping[str, Any]) -> Iterator[str]:
    """Return the variables that could be meant, for the names that the file already uses."""
    for name, field in Settings.model_fields.items():
        below = _section_of(field.annotation)
        many = below is not None and not isinstance(field.annotation, type)
        inside = document.get(name) if isinstance(document.get(name), dict) else {}
        for path in [(name, each) for each in inside or {}] if many else [(name,)]:
            yield from (_variable((*path, leaf)) for leaf in below.model_fields) if below else [_variable(path)]


def _variable(path: Sequence[str]) -> str:
    return _PREFIX + "__".join(_key(part).upper() for part in path)


# Problems in words ----------------------------------------------------------------------------------------


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
                f"use {secret}_file or {_variable(path)}"
            )
    return found


_EXPECTED = {
    "missing": "is needed and not set",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "date_from_datetime_inexact": "expected a day without a time, such as 2026-12-25",
    "date_from_datetime_parsing": "expected a day such as 2026-12-25",
    "date_parsing": "expected a day such as 2026-12-25",
    "date_type": "expected a day such as 2026-12-25",
    "dict_type": "expected a section, with settings of its own",
    "finite_number": "expected a number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "less_than_equal": "expected at most {le:g}",
    "literal_error": "expected {expected}",
    "model_type": "expected a section, with settings of its own",
    "path_type": "expected the name of a file, in quotes",
    "string_too_short": "expected a text that is not empty",
    "string_type": "expected a text in quotes",
    "time_delta_parsing": "expected a time such as 08:30",
    "time_parsing": "expected a time such as 08:30",
    "time_type": "expected a time such as 08:30",
    "too_short": "expected at least one",
    "tuple_type": 'expected a list, such as ["..."]',
}
"""What pydantic calls each kind of problem, in the words of whoever writes the file."""


def _words(error: ValidationError, where: _Where) -> Iterator[str]:
    for problem in error.errors():
        path = [str(part) for part in problem["loc"] if part != "[key]"]
        if problem["type"] == "extra_forbidden":
            yield f"{where(path)}: no such setting{_nearest_of(path, where)}"
            continue
        said = _said(problem, path)
        below, _, rest = said.partition(": ")
        if below in _fields_at(path):
            path, said = [*path, below], rest
        yield f"{where(path)}: {said}{_found(problem['input'], path)}"


def _said(problem: Any, path: Sequence[str]) -> str:
    context: dict[str, Any] = problem.get("ctx", {})
    words = _EXPECTED.get(problem["type"])
    if words is not None:
        return words.format_map(context) + _near_choice(problem)
    said: str = problem["msg"].removeprefix("Value error, ")
    return said.replace("BRIDGE_..._", f"{_variable(path)}__")


def _near_choice(problem: Any) -> str:
    if problem["type"] != "literal_error":
        return ""
    # The choices come in words: 'a', 'b' or 'c'.
    choices = {choice.lower(): choice for choice in re.findall(r"'([^']+)'", problem["ctx"]["expected"])}
    close = difflib.get_close_matches(str(problem["input"]).lower(), choices, n=1)
    return f" (did you mean {choices[close[0]]!r}?)" if close else ""


def _found(value: object, path: Sequence[str]) -> str:
    """Return what stood there, where it is a single value that may be shown."""
    secret = path[-1] in SECRETS or path == ["database", "url"]
    if secret or isinstance(value, dict | BaseModel) or value is None:
        return ""
    text = re.sub(r"//[^/]*@", "//***@", str(value)) if isinstance(value, str) else str(value)
    return f", found {text[:80]!r}" if isinstance(value, str) else f", found {text[:80]}"


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, or that each entry of it is."""
    for kind in (annotation, *get_args(annotation)[-1:]):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _fields_at(path: Sequence[str]) -> Mapping[str, Any]:
    """Return the settings that the section at *path* knows."""
    section: type[BaseModel] = Settings
    rest = list(path)
    while rest:
        field = section.model_fields.get(rest.pop(0))
        below = _section_of(field.annotation) if field is not None else None
        if field is None or below is None:
            return {}
        if not isinstance(field.annotation, type) and rest:
            rest.pop(0)
        section = below
    return section.model_fields


def _nearest_of(path: Sequence[str], where: _Where) -> str:
    known = list(_fields_at(path[:-1]))
    if where.file is None or where(path).startswith(_PREFIX):
        return _nearest(_variable(path), [_variable((*path[:-1], name)) for name in known])
    return _nearest(path[-1], known)


def _nearest(name: str, known: Sequence[str]) -> str:
    bare = {choice.removeprefix(_PREFIX): choice for choice in known}
    close = difflib.get_close_matches(name.removeprefix(_PREFIX), bare, n=1)
    if close:
        return f"; did you mean {bare[close[0]]}?"
    return f"; expected one of {', '.join(sorted(known))}" if len(known) < 30 else "; docs/configuration.md lists them"


def _twice(settings: Settings, where: _Where) -> list[str]:
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


def _unknown_backups(settings: Settings, where: _Where) -> list[str]:
    known = {*settings.owners, *DEFAULT_ROLES}
    problems = []
    for name, owner in settings.owners.items():
        place = where(("owners", name, "backup"))
        if owner.backup == name:
            problems.append(f"{place}: expected another owner than {name!r} itself")
        elif owner.backup is not None and owner.backup not in known:
            problems.append(f"{place}: there is no owner called {owner.backup!r}{_nearest(owner.backup, list(known))}")
    return problems


def _unknown_roles(settings: Settings, where: _Where) -> list[str]:
    known = {name for name, owner in settings.owners.items() if owner.kind == "role"} | {*DEFAULT_ROLES}
    known -= {name for name, owner in settings.owners.items() if owner.kind == "person"}
    problems = []
    for name, owner in settings.owners.items():
        place = where(("owners", name, "roles"))
        problems += [
            f"{place}: there is no role called {role!r}{_nearest(role, sorted(known))}"
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
