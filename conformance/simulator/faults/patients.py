"""Patients that turn out to be one person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from conformance.simulator.ehr import Ehr
from conformance.simulator.faults.base import Fault, FaultKind, one_of, seconds
from conformance.simulator.references import rewrite
from conformance.simulator.store import Version
from conformance.simulator.wire import Answer, FhirError, Json, Request


def merge_patients(ehr: Ehr, loser: str, survivor: str) -> None:
    """
    Merge two patients, as the clinic does: the loser points to the survivor, the loser's records move over.

    Args:
        loser: Its id; it stays as an inactive Patient with a link (FHIR R4 patient.html#links).

    Raises:
        FhirError: 404, one of them is not there.
    """
    with ehr.store.transaction():
        old, new = _patient(ehr, loser), _patient(ehr, survivor)
        for version in list(ehr.store.heads()):
            if f'"{old.reference}"'.encode() in version.raw and version.type != "Patient":
                moved = version.resource()
                rewrite(moved, {old.reference: new.reference})
                ehr.store.save(version.type, version.id, moved, "PUT")
        link = [{"other": {"reference": new.reference}, "type": "replaced-by"}]
        ehr.store.save("Patient", loser, {**old.resource(), "active": False, "link": link}, "PUT")
        back = [*new.resource().get("link", []), {"other": {"reference": old.reference}, "type": "replaces"}]
        ehr.store.save("Patient", survivor, {**new.resource(), "link": back}, "PUT")


def _patient(ehr: Ehr, id_: str) -> Version:
    version = ehr.store.head("Patient", id_)
    if version is None or version.deleted:
        raise FhirError(404, "not-found", f"Resource Patient/{id_} is not known")
    return version


class MergedPatients(Fault):
    """Show a merged patient in one of the ways of EHRs; merge two patients of its own choice after a while."""

    manners = ("link", "gone", "missing", "redirect")

    def __init__(self, manner: str, after: str = "") -> None:
        self._manner = one_of(manner, *self.manners)
        self._after = seconds(after) if after else None
        self._merge_at: datetime | None = None

    def install(self, ehr: Ehr) -> None:
        if self._after is not None:
            self._merge_at = ehr.clock() + self._after

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        if self._merge_at is not None and ehr.clock() >= self._merge_at:
            self._merge_at = None
            _merge_any(ehr)
        survivor = _survivor(request, ehr)
        if survivor is None or self._manner == "link":
            return None
        match self._manner:
            case "gone":
                return FhirError(410, "deleted", "This patient was merged into another").answer()
            case "missing":
                return FhirError(404, "not-found", f"Resource {request.path} is not known").answer()
        location = {"Location": f"{request.base}/{survivor}"}
        return FhirError(301, "business-rule", "4107: This patient was merged into another", location).answer()


def _survivor(request: Request, ehr: Ehr) -> str | None:
    """Return ``Patient/id`` of the patient that replaces the one asked for, if one does."""
    type_, _, id_ = request.path.partition("/")
    head = ehr.store.head(type_, id_) if type_ == "Patient" and request.method in {"GET", "HEAD"} else None
    if head is None or head.deleted:
        return None
    return next(_replacements(head.resource()), None)


def _replacements(patient: Json) -> Iterator[str]:
    for link in patient.get("link", []):
        if link.get("type") == "replaced-by":
            yield link["other"]["reference"]


def _merge_any(ehr: Ehr) -> None:
    ids = sorted(version.id for version in ehr.store.heads() if version.type == "Patient")
    if len(ids) > 1:
        loser, survivor = ehr.random.sample(ids, 2)
        merge_patients(ehr, loser, survivor)


KINDS = (
    FaultKind(
        "merged-patients",
        f"{'|'.join(MergedPatients.manners)}[,AFTER_SECONDS]",
        "reading a merged patient shows its link, 410, 404, or a redirect; after so long two patients are merged",
        "FHIR R4 patient.html#links; drajer-health/eCRNow #541; Epic 4107",
        MergedPatients,
    ),
)
