"""Templates, static files and the words and times that every page shares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bridge.web import words

COUNTED_TO = 1000
"""A list that holds more says "1,000+": to go on counting would cost every page what nobody acts on."""

STATIC = Path(__file__).resolve().parent.parent / "static"


@lru_cache
def asset(name: str) -> str:
    """Return the address of a static file; it changes with the content, so browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


@lru_cache
def environment() -> Environment:
    """Return the templates with the words and times they share."""
    environment = Environment(
        loader=PackageLoader("bridge.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"asset": asset, "channel_keys": words.CHANNEL_KEYS, "outcome_keys": words.OUTCOME_KEYS}
    environment.filters |= {
        "spoken": words.spoken,
        "language": words.language,
        "attempt": words.attempt_text,
        "outcome": words.outcome_text,
        "said": words.source_text,
        "milestone": words.MARK_TEXT.__getitem__,
        "proof": words.proof_text,
        "state": words.STATE_TEXT.__getitem__,
        "intent": words.INTENT_TEXT.__getitem__,
        "age": words.age_text,
        "counted": lambda count: words.counted_text(count, COUNTED_TO),
    }
    return environment


def page(template: str, **values: Any) -> Markup:
    """Return a template filled in; everything put in is escaped."""
    return Markup(environment().get_template(template).render(values))  # noqa: S704 - autoescaped


def html(text: str, status: int = 200) -> Response:
    """Return a page as a response."""
    return HTMLResponse(text, status)


def live(
    request: Request, template: str, part: str, values: Mapping[str, Any], *, address: str | None = None
) -> Response:
    """
    Return a page with a part that stays live, or only that part when htmx asks for it.

    The part carries a digest of itself, which htmx sends back: 204 says that nothing has changed, so that
    the page is left alone, focus and all. *address* is where the part is asked for, if not at the page's own.
    """
    inner = page(part, **values)
    digest = hashlib.sha256(inner.encode()).hexdigest()[:16]
    if request.headers.get("x-seen") == digest:
        return Response(status_code=204)
    filled = {**values, "inner": inner, "digest": digest, "address": address or address_of(request)}
    alone = request.headers.get("hx-request") == "true"
    return html(page("_live.html" if alone else template, **filled))


def address_of(request: Request) -> str:
    """Return where a request went, without the host."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path
