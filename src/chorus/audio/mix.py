"""A background sound under the agent's voice, all through the call."""

from __future__ import annotations

from chorus.audio import codec
from chorus.audio.frame import AudioFormat


class Background:
    """One call's looped sound; the loop goes on where it was, whether the agent speaks or not.

    `sound_pcm16` is a loop at the rate of `format` and may be shared between calls: it is
    scaled a frame at a time. `volume` is 0..1. Raises `ValueError` for a sound without a
    sample, half a sample at its end, or a volume outside its range.
    """

    __slots__ = ("_at", "_format", "_sound", "_volume")

    def __init__(self, sound_pcm16: bytes, volume: float, format: AudioFormat) -> None:
        if not sound_pcm16 or len(sound_pcm16) & 1:
            raise ValueError(f"a sound of {len(sound_pcm16)} bytes is no pcm16 to loop")
        if not 0 <= volume <= 1:
            raise ValueError(f"volume {volume} is not between 0 and 1")
        self._sound = sound_pcm16
        self._volume = volume
        self._format = format
        self._at = 0

    def under(self, audio: bytes | None, ms: float) -> bytes:
        """`ms` of the sound, with `audio` over it where there is some.

        Both `audio` and the result are in the format given, the result always exactly
        `format.size(ms)` bytes. Too short an `audio` is followed by the sound alone; one that
        is longer than `ms` would lose its end and is a `ValueError`.
        """
        size = self._format.size(ms)
        samples = size // self._format.sample_bytes
        sound = codec.scaled(self._next(samples * 2), self._volume)
        if not audio:
            return codec.encode(self._format, sound)
        if len(audio) > size:
            raise ValueError(f"{len(audio)} bytes of audio are longer than {ms} ms")
        voice = codec.decode(self._format, audio)
        if len(voice) < len(sound):
            voice += bytes(len(sound) - len(voice))
        return codec.encode(self._format, codec.mixed(voice, sound))

    def _next(self, size: int) -> bytes:
        end = self._at + size
        if end <= len(self._sound):
            piece = self._sound[self._at : end]
            self._at = end
            return piece
        piece = self._sound[self._at :]
        turns, self._at = divmod(size - len(piece), len(self._sound))
        return piece + self._sound * turns + self._sound[: self._at]
