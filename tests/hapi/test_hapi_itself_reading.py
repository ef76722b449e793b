"""
What HAPI 8.0.0 does, as far as Bridge's polling relies on it: searches, pages, history, batches of reads.

As in `test_hapi_itself`, each name is a fact and the requests are plain HTTP.
"""

from __future__ import annotations

import socket

import httpx
import pytest

from .launcher import HapiServer
from .plain import (
    NO_CACHE,
    SYSTEM,
    a_task,
    bundle_of,
    create_many,
    diagnostics,
    next_link,
    pages,
    put,
    reading,
)

pytestmark = pytest.mark.xdist_group("shared servers")


def test_the_same_search_is_answered_from_a_cache_that_no_cache_avoids(fhir: httpx.Client, unique: str) -> None:
    search = {"identifier": f"{SYSTEM}|{unique}"}
    assert "entry" not in fhir.get("Task", params=search).json()
    put(fhir, a_task(unique))

    cached = fhir.get("Task", params=search).json()
    fresh = fhir.get("Task", params=search, headers=NO_CACHE).json()

    assert "entry" not in cached
    assert len(fresh["entry"]) == 1


def test_unknown_search_parameter_is_400_however_lenient_the_client_asks(fhir: httpx.Client) -> None:
    refused = fhir.get("Task", params={"no-such-parameter": "1"}, headers={"Prefer": "handling=lenient"})

    assert refused.status_code == 400
    assert "HAPI-0524" in diagnostics(refused)


def test_a_page_is_capped_at_200_and_only_next_tells_that_there_is_more(fhir: httpx.Client, unique: str) -> None:
    group = {"groupIdentifier": {"system": SYSTEM, "value": unique}}
    create_many(fhir, [a_task(f"{unique}-{number}", **group) for number in range(203)])

    got = list(pages(fhir, "Task", {"group-identifier": f"{SYSTEM}|{unique}", "_count": "1000"}))

    assert [len(page["entry"]) for page in got] == [200, 3]
    assert "total" not in got[0]
    assert next_link(got[-1]) is None
    assert len({entry["resource"]["id"] for page in got for entry in page["entry"]}) == 203


def test_sort_by_last_updated_and_id_orders_all_pages(fhir: httpx.Client, unique: str) -> None:
    """The Tasks of one transaction share their ``lastUpdated`` to within milliseconds; the id breaks the tie."""
    group = {"groupIdentifier": {"system": SYSTEM, "value": unique}}
    create_many(fhir, [a_task(f"{unique}-{number}", **group) for number in range(12)])
    search = {"group-identifier": f"{SYSTEM}|{unique}", "_sort": "_lastUpdated,_id", "_count": "5"}

    got = [entry["resource"] for page in pages(fhir, "Task", search) for entry in page["entry"]]

    keys = [(resource["meta"]["lastUpdated"], resource["id"]) for resource in got]
    assert len(keys) == 12
    assert keys == sorted(keys)


def test_last_updated_ge_includes_the_instant_itself_and_gt_does_not(fhir: httpx.Client, unique: str) -> None:
    at = put(fhir, a_task(unique)).json()["meta"]["lastUpdated"]

    assert _found(fhir, unique, f"ge{at}", NO_CACHE)
    assert not _found(fhir, unique, f"gt{at}", NO_CACHE)


def test_the_search_cache_takes_gt_and_ge_for_the_same_search(fhir: httpx.Client, unique: str) -> None:
    at = put(fhir, a_task(unique)).json()["meta"]["lastUpdated"]
    assert not _found(fhir, unique, f"gt{at}", {})

    assert not _found(fhir, unique, f"ge{at}", {})
    assert _found(fhir, unique, f"ge{at}", NO_CACHE)


def _found(fhir: httpx.Client, unique: str, last_updated: str, headers: dict[str, str]) -> bool:
    params = {"identifier": f"{SYSTEM}|{unique}", "_lastUpdated": last_updated}
    return "entry" in fhir.get("Task", params=params, headers=headers).json()


def test_a_raw_bar_in_a_query_is_400_and_an_encoded_one_is_not(hapi: HapiServer, unique: str) -> None:
    assert _status_of_raw_get(hapi.port, f"/fhir/Task?identifier={SYSTEM}|{unique}") == 400
    assert _status_of_raw_get(hapi.port, f"/fhir/Task?identifier={SYSTEM}%7C{unique}") == 200


def test_history_since_lists_every_version_newest_first_and_deletions(fhir: httpx.Client, unique: str) -> None:
    created_at = put(fhir, a_task(unique)).json()["meta"]["lastUpdated"]
    put(fhir, a_task(unique, status="accepted"))
    fhir.delete(f"Task/{unique}")

    entries = [
        entry
        for page in pages(fhir, "Task/_history", {"_since": created_at, "_count": "50"})
        for entry in page["entry"]
        if entry["request"]["url"].startswith(f"Task/{unique}/")
    ]

    assert [entry["request"]["method"] for entry in entries] == ["DELETE", "PUT", "POST"]
    assert "resource" not in entries[0]
    assert entries[1]["resource"]["meta"]["versionId"] == "2"


def test_a_batch_of_reads_answers_each_for_itself(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(f"{unique}-here"))
    put(fhir, a_task(f"{unique}-gone"))
    fhir.delete(f"Task/{unique}-gone")

    answer = fhir.post("", json=bundle_of("batch", *(reading(f"Task/{unique}-{x}") for x in ("here", "gone", "never"))))

    entries = answer.json()["entry"]
    assert answer.status_code == 200
    assert [entry["response"]["status"] for entry in entries] == ["200 OK", "410 Gone", "404 Not Found"]
    assert entries[0]["resource"]["id"] == f"{unique}-here"


def _status_of_raw_get(port: int, target: str) -> int:
    """GET *target* exactly as written; every HTTP client would encode it."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])
