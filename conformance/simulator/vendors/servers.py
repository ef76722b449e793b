"""FHIR servers that show all they have: HAPI, Medplum, the clouds, and none in particular."""

from __future__ import annotations

from datetime import timedelta

from conformance.simulator.parameters import PARAMETERS
from conformance.simulator.surface import Surface, TypeSurface
from conformance.simulator.vendors.base import Vendor

_ALL = frozenset({"transaction", "batch", "history-system"})
_FULL = frozenset(
    "read vread update patch delete history-instance history-type create search-type".split()  # noqa: SIM905
)


def _everything(name: str, version: str, *, without: str = "", system: frozenset[str] = _ALL) -> Surface:
    """Return a surface with every interaction on every type but those in *without*."""
    types = PARAMETERS.keys() - frozenset(without.split())
    full = TypeSurface(interactions=_FULL)
    return Surface(software=(name, version), system=system, types=dict.fromkeys(sorted(types), full))


GENERIC = Vendor(
    name="generic",
    title="Any FHIR R4 server",
    says="what the simulated EHR is without a name: HAPI's choices, without its habits",
    source="FHIR R4; HAPI 8.0.0, run 2026-11",
)

HAPI = Vendor(
    name="hapi",
    title="HAPI FHIR JPA",
    says="searches are cached for a minute; notifications come 5 s later and are given up after a minute",
    source="HAPI 8.0.0, run 2026-11; application.yaml of the starter; hapi-fhir #6002",
    options={
        "hooks__handshake": False,
        "hooks__activation_delay": timedelta(seconds=3),
        "hooks__delay": timedelta(seconds=4),
        "hooks__delay_at_most": timedelta(seconds=7),
        "hooks__retry_every": timedelta(seconds=2),
        "hooks__giving_up": "active",
        "hooks__blocks": True,
        "hooks__numbering": "stuck",
        "hooks__silent_topics_in": frozenset({"4.0"}),
        "hooks__form": "hapi",
        "hooks__bundle_in_answer": True,
        "hooks__operations": False,
    },
    faults=("search-cache=60", "expire-cursors=3600"),
    surface=_everything("HAPI FHIR Server", "8.0.0"),
)

MEDPLUM = Vendor(
    name="medplum",
    title="Medplum",
    says="assigns ids itself; a stale If-Match is 412; hooks are signed, tried 4 times and then turned off",
    source="medplum.com documentation, 2026; medplum #4878, #8527, #8621",
    options={
        "update_as_create": False,
        "stale_write_status": 412,
        "conditional_create_must_fit": False,
        "hooks__classic_post": True,
        "hooks__attempts": 4,
        "hooks__giving_up": "off",
        "hooks__signature": "X-Signature",
    },
    surface=_everything("Medplum", "5"),
)

AZURE = Vendor(
    name="azure",
    title="Azure Health Data Services",
    says="a stale If-Match is 412, unknown parameters are ignored with a warning, 10 a page; no Subscription",
    source="learn.microsoft.com, FHIR features supported, 2026; microsoft/fhir-server UpsertResourceHandler",
    options={
        "stale_write_status": 412,
        "lenient": True,
        "page_size": 10,
        "conditional_create_must_fit": False,
    },
    surface=_everything("Azure Health Data Services", "4", without="Subscription"),
)

GOOGLE = Vendor(
    name="google",
    title="Google Cloud Healthcare API",
    says="ids of clients are off as set up by default; a stale If-Match is 412; no Subscription, but Pub/Sub",
    source="cloud.google.com, Healthcare API, fhir-etag and best practices of search, 2026",
    options={"stale_write_status": 412, "update_as_create": False, "conditional_create_must_fit": False},
    surface=_everything("Google Cloud Healthcare API", "v1", without="Subscription"),
)

HEALTHLAKE = Vendor(
    name="healthlake",
    title="AWS HealthLake",
    says="a changed resource is missing from searches while its index is updated; batch only; no Subscription",
    source="docs.aws.amazon.com, HealthLake: search consistency levels, releases, 2026",
    options={"stale_write_status": 412, "conditional_create_must_fit": False},
    faults=("reindex=30",),
    surface=_everything("AWS HealthLake", "R4", without="Subscription", system=frozenset({"batch", "history-system"})),
)
