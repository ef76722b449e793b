"""Bridge killed at any moment, again and again: nothing is lost and nothing is done twice."""
