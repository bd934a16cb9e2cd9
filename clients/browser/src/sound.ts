// The sound of a page: one AudioContext, the microphone, and the worklet between them.
//
// Rules of browsers, those of iOS first: a context is made and resumed in the tap itself, before
// anything is waited for, and plays one silent buffer there; it may be suspended at any time (a
// telephone that rings, a locked screen) and goes on at the next tap; a worklet of a suspended
// context is silent without a word, so somebody has to look. The context runs at its own rate,
// since Safari's microphone has 48 kHz whatever one asks for: the worklet resamples.
import { type Format, type Playhead, parts } from "./protocol.js";

export type Trouble = "insecure" | "microphone_denied" | "microphone_missing" | "microphone_busy" | "no_sound";

/** Why a call cannot be heard. */
export class SoundTrouble extends Error {
  constructor(
    readonly trouble: Trouble,
    message: string,
  ) {
    super(message);
  }
}

export type Ears = {
  frame: (audio: ArrayBuffer, level: number) => void;
  playhead: (at: Playhead) => void;
  /** Whether sound goes in and out at the moment. */
  runs: (runs: boolean) => void;
};

const WATCH_MS = 1000;

export class Sound {
  readonly context: AudioContext;
  #node: AudioWorkletNode | undefined;
  #stream: MediaStream | undefined;
  #muted = false;
  #lastFrame = 0;
  #ran = true;
  #watch: ReturnType<typeof setInterval> | undefined;
  #asked: Promise<MediaStream>;
  #wake = (): void => {
    if (this.context.state !== "running" && this.context.state !== "closed") void this.context.resume();
  };

  /** Call it in the tap: it makes the context and asks for the microphone at once. */
  constructor(deviceId?: string) {
    this.context = new AudioContext({ latencyHint: "interactive" });
    void this.context.resume();
    const silence = this.context.createBufferSource();
    silence.buffer = this.context.createBuffer(1, 128, this.context.sampleRate);
    silence.connect(this.context.destination);
    silence.start();
    this.#asked = listen(deviceId);
    // Whoever waits for it later is told; until then it is no unhandled rejection.
    this.#asked.catch(() => undefined);
    document.addEventListener("pointerdown", this.#wake);
    document.addEventListener("keydown", this.#wake);
  }

  /** Until sound can go in and out. Throws `SoundTrouble`. */
  async open(format: Format, worklet: string | URL, ears: Ears): Promise<void> {
    const { encoding, rate } = parts(format);
    const [stream] = await Promise.all([this.#asked, this.context.audioWorklet.addModule(worklet)]);
    if (this.context.state === "closed") return; // hung up meanwhile
    this.#stream = stream;
    this.mute(this.#muted);
    const node = new AudioWorkletNode(this.context, "chorus-call", {
      numberOfInputs: 1,
      numberOfOutputs: 1,
      outputChannelCount: [1],
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { encoding, rate },
    });
    node.port.onmessage = ({ data }: MessageEvent<Playhead | { frame: ArrayBuffer; level: number }>) => {
      if ("frame" in data) {
        this.#lastFrame = performance.now();
        ears.frame(data.frame, this.#muted ? 0 : data.level);
      } else ears.playhead(data);
    };
    this.context.createMediaStreamSource(stream).connect(node);
    node.connect(this.context.destination);
    this.#node = node;
    this.#lastFrame = performance.now();
    const look = () => {
      const runs = performance.now() - this.#lastFrame < WATCH_MS;
      if (!runs) this.#wake();
      if (runs !== this.#ran) {
        this.#ran = runs;
        ears.runs(runs);
      }
    };
    this.#watch = setInterval(look, WATCH_MS / 4);
    this.context.onstatechange = () => {
      if (this.context.state !== "running") this.#wake();
    };
  }

  play(audio: ArrayBuffer): void {
    this.#node?.port.postMessage({ audio }, [audio]);
  }

  clear(epoch: number): void {
    this.#node?.port.postMessage({ clear: epoch });
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    // A muted track gives silence, which the agent hears as such.
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  close(): void {
    clearInterval(this.#watch);
    document.removeEventListener("pointerdown", this.#wake);
    document.removeEventListener("keydown", this.#wake);
    this.context.onstatechange = null;
    void this.#asked.then(
      (stream) => {
        for (const track of stream.getTracks()) track.stop();
      },
      () => undefined,
    );
    this.#node?.disconnect();
    if (this.context.state !== "closed") void this.context.close();
  }
}

async function listen(deviceId?: string): Promise<MediaStream> {
  // Not there on a page without https, whatever the types say.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (!devices?.getUserMedia) throw new SoundTrouble("insecure", "A browser gives a microphone to pages with https (or on localhost) only.");
  try {
    return await devices.getUserMedia({
      audio: {
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
        channelCount: 1,
        ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
      },
    });
  } catch (reason) {
    const name = reason instanceof DOMException ? reason.name : "";
    if (name === "NotAllowedError" || name === "SecurityError") throw new SoundTrouble("microphone_denied", "The microphone was not allowed.");
    if (name === "NotFoundError" || name === "OverconstrainedError") throw new SoundTrouble("microphone_missing", "There is no microphone.");
    throw new SoundTrouble("microphone_busy", `The microphone cannot be opened (${name || String(reason)}).`);
  }
}
