"""Where everything is kept: SQLite or PostgreSQL, and an in-memory twin under the same contract suite."""
