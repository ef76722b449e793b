"""One seed, one run: an EHR, its clinicians, coordinators, Bridge and all that can go wrong, on one thread."""
