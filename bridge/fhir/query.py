"""Searches: how their parameters are written, and whether the server heeded them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlsplit

from bridge.errors import UnsafeAnswer
from bridge.fhir.bundle import BundlePage
from bridge.fhir.outcome import Issue

_IGNORED = frozenset({"4122", "59100", "59109"})
"""Epic's issue codes for a search parameter that was ignored (its error-code list, 2026-07)."""

_SAYS_IGNORED = re.compile(r"ignor|unsupported|not supported|unknown|unrecogni[sz]ed|not recogni[sz]ed", re.IGNORECASE)


def encode(params: Sequence[tuple[str, str]]) -> str:
    """Return search parameters as a query, everything encoded that servers trip over (``|``, ``+``, ``:``)."""
    return "&".join(f"{quote(name, safe='_-.:')}={quote(value, safe='')}" for name, value in params)


def escape(value: str) -> str:
    """Escape a value within a search parameter (FHIR R4 search.html#escaping)."""
    return re.sub(r"([\\,$|])", r"\\\1", value)


def refuse_ignored(page: BundlePage, what: str, params: Sequence[tuple[str, str]], critical: Sequence[str]) -> None:
    """
    Refuse an answer to a search whose filter the server says, or shows, that it ignored.

    A filter that was ignored gives too much, or a scan that never ends; either way what is missing from it
    means nothing (FHIR R4 search.html#errors: servers should process on and say so). The self link shows what
    was heeded; one that shows no parameter of ours says nothing.

    Raises:
        UnsafeAnswer: One of the *critical* parameters was ignored.
    """
    for outcome in page.outcomes:
        if any(_was_ignored(issue, name) for issue in outcome.issues for name in critical):
            raise UnsafeAnswer(f"{what}: the server ignored a filter", issues=outcome.summary())
    shown = _names(page.self_url)
    lost = [name for name in critical if name not in shown]
    if lost and shown & {name for name, _ in params}:
        raise UnsafeAnswer(f"{what}: the self link lacks {', '.join(lost)}: the filter was ignored")


def _was_ignored(issue: Issue, name: str) -> bool:
    if name in issue.mentions:
        return issue.code == "not-supported" or bool(_IGNORED & {*issue.details}) or _says_so(issue)
    return not issue.mentions and (issue.code == "not-supported" or bool(_IGNORED & {*issue.details}))


def _says_so(issue: Issue) -> bool:
    return _SAYS_IGNORED.search(issue.mentions) is not None


def _names(self_url: str | None) -> set[str]:
    if self_url is None:
        return set()
    try:
        return {name for name, _ in parse_qsl(urlsplit(self_url).query, keep_blank_values=True)}
    except ValueError:
        return set()
