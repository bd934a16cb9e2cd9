"""A voice in Piper's format: phonemes in, samples out, a piece at a time. Blocks; for one of
`threads.py`'s threads.

Such a voice is a VITS network: an encoder, which decides how long each phoneme lasts and draws a
frame every 256 samples, and a decoder, which turns frames into samples and takes most of the
time. The model is cut between the two when it is loaded, so that the decoder can be run for a
few frames at a time: a piece with 12 frames of its neighbours to either side is the same as
that piece of the whole (120 dB below it). A model that cannot be cut is spoken whole.

Ids are ^, then each phoneme followed by _, then $, as the voices were trained.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chorus.speech.onnx import Session, open_session
from chorus.speech.onnx_graph import nodes, part_between
from chorus.speech.tts.piper_files import NAME, PiperConfig

CONTEXT = 12
"""Frames to either side of a piece."""
_BEGIN, _END, _BETWEEN = "^", "$", "_"

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the encoder made of words: `frames` [1, channels, n], or the samples themselves where
    the model was not cut, and the frame at which each word ends (none where the model does not
    tell)."""

    frames: Floats
    ends: tuple[int, ...]


class PiperModel:
    """Raises `EngineFailed` (stage `load`)."""

    def __init__(self, path: Path) -> None:
        self.config = PiperConfig.read(path.with_name(path.name + ".json"))
        self._decoder: Session | None = None
        self._latent = ""
        self._outputs = ["output"]
        model = path.read_bytes()
        try:
            halves = self._cut(model)
        except (ValueError, IndexError):
            halves = None
        if halves is None:
            self._encoder = open_session(path, NAME)
        else:
            self._encoder = open_session(path, NAME, rewrite=lambda _: halves[0])
            self._decoder = open_session(path, NAME, rewrite=lambda _: halves[1])
        drawn = self.draw(["a"], 1.0)
        self.hop = self._piece(drawn.frames).shape[0] // drawn.frames.shape[2]

    @property
    def in_pieces(self) -> bool:
        return self._decoder is not None

    def ids(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """The ids of words in IPA with their punctuation, and how many there are at the end of
        each word. What the voice does not know is left out."""
        ids = self.config.ids
        between = ids[_BETWEEN]
        found, ends = [*ids[_BEGIN], *between], list[int]()
        for number, word in enumerate(words):
            for phoneme in unicodedata.normalize("NFD", f" {word}" if number else word):
                if phoneme in ids:
                    found += [*ids[phoneme], *between]
            ends.append(len(found))
        return [*found, *ids[_END]], ends

    def draw(self, words: Sequence[str], speed: float, speaker: int = 0) -> Drawn:
        """The encoder, once for a whole text. `speed` 1 is the voice's own."""
        config = self.config
        ids, ends = self.ids(words)
        scales = [config.noise, config.length / speed, config.noise_width]
        fed: dict[str, NDArray[Any]] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        if config.speakers > 1:
            fed["sid"] = np.array([speaker % config.speakers], np.int64)
        found = self._encoder.run(self._outputs, fed)
        if self._decoder is None:
            return Drawn(found[0].reshape(1, 1, -1), ())
        if len(found) == 1:
            return Drawn(found[0], ())
        lasts = np.cumsum(found[1].reshape(-1))
        return Drawn(found[0], tuple(int(lasts[end - 1]) for end in ends))

    def samples(self, drawn: Drawn, begin: int, end: int) -> Floats:
        """The samples of these frames."""
        frames = drawn.frames
        low, high = max(0, begin - CONTEXT), min(frames.shape[2], end + CONTEXT)
        found = self._piece(np.ascontiguousarray(frames[:, :, low:high]))
        return found[(begin - low) * self.hop : len(found) - (high - end) * self.hop]

    def _piece(self, frames: Floats) -> Floats:
        if self._decoder is None:
            return frames.reshape(-1)
        return self._decoder.run(["output"], {self._latent: frames})[0].reshape(-1)

    def _cut(self, model: bytes) -> tuple[bytes, bytes] | None:
        """Encoder and decoder, cut where the decoder's first convolution begins."""
        graph = nodes(model)
        first = [n for n in graph if n.op == "Conv" and "dec/conv_pre" in n.name]
        if len(first) != 1 or not any("output" in node.outputs for node in graph):
            return None
        self._latent = first[0].inputs[0]
        lasts = [n.outputs[0] for n in graph if n.op == "Ceil"]
        self._outputs = [self._latent, *lasts] if len(lasts) == 1 else [self._latent]
        decoder_inputs = {self._latent: 3}
        encoder = part_between(model, {}, self._outputs)
        decoder = part_between(model, decoder_inputs, ["output"])
        own = {name for node in nodes(decoder) for name in node.inputs}
        if "sid" in own:
            return None  # the decoder is told who speaks: not cut, but spoken whole
        return encoder, decoder
