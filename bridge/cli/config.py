"""``bridge config``: check the configuration, or show it."""

from __future__ import annotations

from bridge.cli.shared import NO_CONNECTION, ConfigFile, print_json, settings_of


def check(config: ConfigFile = None) -> None:
    """Check bridge.toml, BRIDGE_* and the lanes file. Asks no EHR; bridge doctor does."""
    from bridge.config import find_file
    from bridge.wiring import make_auth, make_line, read_lanes

    settings = settings_of(config)
    lanes = read_lanes(settings)
    lines = {name: make_line(name, section, settings, lanes) for name, section in settings.connections.items()}
    for name, section in settings.connections.items():
        make_auth(name, section)
    print(f"configuration: fine ({find_file(config) or 'no bridge.toml here: defaults and BRIDGE_* variables alone'})")
    print(f"  lanes: {', '.join(lane.name for lane in lanes.all)}")
    for name, line in lines.items():
        print(f"  connection {name}: {line.base_url} ({line.fhir_version}), reads {', '.join(line.types)}")
    if not lines:
        print(f"  {NO_CONNECTION}")


def show(config: ConfigFile = None) -> None:
    """Print the settings in force as JSON, secrets hidden."""
    from bridge.config import shown

    print_json(shown(settings_of(config)))
