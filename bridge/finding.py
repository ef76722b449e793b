"""One thing that ``bridge doctor`` looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """
    One thing looked at: whether it is fine, what was found, and what to do if it is not.

    ``reached`` is false where an EHR or the database did not answer at all.
    """

    topic: str
    ok: bool
    found: str
    advice: str = ""
    reached: bool = True

    def as_dict(self) -> dict[str, object]:
        """Return the finding as plain values."""
        return {
            "topic": self.topic,
            "ok": self.ok,
            "found": self.found,
            "advice": self.advice,
            "reached": self.reached,
        }
