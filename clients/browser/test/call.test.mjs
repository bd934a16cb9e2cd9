// A call whose network goes away, on a clock of its own: `node --test`, after `npm run build`.
// CHORUS_CLIENT names the folder of the built files, `dist` without it.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { pathToFileURL } from "node:url";

const built = process.env.CHORUS_CLIENT ? `${pathToFileURL(process.env.CHORUS_CLIENT)}/` : new URL("../dist/", import.meta.url);
let now = 1;
const page = new EventTarget();

/** A connection whose far end is the test. */
class Connection extends EventTarget {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  constructor(url) {
    super();
    this.url = url;
    Connection.all.push(this);
  }
  send(message) {
    this.sent.push(typeof message === "string" ? JSON.parse(message) : message);
  }
  close() {
    this.readyState = 2; // a network that swallows everything never says that it is closed
  }
  opens() {
    this.readyState = 1;
    this.onopen();
  }
  says(message) {
    this.onmessage({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }
  breaks() {
    this.readyState = 3;
    this.onclose();
  }
  kinds() {
    return this.sent.map((message) => message.type);
  }
}

class Node {
  port = { postMessage: (message) => Node.told.push(message), onmessage: null };
  connect() {}
  disconnect() {}
  static told = [];
}
class Context extends Node {
  state = "running";
  sampleRate = 48000;
  audioWorklet = { addModule: async () => undefined };
  resume = async () => undefined;
  close = async () => undefined;
  createBuffer = () => ({});
  createBufferSource = () => ({ connect() {}, start() {} });
  createMediaStreamSource = () => new Node();
}

Object.assign(globalThis, { window: page, document: new EventTarget(), WebSocket: Connection, AudioContext: Context, AudioWorkletNode: Node });
const stream = { getAudioTracks: () => [], getTracks: () => [] };
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: { getUserMedia: async () => stream } } });
mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
mock.method(performance, "now", () => now);
const { BrowserCall } = await import(new URL("call.js", built));

const STARTED = { type: "started", callId: "c", format: "pcm16/16000", epoch: 0, resumeToken: "again", resumeWithinMs: 10_000 };

function pass(ms, each = () => undefined) {
  for (let gone = 0; gone < ms; gone += 50) {
    now += 50;
    mock.timers.tick(50);
    each();
  }
}

/** A call that has asked for its connection. */
async function called() {
  Connection.all.length = Node.told.length = 0;
  const call = new BrowserCall();
  const seen = { states: [], ended: null };
  call.on("state", (state) => seen.states.push(state));
  call.on("ended", (ended) => (seen.ended = ended));
  await call.connect({ callId: "c", url: "ws://voice.example/browser/media", token: "once" });
  return { call, seen };
}

async function talking() {
  const { call, seen } = await called();
  const [first] = Connection.all;
  first.opens();
  first.says(STARTED);
  return { call, seen, first };
}

test("a network that stands still is left, and the call goes on where it was", async () => {
  const { call, seen, first } = await talking();
  first.says(new ArrayBuffer(640));
  pass(6_050);
  const second = Connection.all[1];
  assert.ok(second, "no second connection");
  assert.deepEqual(seen.states.slice(0, 2), ["connected", "reconnecting"]);
  second.opens();
  assert.deepEqual(second.sent[0], { type: "resume", callId: "c", token: "again", epoch: 0, received: 320 });
  call.hangUp();
});

test("it is noticed between four and six seconds", async () => {
  const { call, seen } = await talking();
  pass(3900);
  assert.equal(call.state, "connected");
  pass(2100);
  assert.equal(call.state, "reconnecting");
  assert.equal(seen.ended, null);
  call.hangUp();
});

test("whatever the server says is a sign of life", async () => {
  const { call, first } = await talking();
  const says = [{ type: "pong", t: 0 }, { type: "event", kind: "words", atMs: 0, data: {} }, new ArrayBuffer(2)];
  for (let n = 0; n < 12; n++) {
    pass(1900);
    first.says(says[n % says.length]);
  }
  assert.equal(call.state, "connected");
  assert.equal(Connection.all.length, 1);
  call.hangUp();
});

test("a page that was asleep does not give up a connection that lives", async () => {
  const { call, first } = await talking();
  now += 60_000; // its timers stood still
  pass(2000);
  first.says({ type: "pong", t: now });
  pass(3000);
  assert.equal(call.state, "connected");
  call.hangUp();
});

test("an attempt that hangs gives way to the next, until the time is over", async () => {
  const { seen, first } = await talking();
  first.breaks();
  pass(9_000);
  assert.equal(seen.ended, null);
  assert.ok(Connection.all.length >= 3, `${Connection.all.length} attempts`);
  pass(8_000);
  assert.equal(seen.ended.reason, "lost");
  const attempts = Connection.all.length;
  pass(20_000);
  assert.equal(Connection.all.length, attempts);
});

test("without a network it is lost at once, and with one it is tried at once", async () => {
  const { call, first } = await talking();
  page.dispatchEvent(new Event("offline"));
  assert.equal(call.state, "reconnecting");
  first.breaks(); // late, and of no concern any more
  pass(50);
  const attempts = Connection.all.length;
  pass(1000);
  assert.equal(Connection.all.length, attempts, "an attempt hangs");
  page.dispatchEvent(new Event("online"));
  pass(50);
  const last = Connection.all.at(-1);
  assert.equal(Connection.all.length, attempts + 1);
  last.opens();
  last.says(STARTED);
  assert.equal(call.state, "connected");
  call.hangUp();
  assert.deepEqual(last.kinds(), ["resume", "ping", "stop"]);
});

test("a server that does not hold the call is asked again with the same token", async () => {
  const { call, seen, first } = await called().then((made) => ({ ...made, first: Connection.all[0] }));
  const away = (connection) => {
    connection.opens();
    connection.says({ type: "ended", reason: "not_here", detail: "another server holds this call" });
    connection.breaks();
  };
  away(first);
  pass(50);
  const second = Connection.all[1];
  second.opens();
  assert.deepEqual(second.sent[0], { type: "start", callId: "c", token: "once", format: "pcm16/16000" });
  second.says(STARTED);
  assert.equal(call.state, "connected");
  assert.equal(seen.ended, null);
  call.hangUp();

  const other = await called();
  let answered = 0;
  pass(20_000, () => {
    while (answered < Connection.all.length) away(Connection.all[answered++]);
  });
  assert.equal(other.seen.ended.reason, "not_here");
  assert.ok(answered > 5);
});

test("a connection that cannot be begun is told", async () => {
  const refused = await called();
  Connection.all[0].breaks();
  assert.equal(refused.seen.ended.reason, "unreachable");
  const hangs = await called();
  pass(15_000);
  assert.equal(hangs.seen.ended.reason, "unreachable");
});
