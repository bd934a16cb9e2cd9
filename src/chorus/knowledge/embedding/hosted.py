"""Vectors of a vendor, by its key: OpenAI's `POST /embeddings`, which others speak too, and
Google's `models.batchEmbedContents`.

By their API references: OpenAI "Create embeddings" (`input`, `model`, `dimensions`; the answer's
`data` by `index`, `usage.prompt_tokens`), Google "Embeddings" (v1beta; `taskType` tells questions
from documents, `outputDimensionality` shortens, and what was shortened is not of length 1). None of
it was tried with a real account.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from chorus.knowledge.embedding.embedder import Told, Vectors
from chorus.llm.endpoint import without_secrets
from chorus.outbound import Outbound, OutboundAnswer, OutboundFailed, OutboundRefused
from chorus.providers.in_force import KeyInForce
from chorus.speech.engines import EngineFailed, FailureKind
from chorus.talk.knowledge import Embedded

STAGE = "embedding"
VENDORS = ("openai", "azure_openai", "google", "mistral", "openrouter", "together", "custom")
DIMENSIONS = {
    "openai/text-embedding-3-small": 512,
    "openai/text-embedding-3-large": 1024,
    "google/gemini-embedding-001": 768,
}
"""What is asked for of models that shorten their vectors, which are kept in memory; others answer
with as many as they have."""
QUESTION_MS = 3000
TEXTS_MS = 60_000
AT_ONCE = 64
"""Texts in one request; both vendors take more."""
WAITS_S = (1.0, 4.0, 16.0)
"""Before documents are tried again, where the vendor is busy, late or gone, or its answer cannot
be read."""
_MOST_WIDE = 4096
_MAX_BYTES = 32 * 1024 * 1024
_REMEMBERED = 256
_LONGEST_SAID = 300
_CHARACTERS_A_TOKEN = 4
_MOST_TOKENS = 10_000_000
"""Of one request, that are believed: what is told is charged for."""

Kind = Literal["question", "document"]


def estimated_tokens(texts: Sequence[str]) -> int:
    return sum(-(-len(text) // _CHARACTERS_A_TOKEN) for text in texts)


class HostedEmbedder:
    """One model with one key. Many calls share it."""

    floor = 0.0
    """How near vectors are that have nothing to do with each other differs from model to model."""

    def __init__(self, key: KeyInForce, model: str, net: Outbound) -> None:
        self._key = key
        self._model = model
        self._net = net
        self._known: dict[str, Vectors] = {}

    @property
    def name(self) -> str:
        return f"{self._key.vendor.name}/{self._model}"

    @property
    def paid_by_operator(self) -> bool:
        return self._key.id is None

    async def question(self, text: str, told: Told | None = None) -> Vectors:
        found = self._known.pop(text, None)
        if found is None:
            [found] = await self._ask([text], "question", QUESTION_MS, told)
        self._known[text] = found  # the one that was asked for last is the last
        while len(self._known) > _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        return found

    async def texts(self, texts: Sequence[str], told: Told | None = None) -> Vectors:
        parts: list[Vectors] = []
        for start in range(0, len(texts), AT_ONCE):
            part = await self._patiently(texts[start : start + AT_ONCE], told)
            if parts and part.shape[1] != parts[0].shape[1]:
                raise self._failure("it answered with vectors of different lengths", "garbage")
            parts.append(part)
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    async def _patiently(self, texts: Sequence[str], told: Told | None) -> Vectors:
        for wait_s in WAITS_S:
            try:
                return await self._ask(texts, "document", TEXTS_MS, told)
            except EngineFailed as failure:
                if failure.kind not in ("busy", "late", "gone", "garbage"):
                    raise
            await asyncio.sleep(wait_s)
        return await self._ask(texts, "document", TEXTS_MS, told)

    async def _ask(
        self, texts: Sequence[str], kind: Kind, timeout_ms: int, told: Told | None
    ) -> Vectors:
        url, headers, body = self._request(texts, kind)
        try:
            answer = await self._net.send(
                "POST",
                url,
                headers=[("Content-Type", "application/json"), *headers],
                content=json.dumps(body).encode(),
                timeout_ms=timeout_ms,
                max_bytes=_MAX_BYTES,
                max_redirects=0,
            )
        except OutboundRefused as refused:
            raise self._failure(str(refused), "request") from refused
        except OutboundFailed as failed:
            raise self._failure(str(failed), "late" if failed.timed_out else "gone") from None
        if answer.status != 200:
            raise self._refused(answer)
        try:
            found: Any = json.loads(answer.body)
            tokens = self._tokens(found)
            if tokens and told is not None:  # whatever its vectors are good for
                told(self._embedded(tokens))
            vectors = np.array(self._rows(found, len(texts)), np.float32)
        except (ValueError, RecursionError, TypeError, KeyError, IndexError):
            raise self._failure("the answer is no list of vectors", "garbage") from None
        shape = vectors.shape
        if len(shape) != 2 or shape[0] != len(texts) or not 1 <= shape[1] <= _MOST_WIDE:
            raise self._failure(f"{len(texts)} texts were answered with {shape}", "garbage")
        if not np.isfinite(vectors).all():
            raise self._failure("a vector has a number that is none", "garbage")
        if not tokens and told is not None:
            told(self._embedded(estimated_tokens(texts)))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(lengths, 1e-9)

    def _request(
        self, texts: Sequence[str], kind: Kind
    ) -> tuple[str, list[tuple[str, str]], dict[str, Any]]:
        key = self._key
        path, _, query = key.base_url.partition("?")
        dimensions = DIMENSIONS.get(self.name)
        if key.vendor.name == "google":
            model = f"models/{self._model}"
            task = "RETRIEVAL_QUERY" if kind == "question" else "RETRIEVAL_DOCUMENT"
            more = {"outputDimensionality": dimensions} if dimensions else {}
            asked = [
                {"model": model, "content": {"parts": [{"text": t}]}, "taskType": task, **more}
                for t in texts
            ]
            url = f"{path}/v1beta/models/{quote(self._model, safe='')}:batchEmbedContents"
            return url, [("x-goog-api-key", key.api_key)], {"requests": asked}
        named = "api-key" if key.vendor.name == "azure_openai" else "Authorization"
        shown = key.api_key if named == "api-key" else f"Bearer {key.api_key}"
        more = {"dimensions": dimensions} if dimensions else {}
        url = f"{path}/embeddings{'?' if query else ''}{query}"
        return url, [(named, shown)], {"model": self._model, "input": list(texts), **more}

    def _rows(self, answer: Any, count: int) -> list[Any]:
        """In the order of the texts."""
        if self._key.vendor.name == "google":
            return [each["values"] for each in answer["embeddings"]]
        rows: list[Any] = [None] * count
        for place, each in enumerate(answer["data"]):
            rows[int(each.get("index", place))] = each["embedding"]
        return rows

    def _embedded(self, tokens: int) -> Embedded:
        return Embedded(self.name, tokens, own_key=not self.paid_by_operator)

    def _tokens(self, answer: Any) -> int:
        """As the vendor counted them; 0 where it does not say."""
        of, name = "usage", "prompt_tokens"
        if self._key.vendor.name == "google":
            of, name = "usageMetadata", "promptTokenCount"
        try:
            told = int(answer[of][name] or 0)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError):
            told = 0
        return told if 0 < told <= _MOST_TOKENS else 0

    def _refused(self, answer: OutboundAnswer) -> EngineFailed:
        kinds: dict[int, FailureKind] = {401: "key", 403: "key", 402: "credit", 429: "busy"}
        kind = kinds.get(answer.status, "busy" if answer.status >= 500 else "request")
        said = answer.body.decode("utf-8", "replace").strip()
        try:
            told: Any = json.loads(said)
            said = str(told["error"]["message"])
        except (ValueError, RecursionError, TypeError, KeyError, IndexError):
            pass
        if kind == "busy" and "quota" in said.lower():
            kind = "credit"
        said = without_secrets(" ".join(said.split()), self._key.api_key)[:_LONGEST_SAID]
        return self._failure(f"HTTP {answer.status}: {said}", kind)

    def _failure(self, detail: str, kind: FailureKind) -> EngineFailed:
        return EngineFailed(self.name, STAGE, detail, kind)
