"""
Measures: how the work goes, counted from the histories of the cases and from nothing else.

``story`` tells a case's history as rounds, stretches of time and events; ``observe`` says, measure by measure,
what of it counts in a period; ``definitions`` holds every measure with its wording (docs/measures.md is written
from it); ``tally`` adds up. All of it is pure: histories come in one after the other and none is kept.
"""
