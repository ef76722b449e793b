"""
How Hypothesis searches.

``make test`` takes the profile ``fixed``: the same examples at every run, so that a failure is about what was changed.
``make explore`` takes new ones every time; what it finds becomes a test or a mended bug before the next change.
"""

from hypothesis import settings

settings.register_profile("fixed", derandomize=True)
