// Voximplant as its documents describe it, as far as the scenario and Chorus see it: the Management
// API's StartScenarios, sessions that run the scenario that Chorus ships, calls with people at the
// other end, and media over WebSockets in frames of 20 ms.
//
//   node standin.mjs <folder of scenario.js> [port]
//
// Prints {"url": …} once it takes connections. What tests steer it by is below /test: JSON in,
// JSON out. Names, signatures and payloads of VoxEngine are those of its type declarations
// (https://cdn.voximplant.com/voxengine_typings/voxengine.d.ts).

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import vm from "node:vm";

const [folder, port = "0"] = process.argv.slice(2);
const FRAME = 160;
const ACCOUNT = "1234567", API_KEY = "38700987-c7a4-4685-a5bb-af378f9734de", RULE = "42", APPLICATION = "77";

const sessions = new Map(); // by its path
const board = { secret: "s".repeat(32), person: {}, faults: [], asked: [], calls: [], session: 1000, equal: true };
let base = "";

class Events {
  #handlers = new Map();
  addEventListener(name, handler) {
    if (name === undefined) throw new Error("no such event in VoxEngine");
    this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), handler]);
  }
  async emit(name, event = {}) {
    let said;
    for (const handler of this.#handlers.get(name) ?? []) said = await handler(event);
    return said;
  }
}

const APP = names("Application", "Started CallAlerting HttpRequest Terminating");
const CALL = names("Call", "Connected Disconnected Failed Ringing ToneReceived");
const SOCKET = { OPEN: "WebSocket.Open", CLOSE: "WebSocket.Close", MESSAGE: "WebSocket.Message", ERROR: "WebSocket.Error" };
const ENCODING = { PCM16_8KHZ: "PCM8", PCM16_16KHZ: "PCM16", ALAW: "ALAW", ULAW: "ULAW", OPUS: "OPUS" };

function names(prefix, list) {
  // A name that is not in the declarations is undefined there too, and refused above.
  return Object.fromEntries(list.split(" ").map((name) => [name, `${prefix}.${name}`]));
}

class Call extends Events {
  constructor(session, facts) {
    super();
    Object.assign(this, { session, id: board.calls.length, state: "ringing", heard: [], mic: [], verbs: [], pressed: "", tones: false, peer: null, since: 0 }, facts);
    board.calls.push(this);
  }
  answer() {
    this.connect();
  }
  reject(code) {
    this.over(code, "Failed", { code, reason: "" });
  }
  hangup() {
    if (this.state === "connected") this.over(200, "Disconnected", { internalCode: 200, reason: "", duration: this.lasted() });
    else this.over(487, "Failed", { code: 487, reason: "Request Terminated" });
  }
  sendDigits(digits) {
    this.pressed += digits;
  }
  handleTones(does) {
    this.tones = does;
  }
  sendMediaTo(unit, parameters) {
    if (unit instanceof Socket && !parameters?.tag) throw new Error("SendMediaParameters.tag is required");
    if (unit instanceof Socket) unit.begin(parameters);
  }
  stopMediaTo(unit) {
    if (unit instanceof Socket) unit.stop();
  }
  // The person's side.
  connect() {
    if (this.state !== "ringing") return;
    this.state = "connected";
    this.since = Date.now();
    queueMicrotask(() => this.emit(CALL.Connected, { call: this }));
  }
  press(tone) {
    if (this.tones) this.emit(CALL.ToneReceived, { call: this, tone, type: "1" });
  }
  lasted() {
    return Math.round((Date.now() - this.since) / 1000);
  }
  over(code, event, facts) {
    if (this.state === "over") return;
    this.state = "over";
    this.code = code;
    queueMicrotask(() => this.emit(CALL[event], { call: this, headers: {}, ...facts }));
  }
}

class Socket extends Events {
  constructor(url) {
    super();
    this.url = url;
    this.buffer = [];
    this.tag = null;
    this.chunks = 0;
    this.commands = [];
    this.started = false;
    this.ws = new WebSocket(url);
    this.ws.onopen = () => this.emit(SOCKET.OPEN, { websocket: this });
    this.ws.onerror = () => this.emit(SOCKET.ERROR, { websocket: this });
    this.ws.onclose = (event) => {
      this.code = event.code;
      clearInterval(this.timer);
      this.emit(SOCKET.CLOSE, { websocket: this, code: event.code, reason: event.reason, wasClean: event.wasClean });
    };
    this.ws.onmessage = (event) => this.take(event.data);
  }
  begin({ encoding = "PCM8", tag, customParameters }) {
    this.tag = tag;
    const mediaFormat = { encoding, sampleRate: encoding === "PCM16" ? 16000 : 8000 };
    this.raw({ event: "start", sequenceNumber: 0, start: { tag, mediaFormat, customParameters } });
  }
  stop() {
    this.raw({ event: "stop", sequenceNumber: this.chunks + 1, stop: { tag: this.tag, mediaInfo: { duration: this.chunks * 20 } } });
    this.tag = null;
  }
  sendMediaTo(call) {
    this.call = call;
    let due = performance.now();
    this.timer = setInterval(() => {
      for (; due <= performance.now(); due += 20) this.tick(call);
    }, 5);
  }
  tick(call) {
    if (this.tag !== null && !call.quiet) {
      const frame = call.mic.splice(0, FRAME);
      while (frame.length < FRAME) frame.push(0xff);
      this.chunks += 1;
      const payload = Buffer.from(frame).toString("base64");
      this.raw({ event: "media", sequenceNumber: this.chunks, media: { tag: this.tag, chunk: this.chunks, timestamp: this.chunks * 20, payload } });
    }
    const played = this.buffer.splice(0, FRAME);
    while (played.length < FRAME) played.push(0xff);
    call.heard.push(...played);
  }
  take(text) {
    const body = JSON.parse(text);
    if (body.event === "start") this.started = body.start.mediaFormat.encoding === "ULAW";
    else if (body.event === "media") {
      if (!this.started) throw new Error("media before its start");
      this.buffer.push(...Buffer.from(body.media.payload, "base64"));
    } else if (body.event !== "stop") {
      this.commands.push(body);
      this.emit(SOCKET.MESSAGE, { websocket: this, text });
    }
  }
  clearMediaBuffer() {
    this.cleared = (this.cleared ?? 0) + 1;
    this.buffer = [];
  }
  send(data) {
    if (typeof data !== "string") throw new Error("WebSocket.send takes a string");
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(data);
  }
  raw(body) {
    this.send(JSON.stringify(body));
  }
  close() {
    clearInterval(this.timer);
    this.ws.close(1000);
  }
}

class Session extends Events {
  constructor(customData) {
    super();
    this.path = `/request/${crypto.randomUUID()}`;
    this.id = board.session++;
    this.sockets = [];
    this.over = false;
    this.errors = [];
    this.log = [];
    sessions.set(this.path, this);
    const session = this;
    const place = (to, from) => {
      const call = new Call(session, { direction: "out", to, from, person: { ...board.person } });
      const { ring = 50, answer = 200 } = call.person;
      setTimeout(() => call.state === "ringing" && call.emit(CALL.Ringing, { call }), 10);
      if (answer) {
        setTimeout(() => {
          if (answer === 200) call.connect();
          else call.over(answer, "Failed", { code: answer, reason: call.person.reason ?? "" });
        }, ring);
      }
      return call;
    };
    const VoxEngine = {
      addEventListener: (name, handler) => session.addEventListener(name, handler),
      customData: () => customData,
      getSecretValue: (name) => (name === "CHORUS_SECRET" ? board.secret : undefined),
      callPSTN: (number, callerid) => place(number, callerid),
      callSIP: (to, { callerid } = {}) => place(to, callerid),
      createWebSocket: (url) => {
        const socket = new Socket(board.person.connects === false ? "ws://127.0.0.1:1/" : url);
        session.sockets.push(socket);
        return socket;
      },
      sendMediaBetween: (one, two) => {
        one.peer = two;
        two.peer = one;
      },
      terminate: () => {
        session.over = true;
        sessions.delete(session.path);
        for (const socket of session.sockets) socket.close();
      },
    };
    const Net = {
      httpRequestAsync: async (url, { method = "GET", headers = {}, postData, timeout = 90 } = {}) => {
        try {
          const answer = await fetch(url, { method, headers, body: postData, signal: AbortSignal.timeout(timeout * 1000) });
          const told = { code: answer.status, text: await answer.text() };
          session.log.push([url.replace(/^.*\/\/[^/]*/, ""), JSON.parse(postData), answer.status]);
          return told;
        } catch (error) {
          return { code: -4, error: String(error) };
        }
      },
    };
    const Logger = { write: (text) => session.log.push(["log", String(text), 0]) };
    const context = vm.createContext({
      VoxEngine, Net, Logger, setTimeout, clearTimeout,
      AppEvents: APP, CallEvents: CALL, WebSocketEvents: SOCKET, WebSocketAudioEncoding: ENCODING,
    });
    vm.runInContext(readFileSync(`${folder}/scenario.js`, "utf8"), context, { filename: "scenario.js" });
    const accessSecureURL = base + this.path;
    this.emit(APP.Started, { accessSecureURL, accessURL: accessSecureURL, sessionId: this.id, accountId: 1, applicationId: 2 });
  }
}

async function api(method, form) {
  const fault = board.faults.shift();
  if (fault) {
    if (fault.sleep) await new Promise((resolve) => setTimeout(resolve, fault.sleep));
    return [fault.status ?? 200, fault.body ?? ""];
  }
  if (form.account_id !== ACCOUNT || form.api_key !== API_KEY) return [200, { error: { code: 100, msg: "Authorization failed" } }];
  if (method === "GetAccountInfo") return [200, { result: { account_id: ACCOUNT } }];
  if (method === "GetRules") return [200, { result: [], total_count: form.rule_id === RULE && form.application_id === APPLICATION ? 1 : 0 }];
  if (method !== "StartScenarios") return [404, "unknown"];
  if (form.rule_id !== RULE) return [200, { error: { code: 118, msg: "The rule is not found" } }];
  if (Buffer.byteLength(form.script_custom_data) > 200) return [200, { error: { code: 1, msg: "custom data is too long" } }];
  const session = new Session(form.script_custom_data);
  const url = base + session.path;
  return [200, { result: 1, call_session_history_id: session.id, media_session_access_url: url, media_session_access_secure_url: url }];
}

const shown = (call) => ({
  id: call.id, state: call.state, code: call.code, direction: call.direction, to: call.to, from: call.from,
  leg: base + call.session.path, over: call.session.over, log: call.session.log, peer: call.peer?.to ?? null,
  commands: call.session.sockets.flatMap((socket) => socket.commands), cleared: call.session.sockets[0]?.cleared ?? 0,
  pressed: call.pressed, closed: call.session.sockets[0]?.code ?? null, open: Boolean(call.session.sockets[0]?.tag),
});

const tests = {
  reset: () => void Object.assign(board, { secret: "s".repeat(32), person: {}, faults: [], calls: [], asked: [] }),
  board: (change) => void Object.assign(board, change),
  ring: ({ to, from, headers = {} }) => {
    const session = new Session("");
    const call = new Call(session, { direction: "in", to, from });
    session.emit(APP.CallAlerting, { call, callerid: from, destination: to, headers, name: APP.CallAlerting });
    return shown(call);
  },
  calls: () => board.calls.map(shown),
  asked: () => board.asked,
  hangup: ({ id }) => board.calls[id].hangup(),
  press: ({ id, tone }) => board.calls[id].press(tone),
  say: ({ id, audio }) => void board.calls[id].mic.push(...Buffer.from(audio, "base64")),
  heard: ({ id }) => ({ audio: Buffer.from(board.calls[id].heard).toString("base64") }),
  send: ({ id, text }) => board.calls[id].session.sockets[0].send(text),
  drop: ({ id }) => board.calls[id].session.sockets[0].ws.close(3000),
};

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const path = new URL(request.url, base).pathname;
  const reply = (status, said) => {
    response.writeHead(status, { "Content-Type": typeof said === "string" ? "text/plain" : "application/json" });
    response.end(typeof said === "string" ? said : JSON.stringify(said));
  };
  try {
    if (path.startsWith("/test/")) return reply(200, tests[path.slice(6)](body ? JSON.parse(body) : {}) ?? {});
    if (path.startsWith("/platform_api/")) {
      const form = Object.fromEntries(new URLSearchParams(body));
      board.asked.push({ path, ...form });
      return reply(...(await api(path.split("/")[2], form)));
    }
    const session = sessions.get(path);
    if (!session) return reply(404, "no such session");
    return reply(200, String((await session.emit(APP.HttpRequest, { method: request.method, path, content: body, headers: [] })) ?? ""));
  } catch (error) {
    console.error(error);
    return reply(500, String(error));
  }
});
process.stdin.resume().on("end", () => process.exit(0)); // it never outlives a test
server.listen(Number(port), "127.0.0.1", () => {
  base = `http://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ url: base }));
});
