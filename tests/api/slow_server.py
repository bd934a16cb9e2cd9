"""`chorus serve` in which making an agent takes its time: `python -m tests.api.slow_server`.

The request writes its row and then waits for a file, as one does that a test wants to catch in
the middle; AGENTS_WAIT_FOR names the file that says so, and which it waits to be gone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from chorus import cli
from chorus.agents import edit

_give_tools = edit._give_tools  # pyright: ignore[reportPrivateUsage]  the last step of the request


async def _slowly(*args: Any) -> None:
    await _give_tools(*args)
    file = Path(os.environ["AGENTS_WAIT_FOR"])
    file.touch()
    while file.exists():
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    edit._give_tools = _slowly  # pyright: ignore[reportPrivateUsage]
    sys.exit(cli.run(sys.argv[1:]))
