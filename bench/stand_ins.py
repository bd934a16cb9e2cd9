"""What stands for the vendors in every peer: the delays that simulated Chorus has too.

    transcript      100 ms after the end of speech, marked final
    language model  first token after 200 ms, then one every 25 ms
    voice           first audio after 100 ms, then four times as fast as speech

Imported in the peers' own environments: the standard library only.
"""

from __future__ import annotations

import math
import re
import struct

TRANSCRIPT_S = 0.100
LOUD = 100  # of 32768, peak: what counts as speech
FIRST_TOKEN_S, TOKEN_S = 0.200, 0.025
FIRST_AUDIO_S, VOICE_SPEED = 0.100, 4.0
SPEECH_S_PER_CHARACTER = 0.05
PIECE_BYTES = 1600  # 100 ms of 16-bit samples at 8 kHz

WORDS = "I want a table."
TOKENS = re.findall(
    r" ?\w+|[,.?]",
    "Sure, I can help with that."
    " What time would you like to come in, and is it for a party of two?",
)


def _tone(seconds: int) -> bytes:
    def sample(i: int) -> int:
        loudness = 0.6 + 0.4 * math.sin(2 * math.pi * 3 * i / 8000)
        return int(6000 * loudness * math.sin(2 * math.pi * 220 * i / 8000))

    return b"".join(struct.pack("<h", sample(i)) for i in range(8000 * seconds))


_TONE = _tone(20)


def spoken(text: str) -> bytes:
    """16-bit samples at 8 kHz, as long as the text would take to say."""
    return _TONE[: 160 * 2 * round(len(text) * SPEECH_S_PER_CHARACTER / 0.02)]
