"""
What HAPI 8.0.0 does, as far as Bridge's writing relies on it; the neighbours hold reading and checking.

These are tests of HAPI, not of Bridge: they use plain HTTP. Each name is a fact that Bridge's code may cite, and a
newer HAPI that behaves otherwise fails here first instead of somewhere in the line.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from .plain import (
    SYSTEM,
    a_task,
    at_once,
    bundle_of,
    count,
    diagnostics,
    patch,
    put,
    replace,
)

pytestmark = pytest.mark.xdist_group("shared servers")

# -- versions: If-Match, ETag, changes that are none -----------------------------------------------------------------


def test_stale_if_match_on_put_is_409_and_changes_nothing(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))
    put(fhir, a_task(unique, status="accepted"), if_match='W/"1"').raise_for_status()

    stale = put(fhir, a_task(unique, status="rejected"), if_match='W/"1"')

    assert stale.status_code == 409
    assert "HAPI-0550" in diagnostics(stale)
    assert fhir.get(f"Task/{unique}").json()["status"] == "accepted"


def test_stale_if_match_on_patch_is_409(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))
    put(fhir, a_task(unique, status="accepted"))

    stale = patch(fhir, f"Task/{unique}", replace("/status", "rejected"), if_match='W/"1"')

    assert stale.status_code == 409
    assert "HAPI-0550" in diagnostics(stale)


def test_if_match_takes_a_strong_etag_too(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))

    strong = put(fhir, a_task(unique, status="accepted"), if_match='"1"')

    assert (strong.status_code, strong.headers["ETag"]) == (200, 'W/"2"')


def test_put_of_the_same_content_makes_no_new_version(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))

    again = put(fhir, a_task(unique))

    assert (again.status_code, again.headers["ETag"]) == (200, 'W/"1"')
    assert "Location" not in again.headers


def test_the_answer_to_a_patch_names_its_version_but_has_no_etag(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))

    patched = patch(fhir, f"Task/{unique}", replace("/status", "accepted"))

    assert "ETag" not in patched.headers
    assert patched.headers["Content-Location"].endswith(f"Task/{unique}/_history/2")
    assert patched.json()["meta"]["versionId"] == "2"


def test_read_with_the_current_etag_in_if_none_match_is_304(fhir: httpx.Client, unique: str) -> None:
    etag = put(fhir, a_task(unique)).headers["ETag"]

    assert fhir.get(f"Task/{unique}", headers={"If-None-Match": etag}).status_code == 304


def test_if_none_match_star_on_put_is_ignored(fhir: httpx.Client, unique: str) -> None:
    """So a PUT cannot be made create-only."""
    put(fhir, a_task(unique))

    second = put(fhir, a_task(unique, status="accepted"), if_none_match="*")

    assert (second.status_code, second.headers["ETag"]) == (200, 'W/"2"')


# -- creating once ---------------------------------------------------------------------------------------------------


def test_concurrent_conditional_creates_make_one_resource(fhir: httpx.Client, unique: str) -> None:
    body = a_task(unique)
    del body["id"]

    codes = at_once(
        16, lambda _: fhir.post("Task", json=body, headers={"If-None-Exist": f"identifier={SYSTEM}|{unique}"})
    )

    assert codes.count(201) == 1
    assert set(codes) <= {200, 201, 409}
    assert count(fhir, unique) == 1


def test_concurrent_puts_with_a_client_id_make_one_resource(fhir: httpx.Client, unique: str) -> None:
    codes = at_once(16, lambda _: put(fhir, a_task(unique)))

    assert codes.count(201) == 1
    assert set(codes) <= {200, 201, 409}
    assert count(fhir, unique) == 1


def test_concurrent_conditional_puts_may_make_several_resources(fhir: httpx.Client, unique: str) -> None:
    """Seen in two rounds of three; from then on the same request is 412. Never create by conditional PUT."""
    for key in (f"{unique}-{number}" for number in range(40)):
        codes = at_once(16, conditional_put_of(fhir, key))
        assert set(codes) <= {200, 201, 409, 412}
        if count(fhir, key) > 1:
            assert conditional_put_of(fhir, key)(0).status_code == 412
            return
    pytest.fail("40 rounds made one resource each: this HAPI no longer doubles conditional PUTs")


def conditional_put_of(fhir: httpx.Client, key: str) -> Callable[[int], httpx.Response]:
    body = a_task(key)
    del body["id"]
    return lambda _: fhir.put("Task", params={"identifier": f"{SYSTEM}|{key}"}, json=body)


def test_conditional_create_with_several_matches_is_412(fhir: httpx.Client, unique: str) -> None:
    for number in range(2):
        put(fhir, a_task(f"{unique}-{number}", identifier=[{"system": SYSTEM, "value": unique}]))

    answer = fhir.post("Task", json=a_task(unique), headers={"If-None-Exist": f"identifier={SYSTEM}|{unique}"})

    assert answer.status_code == 412


def test_a_client_id_of_digits_only_is_refused(fhir: httpx.Client) -> None:
    refused = put(fhir, a_task("987654321"))

    assert refused.status_code == 400
    assert "HAPI-0960" in diagnostics(refused)


# -- changing --------------------------------------------------------------------------------------------------------


def test_json_patch_with_a_passing_test_is_applied(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))
    was = {"op": "test", "path": "/status", "value": "requested"}

    patched = patch(fhir, f"Task/{unique}", was, replace("/status", "accepted"))

    assert (patched.status_code, patched.json()["status"]) == (200, "accepted")


def test_json_patch_with_a_failing_test_is_400_and_changes_nothing(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))
    was = {"op": "test", "path": "/status", "value": "ready"}

    refused = patch(fhir, f"Task/{unique}", was, replace("/status", "accepted"))

    assert refused.status_code == 400
    assert "HAPI-1272" in diagnostics(refused)
    assert fhir.get(f"Task/{unique}").headers["ETag"] == 'W/"1"'


def test_the_etag_in_a_batch_answer_is_bare(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))
    change = {
        "resource": a_task(unique, status="accepted"),
        "request": {"method": "PUT", "url": f"Task/{unique}", "ifMatch": 'W/"1"'},
    }

    entry = fhir.post("", json=bundle_of("batch", change)).json()["entry"][0]

    assert entry["response"]["status"] == "200 OK"
    assert entry["response"]["etag"] == "2"


def test_unknown_elements_are_accepted_and_dropped(fhir: httpx.Client, unique: str) -> None:
    created = put(fhir, a_task(unique, bridgeNote="kept?"))

    assert created.status_code == 201
    assert "bridgeNote" not in fhir.get(f"Task/{unique}").json()


def test_a_status_outside_its_value_set_is_400(fhir: httpx.Client, unique: str) -> None:
    refused = put(fhir, a_task(unique, status="almost-done"))

    assert refused.status_code == 400
    assert "HAPI-0450" in diagnostics(refused)


def test_one_unreadable_entry_refuses_its_whole_batch(fhir: httpx.Client, unique: str) -> None:
    entries = [
        {"resource": a_task(f"{unique}-good"), "request": {"method": "PUT", "url": f"Task/{unique}-good"}},
        {
            "resource": a_task(f"{unique}-bad", status="almost-done"),
            "request": {"method": "PUT", "url": f"Task/{unique}-bad"},
        },
    ]

    refused = fhir.post("", json=bundle_of("batch", *entries))

    assert refused.status_code == 400
    assert "HAPI-0450" in diagnostics(refused)
    assert fhir.get(f"Task/{unique}-good").status_code == 404


def test_what_is_written_comes_back_equal_but_for_server_meta(fhir: httpx.Client, unique: str) -> None:
    task = a_task(
        unique,
        meta={"tag": [{"system": SYSTEM, "code": "a"}], "profile": ["https://bridge.example/profile"]},
        text={
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>a &amp; b</p></div>',
        },
        contained=[{"resourceType": "Practitioner", "id": "p", "name": [{"family": "Übungsärztin"}]}],
        extension=[{"url": "https://bridge.example/x", "valueDecimal": 1.5}],
        modifierExtension=[{"url": "https://bridge.example/m", "valueBoolean": True}],
        _description={"extension": [{"url": "https://bridge.example/d", "valueString": "of no value"}]},
        authoredOn="2026-03",
        owner={"reference": "#p"},
        restriction={"period": {"end": "2026-11-30T17:00:00.000-05:00"}},
        note=[{"text": "two\nlines  "}],
    )

    put(fhir, task)

    back = fhir.get(f"Task/{unique}").json()
    for element in ("versionId", "lastUpdated", "source"):
        del back["meta"][element]
    assert back == task


def test_deleted_is_410_with_the_location_of_the_deleted_version(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))
    fhir.delete(f"Task/{unique}").raise_for_status()

    gone = fhir.get(f"Task/{unique}")

    assert gone.status_code == 410
    assert gone.headers["Location"].endswith(f"Task/{unique}/_history/2")


def test_put_on_a_deleted_resource_with_if_match_on_its_last_version_is_409(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_task(unique))
    fhir.delete(f"Task/{unique}")

    refused = put(fhir, a_task(unique, status="accepted"), if_match='W/"1"')

    assert refused.status_code == 409
    assert fhir.get(f"Task/{unique}").status_code == 410


def test_put_on_a_deleted_resource_without_if_match_brings_it_back(fhir: httpx.Client, unique: str) -> None:
    """So an update without ``If-Match`` can undo a clinician's deletion."""
    put(fhir, a_task(unique))
    fhir.delete(f"Task/{unique}")

    back = put(fhir, a_task(unique))

    assert back.status_code == 201
    assert fhir.get(f"Task/{unique}").status_code == 200
