"""What tests of the configuration share."""

from __future__ import annotations

from collections.abc import Callable

from bridge.config import Settings

MAIN = '[connections.main]\nbase_url = "http://127.0.0.1:8080/fhir"\n'
SECRET = "s3cr3t-canary"

Load = Callable[[str], Settings]
Problems = Callable[[str], list[str]]
