"""Tones that machines make: the beep of a mailbox, a fax, the three tones before an announcement.

A frame holds a tone when nearly all of its energy is in one place of the spectrum; a tone is a
run of such frames at one frequency and level, with quiet before and after it. Speech has such
frames too, but its pitch moves, and it goes on.

Sources: fax CNG 1100 Hz for 0.5 s and CED 2100 Hz for 2.6 to 4 s: ITU-T T.30; special information
tones 950, 1400, 1800 Hz, 330 ms each: ITU-T E.180. There is no standard for mailboxes' beeps; those
of Debian's recorded prompts lie between 400 and 2000 Hz.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Tone = Literal["beep", "fax", "sit"]

FRAME_MS = 32
LOUD = 250.0
"""Of 32768, root mean square: a quieter tone is far away."""
PURE = 0.975
"""Of the frame's energy, within two places of the spectrum to each side of the loudest."""
NEAR_HZ = 10.0
STANDARD_NEAR_HZ = 40.0
STEADY = 1.5
"""Louder or quieter than the frame before by more is another sound."""
LEAST_HZ, MOST_HZ = 380.0, 2300.0
SHORTEST_MS, LONGEST_MS = 110.0, 2500.0
CED_MS = 900.0
CNG_MS = (380.0, 620.0)
GAP_FRAMES = 2
"""What follows a tone sooner belongs to it."""
_SIT = (950.0, 1400.0, 1800.0)
_SIT_NEAR_HZ = 70.0


class Tones:
    """Of one stream of pcm16 at `rate_hz`."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._size = rate_hz * FRAME_MS // 1000
        self._waiting = bytearray()
        self._window = np.hanning(self._size)
        self._hz = 0.0
        self._frames = 0
        self._level = 0.0
        self._levels = (0.0,) * 3  # of the last frames
        self._alone = False  # it was quiet before the tone
        self._told = False
        self._gap = 0  # quiet frames since a tone
        self._goes_on = 0  # loud ones
        self._due: Tone | None = None
        self._past: list[float] = []  # frequencies of tones that followed each other at once

    def feed(self, pcm16: bytes) -> list[Tone]:
        """What ended or became certain in it, any length."""
        found: list[Tone] = []
        self._waiting += pcm16
        size = self._size * 2
        while len(self._waiting) >= size:
            frame = bytes(self._waiting[:size])
            del self._waiting[:size]
            tone = self._frame(self._pitch(frame))
            if tone is not None:
                found.append(tone)
        return found

    def _pitch(self, frame: bytes) -> float:
        """The frequency of a frame that is a tone, or 0."""
        samples = np.frombuffer(frame, "<i2").astype(np.float32)
        self._level = float(np.sqrt(np.mean(samples * samples)))
        if self._level < LOUD:
            return 0.0
        power = np.abs(np.fft.rfft(samples * self._window)) ** 2
        power[0] = 0.0
        peak = int(power.argmax())
        near = power[max(0, peak - 2) : peak + 3]
        if float(near.sum()) < PURE * float(power.sum()):
            return 0.0
        places = np.arange(max(0, peak - 2), max(0, peak - 2) + len(near))
        return float((near * places).sum() / near.sum()) * self._rate_hz / self._size

    def _frame(self, hz: float) -> Tone | None:
        level, before = self._level, self._levels[-1]
        self._levels = (*self._levels[1:], level)
        steady = before / STEADY <= level <= before * STEADY
        if hz and self._frames and steady and abs(hz - self._hz) <= NEAR_HZ:
            self._frames += 1
            if not self._told and abs(hz - 2100) <= STANDARD_NEAR_HZ and self._ms >= CED_MS:
                self._told = True
                return "fax"
            return None
        if self._frames:
            self._run_over()
        self._hz, self._frames, self._told = hz, int(hz > 0), False
        if hz:
            self._alone = self._due is not None or min(self._levels[:-1]) < LOUD
            self._gap = self._goes_on = 0
            return None
        self._gap = self._gap + 1 if level < LOUD else 0
        self._goes_on = self._goes_on + 1 if level >= LOUD else 0
        if self._goes_on > 1:
            self._due = None
        if self._gap != GAP_FRAMES:
            return None
        due, self._due = self._due, None
        self._past.clear()
        return due

    @property
    def _ms(self) -> float:
        return self._frames * FRAME_MS

    def _run_over(self) -> None:
        """A run of frames has ended: what it was is told once nothing follows it."""
        ms, hz = self._ms, self._hz
        if (
            self._told
            or not self._alone
            or not SHORTEST_MS <= ms <= LONGEST_MS
            or not LEAST_HZ <= hz <= MOST_HZ
        ):
            return
        self._past.append(hz)
        rising = zip(self._past[-3:], _SIT, strict=False)
        if len(self._past) >= 3 and all(abs(was - want) <= _SIT_NEAR_HZ for was, want in rising):
            self._due = "sit"
        elif abs(hz - 1100) <= STANDARD_NEAR_HZ and CNG_MS[0] <= ms <= CNG_MS[1]:
            self._due = "fax"
        else:
            self._due = "beep"
