"""
What differs between EHRs: one profile each, with where and when it was seen.

What a server's CapabilityStatement declares wins over its profile; nothing else in Bridge asks for a vendor's
name. A new EHR is one entry here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import ConfigError


@dataclass(frozen=True)
class VendorProfile:
    """
    How one EHR departs from what FHIR R4 lets us expect.

    Args:
        message_status: Communication.status for "sent": ``completed`` or ``in-progress``.
        task_intent: Task.intent of Tasks we create.
        knows_ready: Whether partners there understand Task.status ``ready`` and ``received``.
        own_ids: Whether resources may be created under an id we choose, where the CapabilityStatement says so.
        evidence: Where each departure comes from, dated.
    """

    name: str
    message_status: str = "completed"
    task_intent: str = "order"
    knows_ready: bool = True
    own_ids: bool = True
    evidence: tuple[str, ...] = ()


PROFILES = {
    profile.name: profile
    for profile in (
        VendorProfile("generic"),
        VendorProfile(
            "hapi",
            evidence=("HAPI 8.0.0, run 2026-11: update-as-create with ids that are not all digits",),
        ),
        VendorProfile(
            "medplum",
            message_status="in-progress",
            own_ids=False,
            evidence=(
                "Medplum documentation, referrals and handoffs, read 2026: a sent message is in-progress with sent",
                "Medplum assigns ids itself unless a project is set up otherwise (documentation, 2026)",
            ),
        ),
        VendorProfile(
            "gravity",
            knows_ready=False,
            evidence=("SDOH Clinical Care IG 3.0.0: Task.status excludes ready and received",),
        ),
        VendorProfile("azure", evidence=("Microsoft FHIR server, features supported, 2026: full CRUD, If-Match",)),
        VendorProfile("google", evidence=("Cloud Healthcare API documentation, 2026: full CRUD, If-Match",)),
    )
}


def profile(name: str) -> VendorProfile:
    """
    Return the profile called *name*.

    Raises:
        ConfigError: There is none; the message lists those there are.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"vendor {name!r} is not known; expected one of {', '.join(PROFILES)}") from None
