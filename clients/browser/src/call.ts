// A call from a web page to an agent of Chorus.
//
//   button.onclick = () => {
//     const call = new BrowserCall();                    // in the tap: browsers want it so
//     call.on("event", ({ kind, data }) => …);
//     void call.connect(async () => (await fetch("/my-server/call", { method: "POST" })).json());
//   };
//
// `connect` is given what `POST /v1/calls/test` answers, or a function that asks for it; the API
// key stays on your server.
import { type Begun, type Format, type Happening, type Playhead, parts, type Reason, type Started, type Told } from "./protocol.js";
import { Sound, SoundTrouble, type Trouble } from "./sound.js";

export type State = "connecting" | "connected" | "reconnecting" | "ended";

export type Ended = { reason: Reason | Trouble | "unreachable" | "not_begun"; detail: string };

export type Levels = { caller: number; agent: number };

export type Events = {
  state: State;
  /** What happens in the conversation: `words`, `turn_committed`, `reply_started`, `reply_heard` … */
  event: Happening;
  /** 0 to 1, some ten times a second. */
  levels: Levels;
  /** Whether the agent can be heard at this moment. */
  speaking: boolean;
  /** False: the browser has stopped the sound. A tap anywhere on the page lets it go on. */
  sound: boolean;
  /** The way there and back, in milliseconds. */
  rtt: number;
  ended: Ended;
};

export type Options = {
  /** "mulaw/8000" sounds as on the telephone. */
  format?: Format;
  deviceId?: string;
  /** Where `worklet.js` of this package is served; beside this file without it. */
  worklet?: string | URL;
};

const PING_MS = 2000;
/** So many pings without a sign of life: the connection is gone, though nobody has closed it. */
const MOST_UNANSWERED = 2;
const MOST_UNSENT_MS = 1000;
const LEVELS_MS = 100;
const AGAIN_MS = [0, 250, 500, 1000];
/** How long one attempt may take. A network that swallows everything says nothing for minutes. */
const START_MS = 15_000;
const RESUME_MS = 3000;
/** How long a server is asked again that does not hold the call, before it has begun. */
const NOT_HERE_MS = 10_000;

export class BrowserCall {
  readonly format: Format;
  state: State = "connecting";
  callId = "";
  #listeners = new Map<string, Set<(value: never) => void>>();
  #sound: Sound;
  #worklet: string | URL;
  #socket: WebSocket | undefined;
  #begun: Begun | undefined;
  #started: Started | undefined;
  #epoch = 0;
  #received = 0; // bytes since the last clear
  #rtt = 0;
  #skippedMs = 0;
  #lostAt = 0;
  #firstAt = 0; // told "not_here" before the call had begun
  #notHere = false;
  #tries = 0;
  #unanswered = 0; // pings since the last message
  #levels: Levels = { caller: 0, agent: 0 };
  #speaking = false;
  #timers: ReturnType<typeof setInterval>[] = [];
  #again: ReturnType<typeof setTimeout> | undefined;
  #attempt: ReturnType<typeof setTimeout> | undefined;
  #leave = (): void => this.hangUp();
  #offline = (): void => {
    if (this.state === "connected") this.#drop();
  };
  #online = (): void => {
    if (this.state !== "reconnecting") return;
    // An attempt that began without a network may hang.
    this.#tries = 0;
    this.#drop();
  };

  /** Call it in the tap or click that begins the call, before anything is waited for. */
  constructor({ format = "pcm16/16000", deviceId, worklet }: Options = {}) {
    this.format = format;
    this.#worklet = worklet ?? new URL("./worklet.js", import.meta.url);
    this.#sound = new Sound(deviceId);
  }

  on<K extends keyof Events>(kind: K, listener: (value: Events[K]) => void): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners);
    listeners.add(listener as (value: never) => void);
    return () => listeners.delete(listener as (value: never) => void);
  }

  /** The microphone first: a call that nobody can hear is not begun. What goes wrong ends the call
   *  with its reason; nothing is thrown. */
  async connect(begin: Begun | (() => Promise<Begun>)): Promise<void> {
    try {
      await this.#sound.open(this.format, this.#worklet, {
        frame: (audio, level) => this.#heard(audio, level),
        playhead: (at) => this.#played(at),
        runs: (runs) => this.#tell("sound", runs),
      });
    } catch (reason) {
      if (reason instanceof SoundTrouble) this.#end({ reason: reason.trouble, detail: reason.message });
      else this.#end({ reason: "no_sound", detail: String(reason) });
      return;
    }
    if (this.state === "ended") return;
    try {
      this.#begun = typeof begin === "function" ? await begin() : begin;
    } catch (reason) {
      this.#end({ reason: "not_begun", detail: reason instanceof Error ? reason.message : String(reason) });
      return;
    }
    this.callId = this.#begun.callId;
    if ((this.state as State) === "ended") return; // hung up meanwhile; the token expires
    window.addEventListener("pagehide", this.#leave);
    window.addEventListener("offline", this.#offline);
    window.addEventListener("online", this.#online);
    this.#timers.push(setInterval(() => this.#ping(), PING_MS));
    this.#timers.push(setInterval(() => this.#level(), LEVELS_MS));
    this.#open();
  }

  mute(muted: boolean): void {
    this.#sound.mute(muted);
  }

  /** One key: 0-9, *, #, A-D. */
  press(digit: string): void {
    this.#send({ type: "digit", digit });
  }

  hangUp(): void {
    if (this.state === "ended") return;
    this.#send({ type: "stop" });
    this.#end({ reason: "hung_up", detail: "" });
  }

  // --- the socket ------------------------------------------------------------------------------

  #open(): void {
    const begun = this.#begun;
    if (!begun || this.state === "ended") return;
    let socket: WebSocket;
    try {
      socket = new WebSocket(begun.url);
    } catch (reason) {
      this.#end({ reason: "unreachable", detail: String(reason) });
      return;
    }
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    clearTimeout(this.#attempt);
    this.#attempt = setTimeout(() => this.#drop(), this.#started ? RESUME_MS : START_MS);
    socket.onopen = () => {
      const started = this.#started;
      const received = this.#received / parts(this.format).bytes;
      const first = started
        ? { type: "resume", callId: begun.callId, token: started.resumeToken, epoch: this.#epoch, received }
        : { type: "start", callId: begun.callId, token: begun.token, format: this.format };
      socket.send(JSON.stringify(first));
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (socket === this.#socket) this.#take(data);
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#lost();
    };
  }

  #ping(): void {
    if (this.state !== "connected") return;
    // Pings are counted, not seconds: the timers of a page that was asleep are late.
    if (this.#unanswered >= MOST_UNANSWERED) this.#drop();
    else {
      this.#unanswered++;
      this.#send({ type: "ping", t: performance.now() });
    }
  }

  /** Leave the connection, which may never tell that it is gone, and try another. */
  #drop(): void {
    clearTimeout(this.#again);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#lost();
  }

  #take(message: string | ArrayBuffer): void {
    this.#unanswered = 0;
    if (typeof message !== "string") {
      this.#received += message.byteLength;
      this.#sound.play(message);
      return;
    }
    const told = JSON.parse(message) as Told;
    switch (told.type) {
      case "started":
        this.#started = told;
        this.#lostAt = this.#tries = 0;
        clearTimeout(this.#attempt);
        this.#newEpoch(told.epoch);
        this.#become("connected");
        this.#send({ type: "ping", t: performance.now() });
        break;
      case "clear":
        this.#newEpoch(told.epoch);
        break;
      case "event":
        this.#tell("event", { kind: told.kind, atMs: told.atMs, data: told.data });
        break;
      case "pong": {
        const rtt = performance.now() - told.t;
        // The least of late: what waits behind other work in this page is not the network's.
        this.#rtt = this.#rtt ? Math.min(rtt, this.#rtt * 0.8 + rtt * 0.2) : rtt;
        this.#tell("rtt", this.#rtt);
        break;
      }
      case "ended":
        // Another process may hold the call: try again until the time is over. The token is still
        // good if the call has not begun.
        if (told.reason === "not_here" && (this.#lostAt || this.#mayStartAgain())) break;
        this.#end({ reason: told.reason, detail: told.detail });
        break;
    }
  }

  #newEpoch(epoch: number): void {
    if (epoch <= this.#epoch) return;
    this.#epoch = epoch;
    this.#received = 0;
    this.#sound.clear(epoch);
  }

  #lost(): void {
    if (this.state === "ended") return;
    this.#socket = undefined;
    clearTimeout(this.#attempt);
    const wait = AGAIN_MS[Math.min(this.#tries++, AGAIN_MS.length - 1)] ?? 0;
    const started = this.#started;
    if (started) {
      const now = performance.now();
      this.#lostAt ||= now;
      this.#unanswered = 0;
      this.#become("reconnecting");
      if (now + wait - this.#lostAt > started.resumeWithinMs) {
        this.#end({ reason: "lost", detail: "The connection was lost." });
        return;
      }
    } else if (!this.#notHere) {
      this.#end({ reason: "unreachable", detail: "The connection was refused." });
      return;
    }
    this.#notHere = false;
    this.#again = setTimeout(() => this.#open(), wait);
  }

  #mayStartAgain(): boolean {
    if (this.#started) return false;
    this.#firstAt ||= performance.now();
    this.#notHere = performance.now() - this.#firstAt < NOT_HERE_MS;
    return this.#notHere;
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN && (this.#started || "token" in message)) this.#socket.send(JSON.stringify(message));
  }

  // --- the sound -------------------------------------------------------------------------------

  #heard(audio: ArrayBuffer, level: number): void {
    this.#levels.caller = Math.max(this.#levels.caller, level);
    const socket = this.#socket;
    // While there is no connection the server knows that there is a hole.
    if (socket?.readyState !== WebSocket.OPEN || this.state !== "connected") return;
    const { rate, bytes } = parts(this.format);
    const ms = (audio.byteLength * 1000) / (rate * bytes);
    if ((socket.bufferedAmount * 1000) / (rate * bytes) > MOST_UNSENT_MS) {
      // A network that does not take it: what is old is of no use to anybody.
      this.#skippedMs += ms;
      return;
    }
    if (this.#skippedMs) {
      this.#send({ type: "skip", ms: this.#skippedMs });
      this.#skippedMs = 0;
    }
    socket.send(audio);
  }

  #played({ played, received, epoch, plays, level }: Playhead): void {
    this.#levels.agent = Math.max(this.#levels.agent, level);
    if (this.state === "connected") this.#send({ type: "played", epoch, played, received, plays, rttMs: Math.round(this.#rtt) });
    if (plays !== this.#speaking) {
      this.#speaking = plays;
      this.#tell("speaking", plays);
    }
  }

  #level(): void {
    this.#tell("levels", this.#levels);
    this.#levels = { caller: 0, agent: 0 };
  }

  // --- whoever listens ---------------------------------------------------------------------------

  #become(state: State): void {
    if (this.state === state || this.state === "ended") return;
    this.state = state;
    this.#tell("state", state);
  }

  #end(ended: Ended): void {
    if (this.state === "ended") return;
    this.#become("ended");
    window.removeEventListener("pagehide", this.#leave);
    window.removeEventListener("offline", this.#offline);
    window.removeEventListener("online", this.#online);
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#again);
    clearTimeout(this.#attempt);
    this.#sound.close();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#tell("ended", ended);
  }

  #tell<K extends keyof Events>(kind: K, value: Events[K]): void {
    for (const listener of this.#listeners.get(kind) ?? []) (listener as (value: Events[K]) => void)(value);
  }
}
