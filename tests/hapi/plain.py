"""
Plain HTTP for the tests of HAPI itself: what they send and how they read the answers, without Bridge's client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

Json = dict[str, Any]

SYSTEM = "https://bridge.example/test"
NO_CACHE = {"Cache-Control": "no-cache"}


def a_task(unique: str, **changes: Any) -> Json:
    """Return a valid Task with an id and identifier of its own."""
    return {
        "resourceType": "Task",
        "id": unique,
        "identifier": [{"system": SYSTEM, "value": unique}],
        "status": "requested",
        "intent": "order",
        **changes,
    }


def put(fhir: httpx.Client, resource: Json, **headers: str) -> httpx.Response:
    """Update-as-create; keyword ``if_match`` becomes the header ``If-Match``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return fhir.put(f"{resource['resourceType']}/{resource['id']}", json=resource, headers=named)


def patch(fhir: httpx.Client, target: str, *operations: Json, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["Content-Type"] = "application/json-patch+json"
    return fhir.patch(target, content=json.dumps(operations), headers=named)


def replace(path: str, value: Any) -> Json:
    return {"op": "replace", "path": path, "value": value}


def diagnostics(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    return " ".join(issue["diagnostics"] for issue in body["issue"])


def issues(answer: httpx.Response, severity: str) -> list[str]:
    return [issue["diagnostics"] for issue in answer.json()["issue"] if issue["severity"] == severity]


def next_link(bundle: Json) -> str | None:
    return next((link["url"] for link in bundle.get("link", []) if link["relation"] == "next"), None)


def pages(fhir: httpx.Client, url: str, params: dict[str, str]) -> Iterator[Json]:
    """Yield every page of a search or history, following its ``next`` links."""
    bundle: Json = fhir.get(url, params=params, headers=NO_CACHE).raise_for_status().json()
    yield bundle
    while (following := next_link(bundle)) is not None:
        bundle = fhir.get(following, headers=NO_CACHE).raise_for_status().json()
        yield bundle


def count(fhir: httpx.Client, unique: str) -> int:
    params = {"identifier": f"{SYSTEM}|{unique}", "_summary": "count"}
    total: int = fhir.get("Task", params=params, headers=NO_CACHE).json()["total"]
    return total


def at_once(times: int, request: Callable[[int], httpx.Response]) -> list[int]:
    """Send *times* requests on as many threads and return their status codes."""
    with ThreadPoolExecutor(times) as pool:
        return [answer.status_code for answer in pool.map(request, range(times))]


def bundle_of(kind: str, *entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def reading(target: str) -> Json:
    return {"request": {"method": "GET", "url": target}}


def create_many(fhir: httpx.Client, resources: list[Json]) -> None:
    entries = [
        {
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in resources
    ]
    fhir.post("", json=bundle_of("transaction", *entries)).raise_for_status()
