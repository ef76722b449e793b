"""The web view: the JSON API, the worklist, the operations pages, health and metrics."""
