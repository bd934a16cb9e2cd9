"""Servers of language models on this machine, as `chorus doctor` finds them."""

from __future__ import annotations

from tests.fakes.http_peer import HttpPeer, respond

from chorus.doctor_beside import beside


async def test_a_server_that_answers_is_named_with_what_to_set() -> None:
    listed = {"data": [{"id": "qwen3:8b"}, {"id": "my model"}]}
    async with (
        HttpPeer(lambda _: respond(200, listed)) as ollama,
        HttpPeer(lambda _: respond(200, "<html>")) as page,
        HttpPeer(lambda _: respond(200, {"data": []})) as empty,
    ):
        servers = {"Ollama": f"{ollama.url}/v1", "Page": page.url, "Empty": empty.url}
        [found] = await beside({**servers, "Nobody": "http://127.0.0.1:1/v1"})
        assert ollama.requests[0].target == "/v1/models"
    assert found.state == "note"
    assert "Ollama" in found.says
    assert f"CHORUS_OPENAI_BASE_URL={ollama.url}/v1" in (found.advice or "")
    assert "CHORUS_OPENAI_MODELS='my model,qwen3:8b'" in (found.advice or "")
