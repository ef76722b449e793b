"""
Which Subscriptions a connection should have, and what is to be done about one that is not as it should be.

One for each topic that is configured, one for each other type where the EHR knows searches (R4, R4B). What
somebody made by hand at our address is accepted and left alone. Nothing here asks or writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.fhir.capability import Capability
from bridge.fhir.subscription import Flavor, Remote, State, Wanted, key_of
from bridge.store.rows import Subscribed
from bridge.sync.hearing import TOO_MANY, is_silent

SUBSCRIPTION = "Subscription"

ACTIVE_WITHIN = timedelta(minutes=5)
"""So long a server may take to make a Subscription active; HAPI 8.0.0 took 2.5 to 4 s (seen 2026-11)."""

_LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True)
class Desire:
    """
    What is configured of the Subscriptions of one connection.

    Args:
        base: Where the EHR reaches us, without a slash at its end.
        secret: The secret in the address at which it rings.
        header: Name and value of the header that it has to send.
        signing_key: What it has to sign notifications with.
        topics: The topic that tells of a type, by type.
        filters: Searches that narrow these, by type.
        lifetime: How long a Subscription is asked for; it is renewed when a third of that is left.
        own_ids: Whether the vendor lets us choose ids.
    """

    connection: str
    base: str
    secret: str = field(repr=False)
    header: tuple[str, str] | None = field(default=None, repr=False)
    signing_key: str | None = field(default=None, repr=False)
    topics: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=dict)
    heartbeat_seconds: int | None = None
    lifetime: timedelta = timedelta(days=30)
    own_ids: bool = True

    @property
    def path(self) -> str:
        """The path at which the EHR rings; holds the secret."""
        return f"/hooks/{self.connection}/{self.secret}"

    def hidden(self, words: str) -> str:
        """Return *words* without our secrets: an EHR may quote the address it does not like."""
        for secret in (self.secret, self.header[1] if self.header is not None else "", self.signing_key):
            words = words.replace(secret, "***") if secret else words
        return words


@dataclass(frozen=True)
class Plan:
    """
    The Subscriptions there should be, and why nothing tells of the other types.

    ``possible`` is whether the EHR lets us make any; while it does not, what was made before is left alone.
    """

    possible: bool = False
    wanted: tuple[Wanted, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)


def plan(desire: Desire, capability: Capability, types: Sequence[str], fhir_version: str) -> Plan:
    """Return which Subscriptions the EHR should have, by what it declares of itself."""
    declared = capability.of(SUBSCRIPTION)
    if "create" not in declared.interactions and not may_choose_id(desire, capability):
        return Plan(without=dict.fromkeys(types, "the EHR does not declare that Subscriptions can be created"))
    native = (capability.family if capability.family in ("R4", "R4B", "R5") else fhir_version) == "R5"
    topics = dict.fromkeys(desire.topics[kind] for kind in types if kind in desire.topics)
    others = [kind for kind in types if kind not in desire.topics]
    by_topic = tuple(_of_topic(desire, topic, types, native=native) for topic in topics)
    if native:
        return Plan(
            True, by_topic, dict.fromkeys(others, "R5 needs a topic, and none is configured (subscribe_topics)")
        )
    return Plan(True, (*by_topic, *(_of_type(desire, kind) for kind in others)))


def may_choose_id(desire: Desire, capability: Capability) -> bool:
    """Whether a PUT under an id of ours creates a Subscription."""
    declared = capability.of(SUBSCRIPTION)
    return desire.own_ids and declared.update_create and "update" in declared.interactions


def _of_topic(desire: Desire, topic: str, types: Iterable[str], *, native: bool) -> Wanted:
    told = tuple(kind for kind in types if desire.topics.get(kind) == topic)
    return Wanted(
        key=key_of(desire.base, desire.connection, topic),
        flavor=Flavor.NATIVE if native else Flavor.BACKPORT,
        types=told,
        about=topic,
        endpoint=desire.base + desire.path,
        header=desire.header,
        signing_key=desire.signing_key,
        filters=tuple(desire.filters[kind] for kind in told if kind in desire.filters),
        heartbeat_seconds=desire.heartbeat_seconds,
    )


def _of_type(desire: Desire, kind: str) -> Wanted:
    return Wanted(
        key=key_of(desire.base, desire.connection, kind),
        flavor=Flavor.CLASSIC,
        types=(kind,),
        about=kind,
        endpoint=f"{desire.base}{desire.path}/{kind}",
        header=desire.header,
        signing_key=desire.signing_key,
    )


# What there is --------------------------------------------------------------------------------------------


def made_by_hand(desire: Desire, remotes: Iterable[Remote]) -> list[Remote]:
    """Return the Subscriptions that ring here and are not ours."""
    return [remote for remote in remotes if remote.mark is None and desire.path in remote.endpoint]


def does_the_same(remote: Remote, wanted: Wanted) -> bool:
    """Whether a Subscription made by hand tells what *wanted* would."""
    return (remote.type or remote.about) == wanted.about


def ours_of(remotes: Iterable[Remote], key: str, ref: str | None) -> list[Remote]:
    """Return our Subscriptions of one key, the one to keep first; there should be one at most."""
    mine = [remote for remote in remotes if remote.mark == key or remote.ref in (ref, f"{SUBSCRIPTION}/{key}")]
    return sorted(mine, key=lambda remote: (remote.ref != ref, remote.state is not State.ACTIVE, remote.ref))


# What is to be done ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Need:
    """Why a Subscription is to be written; *catch_up* is whether its types are to be read first."""

    why: str
    catch_up: bool = False


def need(wanted: Wanted, row: Subscribed, remote: Remote | None, now: datetime) -> Need | None:
    """Return what is wrong with one of our Subscriptions that writing it again may mend."""
    if remote is None:
        return Need("the EHR does not have it")
    if remote.state is State.REQUESTED:
        late = row.wrote_at is None or now - row.wrote_at > ACTIVE_WITHIN
        return Need("the EHR has not made it active") if late else None
    if remote.state is not State.ACTIVE:
        return Need(f"the EHR calls it {remote.state}", catch_up=True)
    if row.digest != wanted.digest():
        return Need("it is not as configured")
    if _ends_soon(row, remote, now):
        return Need("it would end")
    if is_silent(row, now):
        return Need("two heartbeats did not come", catch_up=True)
    if row.missed_in_row >= TOO_MANY:
        return Need(f"{row.missed_in_row} changes in a row came without a notification", catch_up=True)
    return None


def is_settled(row: Subscribed) -> bool:
    """Whether one that nothing is wrong with has proven so since it was written: pauses may be short again."""
    if row.state != State.ACTIVE:
        return False
    heard = row.heard_at is not None and row.wrote_at is not None and row.heard_at > row.wrote_at
    return row.heartbeat_seconds is None or heard


def _ends_soon(row: Subscribed, remote: Remote, now: datetime) -> bool:
    if remote.ends_at is None:
        return False
    granted = remote.ends_at - row.wrote_at if row.wrote_at is not None else timedelta()
    return now >= remote.ends_at - granted / 3


def wait_after(tries: int) -> timedelta:
    """Return how long to leave a Subscription alone that was written *tries* times in vain (rule ours)."""
    return min(timedelta(minutes=2.0 ** min(tries, 10)), _LONGEST_WAIT)
