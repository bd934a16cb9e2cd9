"""A tool's row as a conversation uses it."""

from __future__ import annotations

from typing import Any

from chorus.accounts.secrets import Secrets
from chorus.talk.spec import HttpTool, HttpToolField
from chorus.tools.tables import Tool


def http_tool(tool: Tool, secrets: Secrets) -> HttpTool:
    """Raises `SecretsUnreadable` if the headers were encrypted with a key that is gone."""
    config: dict[str, Any] = tool.config
    headers: list[dict[str, str]] = secrets.decrypt(tool.headers) if tool.headers else []
    return HttpTool(
        name=tool.name,
        description=tool.description,
        url=config["url"],
        method=config["method"],
        timeout_ms=config["timeout"],
        headers=tuple((header["key"], header["value"]) for header in headers),
        fields=tuple(
            HttpToolField(
                name=field["name"],
                type=field["type"],
                description=field.get("description") or "",
                required=bool(field.get("required")),
            )
            for field in config["body"]
        ),
    )
