"""What a caller said as sound, for language models that hear.

The sound takes the place of the words that a transcriber made of it; everything else of the
message (earlier words, keys, passages of documents) stays text around it. In the history of later
requests there are the words alone.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

from chorus.audio.wav import wav_file

AUDIO = ":audio"
"""Behind a model's name in prices and charges: its input tokens that were sound."""
MOST_MS = 30_000
"""The most that is ever sent of one turn: Whisper's encoder, which most such models begin with,
takes 30 s at once. It is 960 kB at 16 kHz."""


@dataclass(frozen=True, slots=True)
class Sound:
    """16-bit samples, mono, and the `words` in the message that they stand for. With
    empty `words` it stands for none, and follows the whole text."""

    pcm16: bytes = field(repr=False)
    rate_hz: int
    words: str

    @property
    def ms(self) -> float:
        return len(self.pcm16) / 2 / self.rate_hz * 1000

    def wav_base64(self) -> str:
        return b64encode(wav_file(self.pcm16, self.rate_hz)).decode("ascii")

    def around(self, content: str) -> tuple[str, str]:
        """The text of a message before and behind the words; where they are empty, all of it is
        before. `ValueError` if it does not hold them."""
        if not self.words:
            return content, ""
        before, found, behind = content.rpartition(self.words)
        if not found:
            raise ValueError("the message does not hold the words of its sound")
        return before.strip(), behind.strip()
