"""How much may be asked, and whether the server is there at all."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from conformance.simulator.clock import http_date
from conformance.simulator.ehr import Ehr
from conformance.simulator.faults.base import Fault, FaultKind, natural, one_of, seconds
from conformance.simulator.wire import Answer, FhirError, Request

_ASKS_TO_WAIT_UNTIL = timedelta(seconds=120)


class Throttle(Fault):
    """Answer every *every*-th request 429 without carrying it out."""

    def __init__(self, every: str, retry_after: str = "1") -> None:
        self._every = natural(every)
        self._retry_after = retry_after
        self._seen = 0

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        self._seen += 1
        return None if self._seen % self._every else _too_many(self._retry_after, ehr)


class RateLimit(Fault):
    """Answer 429 to what goes past so many requests in a span."""

    def __init__(self, requests: str = "20", span: str = "1", retry_after: str = "") -> None:
        self._limit, self._span = natural(requests), seconds(span)
        self._retry_after = retry_after
        self._answered: deque[datetime] = deque()

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        now = ehr.clock()
        while self._answered and now - self._answered[0] >= self._span:
            self._answered.popleft()
        if len(self._answered) >= self._limit:
            return _too_many(self._retry_after, ehr)
        self._answered.append(now)
        return None


class Concurrency(Fault):
    """Answer 429 to a request while so many others are under way."""

    def __init__(self, at_once: str = "5", retry_after: str = "") -> None:
        self._at_once = natural(at_once)
        self._retry_after = retry_after

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        return _too_many(self._retry_after, ehr) if len(ehr.in_flight) > self._at_once else None


class Outage(Fault):
    """Be down from now on, for so long; every request hangs up or is answered 503 or 502."""

    def __init__(self, lasting: str = "600", manner: str = "503") -> None:
        self._lasting = seconds(lasting)
        self._manner = one_of(manner, "503", "502", "close")
        self._until: datetime | None = None

    def install(self, ehr: Ehr) -> None:
        self._until = ehr.clock() + self._lasting

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        if self._until is None or ehr.clock() >= self._until:
            return None
        if self._manner == "503":
            return FhirError(503, "transient", "Down for maintenance").answer()
        html = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
        return Answer(502, {"Content-Type": "text/html"}, html, hang_up=self._manner == "close")


def _too_many(retry_after: str, ehr: Ehr) -> Answer:
    wait = http_date(ehr.clock() + _ASKS_TO_WAIT_UNTIL) if retry_after == "date" else retry_after
    headers = {"Retry-After": wait} if wait else {}
    return FhirError(429, "throttled", "Too many requests: wait and try again", headers).answer()


KINDS = (
    FaultKind(
        "throttle",
        "EVERY[,RETRY_AFTER]",
        "every so many requests is answered 429; Retry-After as given, 'date' for an HTTP date, empty for none",
        "RFC 9110 Retry-After; Oracle Health, AdvancedMD and Practice Fusion publish no number and no header",
        Throttle,
    ),
    FaultKind(
        "rate-limit",
        "[REQUESTS[,SECONDS[,RETRY_AFTER]]]",
        "more than 20 requests a second are answered 429",
        "docs.zushealth.com rate limits: 20 a second for one address; eClinicalWorks: 250 a minute, no Retry-After",
        RateLimit,
    ),
    FaultKind(
        "concurrency",
        "[AT_ONCE[,RETRY_AFTER]]",
        "a request is answered 429 while 5 others are under way",
        "Salesforce Health Cloud: 5 long requests at once",
        Concurrency,
    ),
    FaultKind(
        "outage",
        "[SECONDS[,503|502|close]]",
        "from now on the server is down for that long",
        "ours",
        Outage,
    ),
)
