"""What FastAPI would build while a request waits, the server builds before."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import routing

from chorus.app import create_app
from chorus.serve import build_routes
from chorus.settings import Settings


async def test_no_route_is_built_while_a_request_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any) -> Any:
        raise AssertionError("a route was built for a request")

    settings = Settings.read(
        {
            "CHORUS_DATABASE_URL": f"sqlite:///{tmp_path / 'chorus.db'}",
            "CHORUS_DATA_DIR": str(tmp_path),
        }
    )
    app = create_app(settings)
    build_routes(app)
    monkeypatch.setattr(routing._IncludedRouter, "_build_effective_context", build)  # pyright: ignore[reportPrivateUsage]  what is watched
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://chorus") as client:
        assert (await client.get("/v1/ledger")).status_code == 401
        assert (await client.get("/nowhere")).status_code == 404
    await app.state.process.close()
