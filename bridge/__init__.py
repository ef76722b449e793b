"""Bridge: EHR integration middleware that keeps referrals, visits and refills from getting lost."""

__version__ = "0.2.0.dev0"
