"""A finished WAV recording as an MP3, for whoever downloads it.

The file is read, encoded and written a tenth of a second at a time in a thread, so neither
memory nor the event loop knows how long the call was. The result appears under its name
only when it is whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import wave
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

log = logging.getLogger(__name__)

_PIECE_S = 0.1
# Rates below 16 kHz are MPEG 2.5, an extension of the standard that not every player and
# browser decodes.
_LOWEST_RATE_HZ = 16000


class _Encoder(Protocol):
    def set_channels(self, channels: int) -> None: ...
    def set_in_sample_rate(self, rate_hz: int) -> None: ...
    def set_out_sample_rate(self, rate_hz: int) -> None: ...
    def set_bit_rate(self, kbps: int) -> None: ...
    def set_quality(self, quality: int) -> None: ...
    def silence(self) -> None: ...
    def encode(self, pcm16: bytes) -> bytearray: ...
    def flush(self) -> bytearray: ...


class NotAWav(Exception):
    """The file is not a WAV of 16-bit samples in one or two channels."""


async def wav_to_mp3(wav: str | Path, mp3: str | Path, kbps: int = 48) -> None:
    """Encode `wav` (pcm16, mono or stereo) to `mp3`, constant bit rate, all channels.

    Replaces `mp3` if it exists. Cancelled, it stops the thread and leaves nothing behind.
    Raises `NotAWav` for another kind of file and `OSError` for what the disk does.
    """
    stop = threading.Event()
    work = asyncio.create_task(asyncio.to_thread(_convert, Path(wav), Path(mp3), kbps, stop))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        # Within one piece; the caller may delete the source as soon as this has returned.
        await asyncio.wait([work])
        if error := work.exception():
            log.warning("encoding %s was cancelled and failed too: %s", wav, error)
        raise


def _convert(wav: Path, mp3: Path, kbps: int, stop: threading.Event) -> None:
    part = mp3.with_name(f".{mp3.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        # Conversations are private: readable by the owner only, as the recording was.
        with (
            _open(wav) as source,
            open(part, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as target,
        ):
            encoder = _encoder(source, kbps)
            frames = round(source.getframerate() * _PIECE_S)
            # No sound at all would be no MP3 at all: such a recording becomes one silent piece.
            pcm16 = source.readframes(frames) or bytes(frames * source.getnchannels() * 2)
            while pcm16 and not stop.is_set():
                target.write(encoder.encode(pcm16))
                pcm16 = source.readframes(frames)
            target.write(encoder.flush())
        if not stop.is_set():
            part.replace(mp3)
    finally:
        with suppress(OSError):  # nothing to do about it, and it would hide the first error
            part.unlink(missing_ok=True)


def _open(path: Path) -> wave.Wave_read:
    try:
        source = wave.open(str(path), "rb")  # noqa: SIM115 - the caller closes it
    except (wave.Error, EOFError) as error:
        raise NotAWav(f"{path}: {error or 'it ends within its header'}") from error
    if source.getsampwidth() != 2 or source.getnchannels() not in (1, 2):
        source.close()
        raise NotAWav(f"{path}: not 16-bit samples in one or two channels")
    return source


def _encoder(source: wave.Wave_read, kbps: int) -> _Encoder:
    import lameenc

    # lameenc has no types.
    encoder = cast("_Encoder", lameenc.Encoder())  # pyright: ignore[reportUnknownMemberType]
    encoder.set_channels(source.getnchannels())
    encoder.set_in_sample_rate(source.getframerate())
    encoder.set_out_sample_rate(max(source.getframerate(), _LOWEST_RATE_HZ))
    encoder.set_bit_rate(kbps)
    encoder.set_quality(5)  # speech gains nothing from better, which takes twice the time
    encoder.silence()
    return encoder
