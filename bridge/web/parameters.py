"""Query parameters that mean nothing are refused: a misspelt filter would otherwise find everything."""

from __future__ import annotations

from fastapi import Request
from fastapi.routing import APIRoute

from bridge.web.problems import ApiError


def only_known(request: Request) -> None:
    """
    Refuse a request with a query parameter that its route does not have.

    Raises:
        ApiError: 422, naming the parameter and those there are.
    """
    route = request.scope["route"]
    known = [field.alias for field in route.dependant.query_params] if isinstance(route, APIRoute) else []
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        meant = f"; there are {', '.join(known)}" if known else ""
        raise ApiError(422, f"There is no parameter {unknown[0][:64]!r} here{meant}.")
