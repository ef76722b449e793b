"""Short ways to write requests and to read Bundles."""

from __future__ import annotations

from typing import Any

import httpx

Json = dict[str, Any]


def a_task(id_: str, **elements: Any) -> Json:
    """Return a valid Task."""
    return {"resourceType": "Task", "id": id_, "status": "requested", "intent": "order", **elements}


def put_tasks(fhir: httpx.Client, count: int) -> list[str]:
    """Store *count* Tasks and return their ids in that order."""
    ids = [f"task-{number:03d}" for number in range(count)]
    for id_ in ids:
        fhir.put(f"Task/{id_}", json=a_task(id_)).raise_for_status()
    return ids


def ids(bundle: Json) -> list[str]:
    """Return the ids of the matches."""
    return [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]


def next_link(bundle: Json) -> str | None:
    """Return the URL of the next page, or None."""
    return next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)


def first_page(fhir: httpx.Client, **params: str) -> Json:
    """Return the first page of Tasks in order of time."""
    page: Json = fhir.get("Task", params={"_sort": "_lastUpdated,_id", **params}).raise_for_status().json()
    return page
