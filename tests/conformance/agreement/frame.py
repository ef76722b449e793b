"""The server under test as the checks see it, and the list that they enter."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]

SYSTEM = "http://agreement.example/ids"
LOCAL = "http://agreement.example/codes"
_HEADERS = {"Accept": "application/fhir+json", "Cache-Control": "no-cache"}


@dataclass(frozen=True)
class Check:
    """One agreement: its name as a sentence, and what asserts it."""

    name: str
    run: Callable[[Server], None]


class Server:
    """A FHIR server under test, with ids that no other check uses."""

    def __init__(self, client: httpx.Client, base: str) -> None:
        self.base = base.rstrip("/")
        self._client = client
        self.key = f"a{uuid.uuid4().hex[:20]}"
        self._numbers = itertools.count(1)

    def id(self) -> str:
        """Return an id that is free, and no plain number."""
        return f"{self.key}-{next(self._numbers)}"

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Send a request; keyword ``headers``, ``params``, ``data`` and ``content`` go to httpx."""
        headers = _HEADERS | options.pop("headers", {})
        if body is not None:
            headers.setdefault("Content-Type", "application/fhir+json")
        url = path if path.startswith("http") else f"{self.base}/{path}".rstrip("/")
        return self._client.request(method, url, json=body, headers=headers, **options)

    def raw(self, url: httpx.URL) -> int:
        """Return the status of a GET whose URL goes out exactly as it is."""
        return self._client.get(url, headers=_HEADERS).status_code

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.send("GET", path, params=params or None)

    def put(self, resource: Json, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("PUT", f"{resource['resourceType']}/{resource['id']}", resource, headers=named)

    def patch(self, target: str, operations: list[Json], **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Content-Type"] = "application/json-patch+json"
        return self.send("PATCH", target, operations, headers=named)

    def stored(self, resource: Json) -> Json:
        """Put *resource* there and return it as the server has it."""
        answer = self.put(resource)
        assert answer.status_code in {200, 201}, answer.text
        body: Json = answer.json()
        return body

    def patient(self, **elements: Any) -> Json:
        return self.stored({"resourceType": "Patient", "id": self.id(), **elements})

    def task(self, **elements: Any) -> Json:
        return self.stored(self.a_task(**elements))

    def a_task(self, **elements: Any) -> Json:
        """Return a Task that is not there yet; all Tasks of one check share the identifier of its key."""
        base = {
            "resourceType": "Task",
            "id": self.id(),
            "identifier": [{"system": SYSTEM, "value": self.key}],
            "status": "requested",
            "intent": "order",
        }
        return base | elements

    def found(self, type_: str, *pairs: tuple[str, str], **params: str) -> list[str]:
        """Return the ids of all matches of a search, over all its pages, in order."""
        url, asked = f"{self.base}/{type_}", [*pairs, *params.items()]
        ids: list[str] = []
        for _ in range(20):
            answer = self.send("GET", url, params=asked or None)
            assert answer.status_code == 200, answer.text
            ids += [entry["resource"]["id"] for entry in matches(answer.json())]
            following = link(answer.json(), "next")
            if following is None:
                return ids
            url, asked = following, []
        raise AssertionError("more than twenty pages")

    def mine(self, *pairs: tuple[str, str], **params: str) -> list[str]:
        """Return the ids of this check's own Tasks that match."""
        return self.found("Task", ("identifier", f"{SYSTEM}|{self.key}"), *pairs, **params)


CHECKS: list[Check] = []


def check(run: Callable[[Server], None]) -> Callable[[Server], None]:
    """Add *run* to the checks; its name, read as a sentence, says what both servers do."""
    CHECKS.append(Check(run.__name__.replace("_", " "), run))
    return run


def matches(bundle: Json) -> list[Json]:
    """Return the entries that are matches; what was included or warned about is not."""
    return [entry for entry in bundle.get("entry", []) if entry.get("search", {}).get("mode") == "match"]


def link(bundle: Json, relation: str) -> str | None:
    """Return the URL of a link, or None; an answer may have no links at all."""
    return next((each["url"] for each in bundle.get("link", []) if each["relation"] == relation), None)


def refused(answer: httpx.Response, *statuses: int) -> None:
    """Assert that the answer is an OperationOutcome with an error and one of *statuses*."""
    assert answer.status_code in statuses, f"{answer.status_code} {answer.text[:500]}"
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    assert any(issue["severity"] in {"error", "fatal"} for issue in body["issue"])


def without_server_part(resource: Json) -> Json:
    """Return *resource* without ``meta``, which is the server's."""
    return {name: value for name, value in resource.items() if name not in {"meta", "text"}}


def bare(etag: str) -> str:
    """Return the version in an ETag of either form."""
    return etag.removeprefix("W/").strip('"')
