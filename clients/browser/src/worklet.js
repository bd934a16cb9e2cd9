// The sound of a call, on the browser's audio thread: the microphone to frames of 20 ms, and the
// agent's audio from a jitter buffer to the loudspeaker, with the playhead counted to the sample.
//
// Plain JavaScript, because a worklet is loaded as it is. The classes are exported for tests; what
// a page talks to is the processor at the end, by messages on its port:
//
//   in   {audio: ArrayBuffer}  {clear: epoch}
//   out  {frame: ArrayBuffer, level}            the microphone, encoded; level 0 to 1
//        {played, received, epoch, plays, level, late, dropped}
//
// Positions are samples in the call's rate since the last clear.

const WINGS = 12; // taps of the lower rate to either side
const FRAME_MS = 20;
const REPORT_MS = 50;
const LEAST_MS = 40;
const MOST_MS = 300;
const START_MS = 60;
const CALM_MS = 10_000;
const KEPT_MS = 10_000;

/** One stream from one rate to another: a Kaiser-windowed sinc as a polyphase bank. */
export class Resampler {
  constructor(from, to) {
    const common = gcd(from, to);
    this.up = to / common;
    this.down = from / common;
    const cutoff = Math.min(1, to / from);
    this.wings = from === to ? 0 : Math.ceil(WINGS / cutoff);
    this.bank = from === to ? [] : bank(this.up, this.wings, cutoff * 0.94);
    this.reset();
  }

  reset() {
    this.past = new Float32Array(2 * this.wings);
    this.phase = 0;
    this.skip = 0; // of what comes next, before the next window
  }

  /** What can be said now; `wings` samples of the stream going in are still held back. */
  feed(samples) {
    if (this.wings === 0) return samples;
    const taps = 2 * this.wings + 1;
    const x = new Float32Array(this.past.length + samples.length);
    x.set(this.past);
    x.set(samples, this.past.length);
    const out = [];
    let at = this.skip;
    while (at + taps <= x.length) {
      const row = this.bank[this.phase];
      let sum = 0;
      for (let k = 0; k < taps; k++) sum += x[at + k] * row[k];
      out.push(sum);
      this.phase += this.down;
      at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    this.past = x.slice(Math.min(at, x.length));
    this.skip = Math.max(0, at - x.length);
    return Float32Array.from(out);
  }
}

function bank(up, wings, cutoff) {
  const rows = [];
  for (let phase = 0; phase < up; phase++) {
    const row = new Float32Array(2 * wings + 1);
    let sum = 0;
    for (let k = -wings; k <= wings; k++) {
      const x = k - phase / up;
      const value = sinc(cutoff * x) * kaiser(x / (wings + 1));
      row[k + wings] = value;
      sum += value;
    }
    rows.push(row.map((value) => value / sum));
  }
  return rows;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel(5.65 * Math.sqrt(1 - x * x)) / bessel(5.65);
}

function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; k < 25; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}

// --- samples as bytes -----------------------------------------------------------------------

/** ITU-T G.711, from -1..1. */
export function toMulaw(sample) {
  let value = Math.max(-32635, Math.min(32635, Math.round(sample * 32768)));
  const sign = value < 0 ? 0x80 : 0;
  value = Math.abs(value) + 0x84;
  const exponent = Math.max(0, Math.floor(Math.log2(value)) - 7);
  return ~(sign | (exponent << 4) | ((value >> (exponent + 3)) & 0x0f)) & 0xff;
}

export function fromMulaw(byte) {
  const bits = ~byte & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84;
  return (bits & 0x80 ? -magnitude : magnitude) / 32768;
}

/** `encoding` is `pcm16` or `mulaw`. */
export function encode(encoding, samples) {
  if (encoding === "mulaw") return Uint8Array.from(samples, toMulaw).buffer;
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  for (let i = 0; i < samples.length; i++) {
    view.setInt16(i * 2, Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32768))), true);
  }
  return view.buffer;
}

export function decode(encoding, buffer) {
  if (encoding === "mulaw") return Float32Array.from(new Uint8Array(buffer), fromMulaw);
  const view = new DataView(buffer);
  const samples = new Float32Array(buffer.byteLength >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(i * 2, true) / 32768;
  return samples;
}

export function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}

// --- the agent -------------------------------------------------------------------------------

/** What was received and not played yet. It begins to play once `targetMs` are there, or so much
 *  time has passed since the first of it came. What runs dry and goes on within a moment was late:
 *  the target rises, and sinks again while nothing is. */
export class Player {
  constructor(rate, contextRate) {
    this.rate = rate;
    this.contextRate = contextRate;
    this.resampler = new Resampler(rate, contextRate);
    this.targetMs = START_MS;
    this.epoch = 0;
    this.late = 0;
    this.dropped = 0;
    this.dryForMs = Infinity;
    this.calmMs = 0;
    this.clear(0);
  }

  clear(epoch) {
    this.epoch = epoch;
    this.queue = [];
    this.queued = 0;
    this.out = new Float32Array(0);
    this.taken = 0;
    this.received = 0;
    this.plays = false;
    this.waitedMs = 0;
    this.flushed = true;
    this.dryForMs = Infinity;
    this.resampler.reset();
  }

  push(samples) {
    if (!samples.length) return;
    if (!this.plays && this.queued === 0 && this.dryForMs < MOST_MS) {
      this.late++;
      this.calmMs = 0;
      this.targetMs = Math.min(MOST_MS, this.targetMs * 1.5 + 20);
    }
    this.queue.push(samples);
    this.queued += samples.length;
    this.received += samples.length;
    while (this.queued > (KEPT_MS * this.rate) / 1000) {
      const oldest = this.queue.shift();
      this.queued -= oldest.length;
      this.taken += oldest.length;
      this.dropped += oldest.length;
    }
  }

  /** Of what was received, how much has been given to the loudspeaker. */
  get played() {
    if (!this.plays) return this.taken;
    return Math.max(0, Math.floor(this.taken - (this.out.length * this.rate) / this.contextRate));
  }

  /** The next samples, with silence where there is nothing. */
  pull(into) {
    const ms = (into.length * 1000) / this.contextRate;
    this._pace(ms);
    if (!this.plays) {
      into.fill(0);
      return;
    }
    while (this.out.length < into.length && this._more());
    const size = Math.min(into.length, this.out.length);
    into.set(this.out.subarray(0, size));
    into.fill(0, size);
    this.out = this.out.slice(size);
    if (size < into.length) {
      this.plays = false;
      this.waitedMs = 0;
      this.dryForMs = 0;
    }
  }

  _pace(ms) {
    if (this.plays) {
      this.calmMs += ms;
      if (this.calmMs > CALM_MS) {
        this.calmMs = 0;
        this.targetMs = Math.max(LEAST_MS, this.targetMs * 0.8);
      }
      return;
    }
    this.dryForMs += ms;
    if (this.queued === 0) return;
    this.waitedMs += ms;
    if ((this.queued * 1000) / this.rate >= this.targetMs || this.waitedMs >= this.targetMs) {
      this.plays = true;
    }
  }

  /** Move some of the queue through the resampler; at its end, what that has held back. */
  _more() {
    let next = this.queue.shift();
    if (next === undefined) {
      if (this.flushed) return false;
      this.flushed = true;
      next = new Float32Array(this.resampler.wings);
    } else {
      if (next.length > 256) {
        this.queue.unshift(next.subarray(256));
        next = next.subarray(0, 256);
      }
      this.queued -= next.length;
      this.taken += next.length;
      this.flushed = false;
    }
    const made = this.resampler.feed(next);
    const joined = new Float32Array(this.out.length + made.length);
    joined.set(this.out);
    joined.set(made, this.out.length);
    this.out = joined;
    return true;
  }
}

// --- the microphone --------------------------------------------------------------------------

/** Frames of 20 ms in the call's rate. */
export class Microphone {
  constructor(contextRate, rate) {
    this.resampler = new Resampler(contextRate, rate);
    this.size = (rate * FRAME_MS) / 1000;
    this.frame = new Float32Array(this.size);
    this.filled = 0;
  }

  feed(samples, tell) {
    let rest = this.resampler.feed(samples);
    while (rest.length) {
      const size = Math.min(rest.length, this.size - this.filled);
      this.frame.set(rest.subarray(0, size), this.filled);
      this.filled += size;
      rest = rest.subarray(size);
      if (this.filled === this.size) {
        tell(this.frame);
        this.filled = 0;
      }
    }
  }
}

if (typeof registerProcessor === "function") {
  registerProcessor(
    "chorus-call",
    class extends AudioWorkletProcessor {
      constructor(options) {
        super();
        const { encoding, rate } = options.processorOptions;
        this.encoding = encoding;
        this.microphone = new Microphone(sampleRate, rate);
        this.player = new Player(rate, sampleRate);
        this.sinceMs = 0;
        this.plays = false;
        this.level = 0;
        this.port.onmessage = ({ data }) => {
          if (data.audio) this.player.push(decode(encoding, data.audio));
          else if (data.clear > this.player.epoch) {
            this.player.clear(data.clear);
            this.report();
          }
        };
      }

      report() {
        const { played, received, epoch, plays, late, dropped } = this.player;
        this.port.postMessage({ played, received, epoch, plays, late, dropped, level: this.level });
        this.sinceMs = 0;
        this.level = 0;
        this.plays = plays;
      }

      process([input], [output]) {
        if (input && input[0]) {
          this.microphone.feed(input[0], (frame) => {
            const audio = encode(this.encoding, frame);
            this.port.postMessage({ frame: audio, level: loudness(frame) }, [audio]);
          });
        }
        const sound = output[0];
        this.player.pull(sound);
        this.level = Math.max(this.level, loudness(sound));
        this.sinceMs += (sound.length * 1000) / sampleRate;
        if (this.player.plays !== this.plays || (this.player.plays && this.sinceMs >= REPORT_MS)) {
          this.report();
        }
        return true;
      }
    },
  );
}
