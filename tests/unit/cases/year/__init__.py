"""A year of generated cases against a second reading of the lanes file: who is asked to step in, and when."""
