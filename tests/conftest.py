"""
How Hypothesis searches, and what is run in one process where several run at a time.

``make test`` takes the profile ``fixed``: the same examples at every run, so that a failure is about what was changed.
``make explore`` takes new ones every time; what it finds becomes a test or a mended bug before the next change.
No example is timed, nor is its making: how long that takes is the machine's affair.

With ``--dist loadgroup`` a file is run in one process, with its fixtures, and so are files that share costly ones
(``xdist_group``).
"""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("new", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", settings.get_profile("new"), derandomize=True)
settings.load_profile("new")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make each file a group that says nothing else."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
