"""From the caller's audio to speech probabilities and words, on one clock.

The clock is the audio itself: `now_ms` counts samples. Where a line that may lose audio delivers
nothing for more than 60 ms (mute, loss, comfort noise) silence is put in, so that the clock
advances as the call does and a turn can end; audio that comes late after all is kept, and the time
that it is ahead is taken back out of the next quiet frames. On a lossless line (`Line.lossless`)
what is missing is only late: the clock stands still until it comes, nobody takes the stall for
silence, and only after two seconds is it taken for a line that sends nothing while all is quiet.

`call_time` says when, on the call's clock, a moment of the audio was, whatever was filled in, came
late or came in a burst. `speech_end` says where a person's speech ended, which is some frames
before the detector says so: the end of the last frame that was nearly as loud as the speech was.

What comes at another rate than 8 or 16 kHz is brought to 16 kHz first, once for everybody
(`heard_as`). Every frame goes to the recording and the transcriber as it comes, and to the voice
detector in pieces of 32 ms; some seconds stay in memory for the end-of-turn model. The transcriber
is told where speech begins and when the caller pauses: whoever is speaking and whatever
becomes of it, so that the words which decide about an interruption are there too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

from chorus.audio.codec import decode, rms
from chorus.audio.frame import PCM_16K, AudioFormat
from chorus.audio.record import Track
from chorus.audio.resample import Resampler
from chorus.llm.sound import Sound
from chorus.speech import engines
from chorus.speech.engines import VAD_FRAME_MS, EngineFailed, VoiceDetector
from chorus.talk.transcribing import Transcribing

GAP_MS = 60
"""A hole longer than this is filled with silence."""
STALL_FILL_MS = 2000
"""A lossless line that has delivered nothing for so long is taken to be silent."""
FLOOD_MS = 5000
"""A line that delivers this much more audio than time has passed is broken: the rest is dropped."""
QUIET = 0.1
"""Speech probability under which a frame may be left out to take back time."""
RESET_MS = 20_000
"""The detector forgets its past after this much silence: long noise makes it deaf."""
DETECTOR_STALL_MS = 3000
"""A detector that is this far behind is broken: without its clock no turn would ever end."""
SHIFT_MS = 5
"""A smaller change of how late audio comes is not written down."""
LOUD = 0.08
"""Of the loudest that the caller was lately: quieter frames at the end are no speech (-22 dB)."""
LOUD_LEAST = 60
"""Of 32768, root mean square: quieter is silence on any telephone line."""
DECAY = 0.995
"""Of that loudness, each voiced frame: half of it is forgotten in four and a half seconds."""
LEAD_MS = 200
"""Of sound before the detector heard speech begin: soft first letters are in it."""
DETECTOR_LATE_MS = 320
"""A detector is not later than this; what was loud before that was a word before."""


def heard_as(line: AudioFormat) -> AudioFormat:
    """The format in which the audio of a line is listened to and recorded."""
    return line if line.rate_hz in (8000, 16000) else PCM_16K


class VoiceGate:
    """Whether somebody speaks, by the probability of each frame: once speech has begun, 0.15 less
    is enough to go on. `threshold`: of the agent, 0 to 1."""

    __slots__ = ("_closes", "_opens", "open")

    def __init__(self, threshold: float) -> None:
        self._opens, self._closes = threshold, max(threshold - 0.15, 0.01)
        self.open = False

    def hear(self, probability: float) -> bool:
        self.open = probability >= (self._closes if self.open else self._opens)
        return self.open


class Hearing:
    """One call's ears. `on_frame(voiced, now_ms)` is called for every 32 ms. What is fed to
    `transcribing` is in the format `heard_as(format)`. `lossless`: see `Line.lossless`."""

    def __init__(
        self,
        format: AudioFormat,
        detector: VoiceDetector,
        transcribing: Transcribing,
        *,
        threshold: float,
        lossless: bool = False,
        track: Track | None,
        on_frame: Callable[[bool, float], None],
    ) -> None:
        self._format = format
        self._detector = detector.name
        self._transcribing = transcribing
        self._track = track
        self._on_frame = on_frame
        self._gate = VoiceGate(threshold)
        self._paused = True
        self._silent_ms = 0.0
        heard = self._heard = heard_as(format)
        same = heard.rate_hz == format.rate_hz
        self._resampler = None if same else Resampler(format.rate_hz, heard.rate_hz)
        self._vad = detector.open(heard.rate_hz, self._probability)
        self._vad_bytes = heard.rate_hz * VAD_FRAME_MS // 1000 * 2
        self._partial = bytearray()  # less than one detector frame
        self._fed_ms = 0.0
        self._heard_ms = 0.0
        self._last = 0.0
        self._quiet_ms = 0.0
        self._line_ms: float | None = None
        self._lossless = lossless
        self._came_ms = 0.0  # when the line last delivered, on the call's clock
        self._starved = True  # nothing has come (yet): silence is put in
        # How much later than the line's own time audio comes at the least, and from which moment
        # of the audio clock on that clock was how far ahead of when the sound was there.
        self._delay_ms = inf
        self._shifts: deque[tuple[float, float]] = deque(maxlen=32)
        # Ends of loud frames on the audio clock, and how loud the caller's speech is.
        self._loud_ms: deque[float] = deque(maxlen=32)
        self._cut_ms = 0.0
        self._loudness = 0.0
        self._level = 0
        self._filled_to_ms = 0.0
        self._private_to_ms = 0.0
        self.private = False
        """What is heard now is recorded nowhere."""
        self.lost_ms = 0.0
        self.filled_ms = 0.0
        self.dropped_ms = 0.0

    @property
    def now_ms(self) -> float:
        """The audio clock: the end of the last frame that was judged."""
        return self._heard_ms

    @property
    def fed_ms(self) -> float:
        """The end of the last audio that came in."""
        return self._fed_ms

    @property
    def judges_turns(self) -> bool:
        """The words come with a verdict on the turn: no other model need be asked."""
        return self._transcribing.judges_turns

    @property
    def asks_for_words(self) -> bool:
        """The transcriber makes words final because it is asked to, whatever was said."""
        return self._transcribing.asks

    def audio(self, chunk: bytes, at_ms: float, call_ms: float) -> None:
        """What the line delivered; `call_ms` is the time since the call was answered."""
        length_ms = self._format.ms(len(chunk))
        line_ms = self._line_ms
        hole_ms = 0.0 if line_ms is None else at_ms - line_ms
        if hole_ms > 1:
            self.lost_ms += hole_ms
            if self._lossless and not self._starved:
                self._fill(min(hole_ms, call_ms - self._fed_ms - length_ms))  # it was never sent
        self._line_ms = at_ms + length_ms
        self._came_ms = call_ms
        self._starved = False
        ahead_ms = self._fed_ms + length_ms - call_ms
        if ahead_ms > GAP_MS and (ahead_ms > FLOOD_MS or self._quiet()):
            self.dropped_ms += length_ms
        else:
            self._take(chunk, length_ms)
        self._delay_ms = min(self._delay_ms, call_ms - self._line_ms)
        shift_ms = self._fed_ms - self._line_ms - self._delay_ms
        if not self._shifts or abs(shift_ms - self._shifts[-1][1]) > SHIFT_MS:
            self._shifts.append((self._fed_ms - length_ms, shift_ms))

    def begins_anew(self) -> None:
        """What the line left out until now was not lost."""
        self._line_ms = None

    def tick(self, call_ms: float) -> None:
        """Fill what the line has left out. Raises `EngineFailed` if the detector has stopped."""
        behind_ms = call_ms - self._fed_ms
        if behind_ms > GAP_MS:
            if self._lossless and not self._starved:
                self._starved = call_ms - self._came_ms > STALL_FILL_MS
            if self._starved or not self._lossless:
                self._fill(behind_ms - GAP_MS / 2)
        if self._fed_ms - self._heard_ms > DETECTOR_STALL_MS:
            raise EngineFailed(self._detector, "lost", "the voice detector does not answer")

    def call_time(self, audio_ms: float) -> float:
        """When, on the call's clock, the sound at `audio_ms` of the audio clock reached us, had
        the line not held it up."""
        shift_ms = next((ms for at, ms in reversed(self._shifts) if at <= audio_ms), 0.0)
        return audio_ms - shift_ms

    def speech_end(self, detected_ms: float) -> float:
        """Where, on the audio clock, the person fell silent whose speech the detector took to end
        at `detected_ms`; that itself, where it is too noisy to tell."""
        loud_ms = next((at for at in reversed(self._loud_ms) if at <= detected_ms), -inf)
        return loud_ms if detected_ms - loud_ms <= DETECTOR_LATE_MS else detected_ms

    def since(
        self, onset_ms: float, text: str, silence_ms: float, context: str = ""
    ) -> engines.Heard:
        """The turn that began at `onset_ms`, for the end-of-turn model."""
        audio = decode(self._heard, self._transcribing.since(onset_ms))
        return engines.Heard(audio, self._heard.rate_hz, text, silence_ms, context)

    def sound(self, onset_ms: float, words: str, most_ms: float) -> Sound | None:
        """The turn that began at `onset_ms`, for a language model that hears. None where that is
        longer than `most_ms` (0: none is wanted), or recorded nowhere: then there are the words."""
        begin_ms = max(onset_ms - LEAD_MS, 0.0)
        length_ms = self._fed_ms - begin_ms
        if not words or length_ms > most_ms or self.private or begin_ms < self._private_to_ms:
            return None
        pcm16 = decode(self._heard, self._transcribing.since(begin_ms, most_ms))
        return Sound(pcm16, self._heard.rate_hz, words)

    async def close(self) -> None:
        self._vad.close()
        await self._transcribing.close()

    def _quiet(self) -> bool:
        """The caller makes no sound now. What was filled in says nothing about that."""
        judged_ms = self._heard_ms - self._filled_to_ms
        return self._last < QUIET and min(self._quiet_ms, judged_ms) > GAP_MS

    def _fill(self, ms: float) -> None:
        silence = self._format.silence(max(ms, 0.0))
        if silence:
            fill_ms = self._format.ms(len(silence))
            self.filled_ms += fill_ms
            self._take(silence, fill_ms)
            self._filled_to_ms = self._fed_ms

    def _take(self, chunk: bytes, length_ms: float) -> None:
        at_ms = self._fed_ms
        self._fed_ms = at_ms + length_ms
        pcm16 = decode(self._format, chunk)
        if self._resampler is not None:
            pcm16 = chunk = self._resampler.feed(pcm16)
        self._transcribing.feed(chunk, length_ms)
        if self.private:
            self._private_to_ms = self._fed_ms
        elif self._track is not None:
            self._track.put(pcm16, at_ms)
        partial, size = self._partial, self._vad_bytes
        partial += pcm16
        while len(partial) >= size:
            frame = bytes(partial[:size])
            del partial[:size]
            self._measure(frame)
            self._vad.feed(frame)

    def _measure(self, frame: bytes) -> None:
        """How loud a frame is that the detector is about to judge."""
        self._cut_ms += VAD_FRAME_MS
        level = self._level = rms(frame)
        if level >= LOUD_LEAST and level >= self._loudness * LOUD:
            self._loud_ms.append(self._cut_ms)

    def _probability(self, probability: float) -> None:
        now_ms = self._heard_ms = self._heard_ms + VAD_FRAME_MS
        self._last = probability
        before = self._gate.open
        voiced = self._gate.hear(probability)
        if voiced:
            self._silent_ms = self._quiet_ms = 0.0
            self._loudness = max(self._level, self._loudness * DECAY)
            if not before and self._paused:
                self._paused = False
                self._transcribing.speech_started(self._fed_ms - now_ms + VAD_FRAME_MS)
        else:
            self._quiet_ms = self._quiet_ms + VAD_FRAME_MS if probability < QUIET else 0.0
            if not self._paused:
                self._silent_ms += VAD_FRAME_MS
                if self._silent_ms >= self._transcribing.pause_ms:
                    self._paused = True
                    self._transcribing.paused()
            if self._quiet_ms >= RESET_MS:
                self._quiet_ms = GAP_MS + 1  # still quiet: time may be taken back
                self._vad.reset()
        self._on_frame(voiced, now_ms)
