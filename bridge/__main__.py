"""``python -m bridge``: the same as ``bridge``, where another program has that name (iproute2 does)."""

from bridge.cli import main

if __name__ == "__main__":
    main()
