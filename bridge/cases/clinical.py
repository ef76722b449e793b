"""Clinical questions: who may answer them, and whether every lane that is in force brings them to somebody who may."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.cases.lane_parts import Climb
from bridge.cases.lanes import Lane, Lanes
from bridge.cases.owners import OwnerBook
from bridge.cases.terms import CLINICAL, OwnerKind
from bridge.errors import CommandRefused

_OF_THE_CASE = frozenset({"owner", "backup"})


def certain(lane: Lane, rule: Climb) -> tuple[str, ...]:
    """
    Return the owners whom *rule* can ask, whoever owns the case, in the order in which they are asked.

    Where nobody whom the rule names is licensed, the lane's own ladder, its backup and its owner are asked.
    """
    named = (*(rule.to or lane.escalates_to), *lane.escalates_to, lane.backup, lane.owner)
    return tuple(dict.fromkeys(name for name in named if name not in _OF_THE_CASE))


def check_may_answer(by: str, owners: OwnerBook) -> None:
    """
    Refuse that anybody but licensed staff acknowledges or resolves a clinical question.

    Raises:
        CommandRefused: The message says who may.
    """
    if not owners.is_licensed(by):
        raise CommandRefused(f"This is a clinical question, and {by} is not licensed staff. {who_may_answer(owners)}")


def who_may_answer(owners: OwnerBook) -> str:
    """Return in words who may acknowledge and resolve clinical questions."""
    people = [entry for entry in owners.entries() if entry.kind is OwnerKind.PERSON and owners.is_licensed(entry.name)]
    if not people:
        return "Nobody may answer yet: add a person to the owners section with licensed = true."
    return f"Who may answer: {', '.join(entry.display for entry in people)}."


def unheard(lanes: Lanes, owners: OwnerBook) -> Iterator[str]:
    """
    Say of each lane in which a clinical question would reach nobody licensed what to change; nothing where all is well.

    A question that nobody may answer keeps its case open for good.
    """
    licensed = ", ".join(owners.licensed()) or "nobody yet"
    for lane in lanes.all:
        for rule in lane.escalates:
            asked = certain(lane, rule)
            if rule.when in CLINICAL and not any(map(owners.is_licensed, asked)):
                yield (
                    f"lanes.{lane.name}.escalates_to: nobody licensed would hear of {rule.when.value}; asked are "
                    f"{', '.join(asked)}. Add an owner who is licensed ({licensed}), or say licensed = true in "
                    f"[owners.{asked[0]}]"
                )
                break
