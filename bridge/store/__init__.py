"""
Where everything is kept: SQLite or PostgreSQL, and an in-memory twin under the same contract suite.

``port`` says what a store does, ``opening`` opens one, ``memory`` is the twin for tests.
"""
