"""How to get what is missing of an extra (`pyproject.toml`). Chorus is on no package index: it is
installed from a checkout, a wheel or a repository, and its installation says from where (PEP 610).
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "chorus-voice"


def how_to_install(extra: str) -> str:
    """A command for a shell on this machine that installs the packages of the extra again, as this
    Chorus was installed."""
    origin = _origin()
    url: str = origin.get("url", "")
    if origin.get("dir_info", {}).get("editable"):
        checkout = Path(unquote(urlsplit(url).path))
        if Path(sys.prefix) == checkout / ".venv":
            # `make setup` alone does nothing where the lock file has not changed.
            return f"make -C {quote(str(checkout))} -B .venv/.synced"
        return f"pip install -e {quote(f'{checkout}[{extra}]')}"
    if (vcs := origin.get("vcs_info")) is not None:
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"pip install {quote(f'{NAME}[{extra}] @ {url}' if url else f'{NAME}[{extra}]')}"


def _origin() -> dict[str, Any]:
    """https://packaging.python.org/en/latest/specifications/direct-url/; empty where it was found
    by its name, on an index."""
    try:
        record = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    return {} if record is None else json.loads(record)
