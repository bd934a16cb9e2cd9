// The sound's arithmetic, in Node: `node --test`.
import assert from "node:assert/strict";
import test from "node:test";
import { decode, encode, fromMulaw, loudness, Microphone, Player, Resampler, toMulaw } from "../src/worklet.js";

const tone = (hz, rate, seconds) => Float32Array.from({ length: rate * seconds }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate));
const joined = (pieces) => Float32Array.from(pieces.flatMap((piece) => [...piece]));
const middle = (samples) => samples.subarray(samples.length >> 2, (samples.length * 3) >> 2);

for (const [from, to] of [[48000, 16000], [48000, 24000], [48000, 8000], [44100, 16000], [44100, 8000], [16000, 48000], [24000, 44100], [8000, 44100]]) {
  test(`${from} to ${to} Hz keeps a tone and the length, however it is cut`, () => {
    const whole = new Resampler(from, to);
    const sound = tone(1000, from, 1);
    const made = whole.feed(sound);
    const held = Math.ceil((whole.wings * to) / from) + 1;
    assert.ok(Math.abs(made.length - to) <= held, `${made.length}`);
    assert.ok(Math.abs(loudness(middle(made)) - 0.3535) < 0.005);
    const cut = new Resampler(from, to);
    const pieces = [];
    for (let at = 0; at < sound.length; at += 128) pieces.push(cut.feed(sound.subarray(at, at + 128)));
    assert.deepEqual(joined(pieces), made);
  });
}

test("what a telephone cannot carry does not come back as another tone", () => {
  assert.ok(loudness(middle(new Resampler(48000, 8000).feed(tone(6000, 48000, 1)))) < 0.002);
});

test("G.711 as the standard has it", () => {
  // Silence, the extremes, and back and forth of every byte.
  assert.equal(toMulaw(0), 0xff);
  assert.equal(toMulaw(1), 0x80);
  assert.equal(toMulaw(-1), 0x00);
  for (let byte = 0; byte < 256; byte++) {
    if (byte === 0x7f) continue; // minus zero
    assert.equal(toMulaw(fromMulaw(byte)), byte);
  }
  const samples = Float32Array.of(0, 0.5, -0.5, 1, -1);
  const back = decode("pcm16", encode("pcm16", samples));
  for (const [i, sample] of samples.entries()) assert.ok(Math.abs(back[i] - sample) < 1e-4);
});

test("the microphone gives frames of 20 ms", () => {
  const microphone = new Microphone(48000, 16000);
  const sizes = [];
  for (let at = 0; at < 48000; at += 128) microphone.feed(new Float32Array(128), (frame) => sizes.push(frame.length));
  assert.ok(sizes.length >= 49 && sizes.every((size) => size === 320));
});

const RATE = 16000;
const CONTEXT = 48000;
const BLOCK_MS = (128 * 1000) / CONTEXT;
function run(player, ms) {
  const heard = [];
  for (let at = 0; at < ms; at += BLOCK_MS) {
    const block = new Float32Array(128);
    player.pull(block);
    heard.push(block);
  }
  return joined(heard);
}
const sound = (ms) => new Float32Array((RATE * ms) / 1000).fill(0.5);

test("the playhead is exact when all was played, and never past what came", () => {
  const player = new Player(RATE, CONTEXT);
  player.push(sound(200));
  let last = 0;
  for (let at = 0; at < 150; at++) {
    player.pull(new Float32Array(128));
    assert.ok(player.played >= last && player.played <= player.received);
    last = player.played;
  }
  assert.equal(player.played, 3200);
  assert.equal(player.plays, false);
});

test("with enough there it plays at once, and the position moves with the sound", () => {
  const player = new Player(RATE, CONTEXT);
  player.push(sound(400));
  assert.ok(loudness(run(player, 100)) > 0.4);
  assert.ok(Math.abs(player.played - 1600) < 60, `${player.played}`);
});

test("a little waits for more, but not for ever", () => {
  const player = new Player(RATE, CONTEXT);
  player.push(sound(20));
  assert.equal(loudness(run(player, 50)), 0);
  assert.ok(loudness(run(player, 30)) > 0);
});

test("clear is heard at once, and what comes then belongs to the new epoch", () => {
  const player = new Player(RATE, CONTEXT);
  player.push(sound(400));
  run(player, 100);
  player.clear(3);
  assert.equal(loudness(run(player, 10)), 0);
  assert.deepEqual([player.epoch, player.played, player.received, player.plays], [3, 0, 0, false]);
  player.push(sound(100));
  run(player, 200);
  assert.equal(player.played, 1600);
  assert.equal(player.late, 0);
});

test("a network that stutters makes it wait longer, up to a bound, and a calm one less again", () => {
  const player = new Player(RATE, CONTEXT);
  for (let n = 0; n < 20; n++) {
    player.push(sound(20));
    run(player, 100);
  }
  assert.ok(player.late >= 2);
  assert.ok(player.targetMs > 60 && player.targetMs <= 300);
  const before = player.targetMs;
  player.push(sound(400)); // as far as Chorus is ahead
  for (let n = 0; n < 30; n++) {
    player.push(sound(1000));
    run(player, 1000);
  }
  assert.ok(player.targetMs < before);
});

test("what is kept is bounded", () => {
  const player = new Player(RATE, CONTEXT);
  for (let n = 0; n < 30; n++) player.push(sound(1000));
  assert.ok(player.queued <= RATE * 10);
  assert.equal(player.dropped, RATE * 20);
});
