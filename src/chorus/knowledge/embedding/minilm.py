"""MiniLM: sentences as vectors of 384 numbers, on this machine. all-MiniLM-L6-v2 knows English,
paraphrase-multilingual-MiniLM-L12-v2 some fifty languages.

By their model cards: the mean over the tokens' vectors, brought to length 1; at most 256 tokens
count, 128 of the multilingual one.
It runs in onnxruntime on the process's threads for models, one text after another in the order in
which they are due, so that a question of a call goes before a document. Loaded when first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from chorus.knowledge.embedding import minilm_graph
from chorus.knowledge.embedding.embedder import Told, Vectors
from chorus.speech.engines import EngineFailed
from chorus.speech.onnx import Session, open_session_of
from chorus.speech.threads import ModelThreads
from chorus.speech.weights.manifest import EMBEDDER, MULTILINGUAL, find
from chorus.speech.weights.store import Store

LONGEST = {EMBEDDER: 256, MULTILINGUAL: 128}
"""In tokens, as the models were trained."""
_AT_ONCE = 8
_SOON_S = 0.02
_LATER_S = 60.0
_REMEMBERED = 256
_MASKED = np.float32(-1e9)


class MiniLM:
    """`folder` holds the model's files. Raises `EngineFailed` where they cannot be loaded."""

    floor = 0.25
    paid_by_operator = False

    def __init__(self, folder: Path, threads: ModelThreads, name: str = EMBEDDER) -> None:
        self.name = name
        self._folder = folder
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Session, Vectors] | None = None
        self._known: dict[str, NDArray[np.float32]] = {}

    async def question(self, text: str, told: Told | None = None) -> NDArray[np.float32]:
        """What somebody waits for. (dimensions,). `told` hears nothing: nobody is paid."""
        found = self._known.pop(text, None)
        if found is None:
            found = (await self._threads.run(lambda: self._embed([text]), _SOON_S))[0]
        self._known[text] = found  # the one that was asked for last is the last
        while len(self._known) > _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        return found

    async def texts(self, texts: Sequence[str], told: Told | None = None) -> Vectors:
        """What nobody waits for, and nobody is paid for."""
        parts: list[Vectors] = []
        for start in range(0, len(texts), _AT_ONCE):
            some = list(texts[start : start + _AT_ONCE])
            parts.append(await self._threads.run(lambda some=some: self._embed(some), _LATER_S))
        nothing = np.zeros((0, minilm_graph.WIDTH), np.float32)
        return np.concatenate(parts) if parts else nothing

    async def warm(self) -> None:
        """Have it loaded before somebody waits for it."""
        await self.question("What are your opening hours?")

    def _embed(self, texts: list[str]) -> Vectors:
        tokenizer, session, places = self._load()
        found = tokenizer.encode_batch(texts)
        length = max(len(one.ids) for one in found)
        ids = np.zeros((len(found), length), np.int64)
        weight = np.zeros((len(found), length, 1), np.float32)
        for row, one in enumerate(found):
            ids[row, : len(one.ids)] = one.ids
            weight[row, : len(one.ids)] = 1
        mask = ((1 - weight) * _MASKED).reshape(len(found), 1, 1, length)
        given = {"ids": ids, "places": places[np.newaxis, :length], "mask": mask}
        [tokens] = session.run(None, given)
        mean = (tokens * weight).sum(1) / weight.sum(1)
        return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)

    def _load(self) -> tuple[Any, Session, Vectors]:
        with self._loading:
            if self._loaded is None:
                try:
                    import tokenizers  # the extra `local`
                except ImportError as error:
                    raise EngineFailed(self.name, "load", "tokenizers is not installed") from error
                try:
                    made = cast(Any, tokenizers).Tokenizer
                    tokenizer = made.from_file(str(self._folder / "tokenizer.json"))
                    weights = minilm_graph.read_weights(self._folder / "model.safetensors")
                    graph = minilm_graph.model_of(weights)
                except (OSError, ValueError, KeyError) as error:
                    raise EngineFailed(self.name, "load", str(error)) from error
                tokenizer.no_padding()
                tokenizer.enable_truncation(LONGEST[self.name])
                session = open_session_of(graph, self.name)
                self._loaded = tokenizer, session, minilm_graph.places(weights, LONGEST[self.name])
            return self._loaded


def installed(models: Path, threads: ModelThreads, name: str = EMBEDDER) -> MiniLM | None:
    """None where its files are not in the folder of models."""
    weights, store = find(name), Store(models)
    if weights is None or not store.complete(weights):
        return None
    return MiniLM(store.folder(weights), threads, name)
