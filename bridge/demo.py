"""``bridge demo``: a simulated EHR, Bridge and the web view, with synthetic patients whose stories go on."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bridge.bootstrap import open_bridge
from bridge.config import Settings
from bridge.logs import set_up
from bridge.serve import listen, serve_all
from conformance.demo import start_live_ehr

POLL_SECONDS = 2


def run_demo(*, port: int, speed: float, seed: int) -> None:
    """Run the demo until Ctrl-C; everything it kept is forgotten then."""
    set_up("warning", "text")
    listener = listen("127.0.0.1", port, or_any=True)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="bridge-demo-") as folder, start_live_ehr(seed=seed, speed=speed) as ehr:
        settings = _settings(ehr.base_url, Path(folder))
        with open_bridge(settings) as bridge:
            print("Reading the simulated EHR ...", file=sys.stderr)
            for connector in bridge.connectors.values():
                connector.sync_once()
            print(f"The worklist is at {address}   (Ctrl-C ends the demo)")
            print(f"The simulated EHR is at {ehr.base_url}; its stories go on, so cases move while you watch.")
            sys.stdout.flush()
            serve_all(bridge, listener)


def _settings(base_url: str, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{folder / 'demo.sqlite3'}"},
            "site": {"time_zone": "America/New_York"},
            "owners": {
                "dana": {"kind": "person", "display": "Dana Whitfield", "backup": "referral-coordinator"},
                "luis": {"kind": "person", "display": "Luis Ortega", "backup": "scheduler"},
            },
            "connections": {
                "demo": {"base_url": base_url, "vendor": "generic", "poll_seconds": POLL_SECONDS, "sweep_minutes": 1}
            },
        }
    )
