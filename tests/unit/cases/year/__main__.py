"""More cases than a test run takes: ``python -m tests.unit.cases.year [CASES] [SEED]``."""

from __future__ import annotations

import sys

from tests.unit.cases.year.clinic import LORD_HOWE, NEW_YORK
from tests.unit.cases.year.test_a_year import CLOCKS, a_year

if __name__ == "__main__":
    cases, seed = (int(given) for given in (*sys.argv[1:], "1000", "2")[:2])
    for site in (NEW_YORK, LORD_HOWE):
        for clock in CLOCKS:
            print(site.name, clock, dict(a_year(site, cases, clock, seed).most_common()), flush=True)
