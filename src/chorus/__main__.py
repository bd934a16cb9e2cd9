"""`python -m chorus`, and the `chorus` command."""

from __future__ import annotations

import sys

from chorus.cli import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
