"""The shapes of what is asked and answered where cases change hands."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bridge.web.views import OwnerView

MOST_CASES = 200
"""How many cases change hands in one request."""


class ClaimNext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which queue to take the next case from."""

    role: str
    connection: str | None = None
    lane: str | None = None


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case at the version that the person saw; without one, as it is now."""

    id: Annotated[str, msgspec.Meta(max_length=64)]
    version: int | None = None


class Reassign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cases and who is to have them; a dry run changes nothing and says what would."""

    owner: str
    cases: Annotated[tuple[Chosen, ...], msgspec.Meta(min_length=1, max_length=MOST_CASES)]
    dry_run: bool = False


class ReassignOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became, or would become, of one case.

    ``owner`` is who has it then, ``acts`` who stands in for them where they are away today. ``version`` is the case's
    own, to send back after a dry run.
    """

    id: str
    state: Literal["reassigned", "already", "changed", "refused", "unknown"]
    version: int | None = None
    was: OwnerView | None = None
    owner: OwnerView | None = None
    acts: OwnerView | None = None
    reason: str | None = None


class Reassigned(msgspec.Struct, frozen=True, kw_only=True):
    """What became, or with ``dry_run`` would become, of each case."""

    dry_run: bool
    outcomes: tuple[ReassignOutcome, ...]
