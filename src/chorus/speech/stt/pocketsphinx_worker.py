"""The process in which PocketSphinx listens: it holds the GIL for whole chunks of audio.

In order, for each utterance: BEGIN chooses the grammar; AUDIO is brought to 16 kHz,
dithered and decoded as it comes, with an INTERIM when two looks in a row agree on some
words; FINALIZE is answered by FINAL. ABORT forgets the utterance. One utterance at a time;
its number (u32) heads every payload, so that a late answer is known for what it is.

BEGIN is JSON: encoding, rate_hz, phrases. INTERIM and FINAL are JSON: text, end_ms from the
first sample of the utterance, confidence. LEFT_OUT, once for each grammar, is JSON: the
phrases that hold a word that is not in the dictionary.

What a grammar takes for one of its phrases. The best path through a grammar says little
about whether anything like it was said, so a final result counts only if it is a whole
phrase, its words cover most of what was loud, none is drawn out beyond speaking, and some
of it was voiced, as every vowel is. Measured on synthetic voices at 8 kHz µ-law with 14
phrases: 41 of 42 phrases right, of 60 noise bursts shaped like coughs none taken for one,
of 20 other sentences one; the limits were set on those same sounds, and no human voice was
measured. With few and short phrases it is worse: of "yes" and "no" alone, 3 of the 20
sentences became a "no". A cough with a voice in it can pass for a one-word phrase.
"""

from __future__ import annotations

import json
import os
import struct
from collections import OrderedDict
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from chorus.audio import codec
from chorus.audio.frame import AudioFormat, Encoding
from chorus.audio.resample import Resampler
from chorus.speech.channel import Channel, open_channel
from chorus.speech.stt.phrases import Phrasebook, grammar, phrasebook

READY, BEGIN, AUDIO, FINALIZE, ABORT, INTERIM, FINAL, LEFT_OUT = range(1, 9)
NUMBER = struct.Struct("<I")

_RATE_HZ = 16000  # the model's; it does not initialise at 8000
_FRAME = _RATE_HZ // 100  # one of the decoder's frames, 10 ms
# Telephone silence is digital silence, which the model has never heard: with noise at
# -60 dBFS under everything, 38 of 42 test phrases were right instead of 26.
_DITHER_RMS = 33.0
_LEAD_MS, _TAIL_MS = 200, 100  # of silence around an utterance, for its first and last phones
# Where the decoder's running mean of the cepstrum starts. Its own start is for wide-band
# microphones and costs it a sixth of short utterances on the telephone; this is the mean
# over synthetic speech as G.711 carries it.
_TELEPHONE_CMN = "56.5,5.1,-13.8,20.9,-17.5,0.6,-3.6,-16.2,2.7,-7.7,4.2,-1.4,-3.9"
_LOOK_MS = 160
_GRAMMARS = 64
# A path through a grammar begins with some first word, whatever is heard.
_INTERIM_WORDS = 2
_LEAST_COVER = 0.7
_SLOWEST_PHONE = 40  # frames
# A frame is voiced if it repeats itself at a pitch of 80 to 400 Hz.
_PITCH_LAGS = (_RATE_HZ // 400, _RATE_HZ // 80)
_PERIODIC, _LEAST_VOICED = 0.5, 0.2
_NICENESS = 5


class Ear:
    """A decoder and its grammars. `begin`, `hear`…, `finish` or `begin` again."""

    def __init__(self) -> None:
        import pocketsphinx  # heavy, and only ever here

        self._sphinx = cast(Any, pocketsphinx)  # untyped
        config = self._sphinx.Config(samprate=_RATE_HZ, loglevel="FATAL", lm=None)
        self._decoder = self._sphinx.Decoder(config)
        self._cmn = self._decoder.get_cmn(False)
        self._books: OrderedDict[tuple[str, ...], tuple[str, Phrasebook]] = OrderedDict()
        self._made = 0
        self._free_ready = False
        self._book: Phrasebook | None = None
        self._noise = np.random.default_rng(0)
        self._open = False
        self._format = AudioFormat("pcm16", _RATE_HZ)
        self._resampler = Resampler(_RATE_HZ, _RATE_HZ)
        self._heard: list[NDArray[np.int16]] = []
        self._unseen = 0
        self._last_look: list[str] = []
        self._told = ""

    def begin(self, format: AudioFormat, phrases: tuple[str, ...]) -> tuple[str, ...] | None:
        """Start an utterance. The phrases that must be left out, where this grammar is new."""
        self.abort()
        left_out = self._choose(phrases)
        self._format = format
        self._resampler = Resampler(format.rate_hz, _RATE_HZ)
        self._heard, self._unseen, self._last_look, self._told = [], 0, [], ""
        # Every utterance is normalised from the same start: workers serve calls in turn.
        self._decoder.set_cmn(self._cmn if format.rate_hz > 8000 else _TELEPHONE_CMN)
        self._decoder.start_utt()
        self._open = True
        self._decode(np.zeros(_RATE_HZ * _LEAD_MS // 1000, np.int16))
        return left_out

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._decoder.end_utt()

    def hear(self, audio: bytes) -> dict[str, Any] | None:
        """Decode; an interim result where there is a new one."""
        pcm = self._resampler.feed(codec.decode(self._format, audio))
        self._decode(np.frombuffer(pcm, "<i2"))
        if self._unseen < _RATE_HZ * _LOOK_MS // 1000:
            return None
        self._unseen = 0
        hypothesis = self._decoder.hyp()
        look = str(hypothesis.hypstr).split() if hypothesis else []
        agreed = _common(self._last_look, look)
        self._last_look = look
        text = " ".join(agreed)
        if not text:
            return None
        whole = self._book is None or text in self._book.written
        if text == self._told or not (whole or len(agreed) >= _INTERIM_WORDS):
            return None
        if self._book is not None and not self._voiced():
            return None
        self._told = text
        written = self._book.written.get(text, text) if self._book else text
        return {"text": written, "end_ms": self._end_ms(), "confidence": None}

    def finish(self) -> dict[str, Any]:
        """End the utterance: its final result, with empty text where it is none."""
        self._decode(np.frombuffer(self._resampler.flush(), "<i2"))
        self._decode(np.zeros(_RATE_HZ * _TAIL_MS // 1000, np.int16))
        self._open = False
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        text = str(hypothesis.hypstr) if hypothesis else ""
        confidence = float(hypothesis.prob) if hypothesis else None
        if text and self._book is not None:
            text = self._book.written.get(text, "") if self._is_speech() else ""
        return {"text": text, "end_ms": self._end_ms(), "confidence": confidence}

    def _decode(self, samples: NDArray[np.int16]) -> None:
        if len(samples) == 0:
            return
        self._heard.append(samples)
        self._unseen += len(samples)
        dithered = samples + np.rint(self._noise.normal(0, _DITHER_RMS, len(samples)))
        raw = np.clip(dithered, -32768, 32767).astype("<i2").tobytes()
        self._decoder.process_raw(raw, no_search=False, full_utt=False)

    def _choose(self, phrases: tuple[str, ...]) -> tuple[str, ...] | None:
        if phrases in self._books:
            self._books.move_to_end(phrases)
            name, self._book = self._books[phrases]
            self._activate(name)
            return None
        book = phrasebook(phrases, lambda word: self._decoder.lookup_word(word) is not None)
        left_out = book.left_out if phrases else None
        if not book.written:
            self._book = None
            self._activate("")
            return left_out
        self._made += 1
        name = f"phrases{self._made}"
        self._decoder.add_jsgf_string(name, grammar(book.written))
        self._activate(name)
        self._book = book
        self._books[phrases] = name, book
        if len(self._books) > _GRAMMARS:
            _, (oldest, _) = self._books.popitem(last=False)
            self._decoder.remove_search(oldest)
        return left_out

    def _activate(self, name: str) -> None:
        if not name and not self._free_ready:
            path = self._sphinx.get_model_path("en-us/en-us.lm.bin")
            self._decoder.add_lm_file("free", path)
            self._free_ready = True
        self._decoder.activate_search(name or "free")

    def _segments(self) -> list[Any]:
        """The words of the best path, without silence and fillers."""
        return [s for s in self._decoder.seg() or () if s.word[0] not in "<[+("]

    def _end_ms(self) -> float:
        segments = self._segments()
        return max(0.0, segments[-1].end_frame * 10.0 + 10 - _LEAD_MS) if segments else 0.0

    def _loudness(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """All samples of the utterance, and which of its frames are loud."""
        samples = np.concatenate(self._heard).astype(np.float32)
        frames = len(samples) // _FRAME
        level = np.sqrt((samples[: frames * _FRAME].reshape(frames, _FRAME) ** 2).mean(axis=1))
        return samples, level > max(100.0, float(level.max()) / 10)

    def _voiced(self) -> bool:
        samples, loud = self._loudness()
        return _voiced_share(samples, loud) >= _LEAST_VOICED

    def _is_speech(self) -> bool:
        words = self._segments()
        if not words:
            return False
        samples, loud = self._loudness()
        frames = len(loud)
        covered = np.zeros(frames, bool)
        for word in words:
            covered[word.start_frame : word.end_frame + 1] = True
            phones = len(str(self._decoder.lookup_word(word.word)).split())
            if (word.end_frame - word.start_frame + 1) / phones > _SLOWEST_PHONE:
                return False
        if (loud & covered).sum() < _LEAST_COVER * loud.sum():
            return False
        return _voiced_share(samples, loud) >= _LEAST_VOICED


def _voiced_share(samples: NDArray[np.float32], loud: NDArray[np.bool_]) -> float:
    """How many of the loud frames repeat themselves, by their autocorrelation over 30 ms."""
    window = 3 * _FRAME
    at = np.flatnonzero(loud[:-2])
    if len(at) == 0:
        return 0.0
    views = np.lib.stride_tricks.sliding_window_view(samples, window)[at * _FRAME]
    power = np.abs(np.fft.rfft(views, 2 * window, axis=1)) ** 2
    same = np.fft.irfft(power, axis=1)
    best = same[:, _PITCH_LAGS[0] : _PITCH_LAGS[1]].max(axis=1)
    return float((best > _PERIODIC * same[:, 0]).mean())


def serve(channel: Channel, ear: Ear) -> None:
    """Until the parent has gone."""
    channel.send(READY)
    number = b""
    while (message := channel.receive()) is not None:
        mine = message.payload[: NUMBER.size]
        rest = message.payload[NUMBER.size :]
        if message.kind == BEGIN:
            number = mine
            order: dict[str, Any] = json.loads(rest)
            format = AudioFormat(cast(Encoding, order["encoding"]), order["rate_hz"])
            left_out = ear.begin(format, tuple(order["phrases"]))
            if left_out:
                channel.send(LEFT_OUT, number + json.dumps(left_out).encode())
        elif mine != number:
            continue  # of an utterance that is over
        elif message.kind == AUDIO:
            interim = ear.hear(rest)
            if interim is not None:
                channel.send(INTERIM, number + json.dumps(interim).encode())
        elif message.kind == FINALIZE:
            channel.send(FINAL, number + json.dumps(ear.finish()).encode())
            number = b""
        elif message.kind == ABORT:
            ear.abort()
            number = b""


def main() -> None:
    channel = open_channel()
    os.nice(_NICENESS)  # the audio of calls comes before the understanding of it
    try:
        serve(channel, Ear())
    except ConnectionError:
        return  # the parent has gone


def _common(one: list[str], other: list[str]) -> list[str]:
    same: list[str] = []
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        same.append(a)
    return same


if __name__ == "__main__":
    main()
