"""Tokens that expire, are rationed, or are not given."""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from conformance.simulator.ehr import Ehr
from conformance.simulator.faults.base import Fault, FaultKind, natural, one_of, seconds
from conformance.simulator.wire import Answer, FhirError, Request, encode

TOKEN_PATH = "token"  # noqa: S105
_DISCOVERY_PATH = ".well-known/smart-configuration"
_OPEN = frozenset({"metadata", _DISCOVERY_PATH, TOKEN_PATH})
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_HOUR = timedelta(hours=1)
_LONGEST_ASSERTION = timedelta(minutes=5)


class Tokens(Fault):
    """
    Ask every request for a token from ``POST {base}/token``, which lives so long.

    The assertion's times are checked by the server's clock, its signature is not: there are no keys here.
    """

    def __init__(self, lifetime: str = "300", per_hour: str = "200") -> None:
        self._lifetime, self._per_hour = seconds(lifetime), natural(per_hour)
        self._issued: deque[datetime] = deque()
        self._valid: dict[str, datetime] = {}

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        now = ehr.clock()
        if request.path == _DISCOVERY_PATH:
            return Answer(200, _JSON, encode(_discovery(request.base)))
        if request.path == TOKEN_PATH:
            return self._token(request, now)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path in _OPEN or self._valid.get(token, now) > now:
            return None
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return FhirError(401, "expired", "The token is missing, unknown or expired", challenge).answer()

    def _token(self, request: Request, now: datetime) -> Answer:
        while self._issued and now - self._issued[0] >= _HOUR:
            self._issued.popleft()
        if len(self._issued) >= self._per_hour:
            return Answer(429, _JSON, encode({"error": "temporarily_unavailable"}))
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return Answer(400, _JSON, encode({"error": "unsupported_grant_type"}))
        if not _is_timely(form.get("client_assertion", ""), now):
            return Answer(400, _JSON, encode({"error": "invalid_client"}))
        self._issued.append(now)
        token = f"token-{len(self._valid) + 1}"
        self._valid[token] = now + self._lifetime
        body = {"access_token": token, "token_type": "bearer", "scope": form.get("scope", "")}
        return Answer(200, _JSON, encode({**body, "expires_in": int(self._lifetime.total_seconds())}))


class TokensFail(Fault):
    """Answer every so many requests for a token with an error."""

    def __init__(self, status: str = "500", every: str = "2") -> None:
        self._status = int(one_of(status, "400", "401", "500", "503"))
        self._every = natural(every)
        self._seen = 0

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        if request.path != TOKEN_PATH:
            return None
        self._seen += 1
        error = "invalid_client" if self._status < 500 else "server_error"
        return None if self._seen % self._every else Answer(self._status, _JSON, encode({"error": error}))


def _is_timely(assertion: str, now: datetime) -> bool:
    """Tell whether a JWT is in force: not expired, and for five minutes at most (SMART backend services)."""
    try:
        payload = assertion.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        left = timedelta(seconds=float(claims["exp"]) - now.timestamp())
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return False
    return timedelta(0) < left <= _LONGEST_ASSERTION


def _discovery(base: str) -> dict[str, object]:
    return {
        "token_endpoint": f"{base}/{TOKEN_PATH}",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": ["system/*.cruds", "system/*.*"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }


KINDS = (
    FaultKind(
        "tokens",
        "[SECONDS[,PER_HOUR]]",
        "every request needs a token from POST token, which lives 5 minutes; 200 an hour are given, then 429",
        "SMART App Launch 2.1, backend services; docs.zushealth.com rate limits: 200 tokens an hour",
        Tokens,
    ),
    FaultKind(
        "tokens-fail",
        "[400|401|500|503[,EVERY]]",
        "every second request for a token is answered with an error",
        "ours",
        TokensFail,
    ),
)
