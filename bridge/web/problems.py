"""Errors as ``application/problem+json`` (RFC 9457): what is wrong, and what would be right."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from bridge.errors import StoreUnavailable
from bridge.logs import where
from bridge.web.pages.render import html, page

PROBLEM_JSON = "application/problem+json"

TRY_AGAIN_SECONDS = 5
"""When to try again what the database did not take (rule ours)."""

_FOR_PROGRAMS = ("/api/", "/health/", "/hooks/", "/metrics", "/static/")

_log = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong with a request. ``version`` is the case's version now, where that is the matter."""

    status: int
    title: str
    detail: str | None = None
    version: int | None = None
    merged_into: str | None = None
    id: str | None = None
    """Names the entry in the log, for an error of ours."""


class ApiError(Exception):
    """A request that cannot be answered; carries the problem to answer with."""

    def __init__(self, status: int, detail: str | None = None, **fields: Any) -> None:
        super().__init__(detail)
        self.problem = Problem(status=status, title=HTTPStatus(status).phrase, detail=detail, **fields)
        self.headers: dict[str, str] = {}

    def with_header(self, name: str, value: str) -> ApiError:
        """Return the error itself, to be answered with one more header."""
        self.headers[name] = value
        return self


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return *problem* as a response."""
    return Response(msgspec.json.encode(problem), problem.status, headers, PROBLEM_JSON)


def log_fault(error: Exception, fault_id: str) -> None:
    """
    Log where an unexpected error came from: its class and the lines it passed, nothing of what it says.

    The text of an exception may quote what was being worked on, and that may be about a patient.
    """
    _log.error("fault %s: %s", fault_id, where(error))


def _answer(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Programs get a problem, people a page."""
    if request.url.path.startswith(_FOR_PROGRAMS):
        return problem_response(problem, headers)
    answer = html(page("error.html", problem=problem), problem.status)
    answer.headers.update(headers or {})
    return answer


def install(app: FastAPI) -> None:
    """Answer every error that a route raises, for programs and for people."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(StoreUnavailable, _no_database)


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _answer(request, error.problem, error.headers)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    return _answer(request, Problem(status=error.status_code, title=title), dict(error.headers or {}))


def _no_database(request: Request, error: Exception) -> Response:
    """Say that nothing was saved and that it may be tried again; what the database said is for the log."""
    _log.warning("the database could not be used: %s", error)
    title = HTTPStatus.SERVICE_UNAVAILABLE.phrase
    detail = "The database does not answer just now. Nothing was saved; try again in a moment."
    problem = Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, title=title, detail=detail)
    return _answer(request, problem, {"Retry-After": str(TRY_AGAIN_SECONDS)})


def _bad_request(request: Request, error: Exception) -> Response:
    """Name each parameter that is wrong and what was expected, never the value that was sent."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{problem['loc'][min(1, len(problem['loc']) - 1)]}: {problem['msg']}" for problem in error.errors()]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return _answer(request, Problem(status=status, title=status.phrase, detail="; ".join(faults)))
