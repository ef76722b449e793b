"""
Every measure, in words and as what is counted; docs/measures.md is written from this table.

A definition is one value: whoever asks what a number means reads it, and what computes it stands beside the words.
"""

from __future__ import annotations

from bridge.cases.measures import defined_contacts, defined_obstacles, defined_work
from bridge.cases.measures.defining import Definition

DEFINITIONS: tuple[Definition, ...] = (
    *defined_contacts.DEFINITIONS,
    *defined_work.DEFINITIONS,
    *defined_obstacles.DEFINITIONS,
)

BY_CODE = {definition.code: definition for definition in DEFINITIONS}
GROUPS = tuple(dict.fromkeys(definition.group for definition in DEFINITIONS))
