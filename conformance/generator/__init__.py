"""Synthetic patients, staff, work and stories, the same for the same seed. No real person is described."""

from conformance.generator.player import Player
from conformance.generator.stories import stories, story_stream
from conformance.generator.story import Step, Story
from conformance.generator.variety import generate, in_dependency_order, transactions

__all__ = [
    "Player",
    "Step",
    "Story",
    "generate",
    "in_dependency_order",
    "stories",
    "story_stream",
    "transactions",
]
