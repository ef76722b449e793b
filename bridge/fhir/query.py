"""Searches: how their parameters are written, and whether the server heeded them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlsplit

from bridge.errors import UnsafeAnswer
from bridge.fhir.bundle import BundlePage
from bridge.fhir.outcome import Issue
from bridge.fhir.vendors import Means, codes_for

_IGNORED = codes_for(Means.FILTER_IGNORED)
_CUT_SHORT = codes_for(Means.CUT_SHORT)
_NOT_ALL = frozenset({"incomplete", "too-costly"})
"""Issue types by which a server says that there is more than it gives (FHIR R4 valueset-issue-type.html)."""

_SAYS_IGNORED = re.compile(r"ignor|unsupported|not supported|unknown|unrecogni[sz]ed|not recogni[sz]ed", re.IGNORECASE)

_SAYS_CUT = re.compile(
    r"too many (results|matches|resources)|truncated|cut off|results? (was|were|is|are|has been|have been) limited"
    r"|(exceed(s|ed)?|more than) (the )?(maximum|limit|\d+)[\w ]{0,20}(results|matches|resources)",
    re.IGNORECASE,
)


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


def cut_short(page: BundlePage) -> str | None:
    """Return how the server says that there is more than it gives, as a code, if it does."""
    issues = (issue for outcome in page.outcomes for issue in outcome.issues)
    return next((issue.words() for issue in issues if _says_more(issue)), None)


def _says_more(issue: Issue) -> bool:
    codes = {*issue.details}
    return issue.code in _NOT_ALL or bool(_CUT_SHORT & codes) or _SAYS_CUT.search(issue.mentions) is not None


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
