"""
What each revision says of itself: whether it expands or contracts, and what the others wait for meanwhile.

A revision that does not say so is refused. What it says is compared with PostgreSQL's own list of locks by a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import msgspec
from alembic.script import ScriptDirectory

FOLDER = Path(__file__).parent


class Kind(StrEnum):
    """Whether the code of the releases before still finds all that it reads and may write as it did."""

    EXPAND = "expand"
    CONTRACT = "contract"


class Lock(StrEnum):
    """
    A lock that a revision takes on a table that others use, by PostgreSQL's name for it.

    Rule: postgresql.org/docs/16/explicit-locking.html#LOCKING-TABLES; reading takes ACCESS SHARE, writing ROW
    EXCLUSIVE.
    """

    ALL = "ACCESS EXCLUSIVE"
    WRITING = "SHARE ROW EXCLUSIVE"
    WRITING_SHARED = "SHARE"
    SCHEMA = "SHARE UPDATE EXCLUSIVE"

    @property
    def keeps_waiting(self) -> str:
        """Return who waits until it is given back."""
        if self is Lock.ALL:
            return "reading and writing wait"
        return "nobody waits" if self is Lock.SCHEMA else "writing waits"


class Step(msgspec.Struct, frozen=True):
    """
    One revision.

    Args:
        title: What it is for.
        locks: What it takes on each table that there was before; new tables are nobody else's yet.
        per_row_us: Microseconds that it takes for each row of a table, measured; what is not named takes no
            time that depends on how much there is. Locks last as long, unless it is *concurrent*.
        concurrent: Whether it works outside of a transaction on PostgreSQL, and may so stop half-way; it takes that
            up again.
        after: A contract step: the revision from which on no code reads what this one takes away.
    """

    revision: str
    title: str
    kind: Kind
    locks: Mapping[str, Lock]
    per_row_us: Mapping[str, float]
    concurrent: bool = False
    after: str | None = None


def declared(revision: str, module: ModuleType) -> Step:
    """
    Return what a revision's module says of itself.

    Raises:
        ValueError: It does not say all, or what it says does not fit together; the message names what.
    """
    kind = str(getattr(module, "kind", "nothing"))
    if kind not in [*Kind]:
        raise ValueError(f'revision {revision}: kind has to be "expand" or "contract", found {kind!r}')
    locks, per_row_us = (getattr(module, name, None) for name in ("locks", "per_row_us"))
    if not isinstance(locks, dict) or not isinstance(per_row_us, dict):
        raise ValueError(f"revision {revision}: locks and per_row_us have to be given, as {{}} where there are none")
    unknown = sorted({*locks.values()} - {*Lock})
    if unknown:
        raise ValueError(f"revision {revision}: {unknown[0]!r} is no lock; expected one of {', '.join(Lock)}")
    after = getattr(module, "after", None)
    if (after is not None) != (kind == Kind.CONTRACT):
        raise ValueError(f"revision {revision}: a contract step, and no other, says after which revision it may come")
    title = " ".join((module.__doc__ or "").strip().partition("\n\n")[0].split())
    if not title:
        raise ValueError(f"revision {revision}: its docstring has to say what it is for")
    return Step(
        revision=revision,
        title=title,
        kind=Kind(kind),
        locks={table: Lock(lock) for table, lock in locks.items()},
        per_row_us=per_row_us,
        concurrent=bool(getattr(module, "concurrent", False)),
        after=after,
    )


def steps_in(scripts: ScriptDirectory) -> Sequence[Step]:
    """
    Return every revision of a folder, the first one first.

    Raises:
        ValueError: One of them does not say of itself what it has to.
    """
    steps = tuple(declared(one.revision, one.module) for one in reversed(list(scripts.walk_revisions())))
    before: set[str] = set()
    for step in steps:
        if step.after is not None and step.after not in before:
            raise ValueError(f"revision {step.revision}: it comes after {step.after!r}, which is none before it")
        before.add(step.revision)
    return steps


@lru_cache(maxsize=8)
def every_step(folder: Path = FOLDER) -> Sequence[Step]:
    """Return every revision of this Bridge, the first one first; of another one's *folder*, in tests."""
    return steps_in(ScriptDirectory(str(folder)))
