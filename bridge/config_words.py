"""What is wrong with a setting, in the words of whoever writes the file: where it is, what was expected and found."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bridge.settings import SECRETS, Settings

PREFIX = "BRIDGE_"
"""What the name of each variable begins with."""


class Where:
    """Where each setting comes from, or could come from: its variable, or the file."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.variables: dict[tuple[str, ...], str] = {}

    def __call__(self, path: Sequence[str]) -> str:
        """Return the place of the setting at *path*, with the setting's name where the place does not say it."""
        key = tuple(key_of(part) for part in path)
        for end in range(len(key), 0, -1):
            if key[:end] in self.variables:
                return self.variables[key[:end]]
        return f"{self.file}: {_dotted(path)}" if self.file is not None else variable_of(path)


def key_of(name: str) -> str:
    """Return a name by what variables keep of it: neither ``-`` nor case. ``main-ehr`` is ``MAIN_EHR`` there."""
    return re.sub(r"[-.]", "_", name).lower()


def variable_of(path: Sequence[str]) -> str:
    """Return the variable that sets what is at *path*: ``BRIDGE_SITE__NAME``."""
    return PREFIX + "__".join(key_of(part).upper() for part in path)


def _dotted(path: Sequence[str]) -> str:
    """``site.holidays[0]``: entries of lists are counted from 0."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(path))


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


def in_words(error: ValidationError, where: Where) -> Iterator[str]:
    """Return a line for each problem: where, what was expected, and what was found if it may be shown."""
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
    return said.replace("BRIDGE_..._", f"{variable_of(path)}__")


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


def section_of(annotation: Any) -> type[BaseModel] | None:
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
        below = section_of(field.annotation) if field is not None else None
        if field is None or below is None:
            return {}
        if not isinstance(field.annotation, type) and rest:
            rest.pop(0)
        section = below
    return section.model_fields


def _nearest_of(path: Sequence[str], where: Where) -> str:
    known = list(_fields_at(path[:-1]))
    if where.file is None or where(path).startswith(PREFIX):
        return nearest(variable_of(path), [variable_of((*path[:-1], name)) for name in known])
    return nearest(path[-1], known)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return which of the *known* names may have been meant, as the end of a sentence."""
    bare = {choice.removeprefix(PREFIX): choice for choice in known}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
    if close:
        return f"; did you mean {bare[close[0]]}?"
    return f"; expected one of {', '.join(sorted(known))}" if len(known) < 30 else "; docs/configuration.md lists them"
