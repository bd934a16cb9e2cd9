// One time axis: what each side sounded like, who spoke when, and what happened; and the sound.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Button } from "../parts/basic";
import { clock, number, t } from "../words";
import type { Conversation } from "./call-model";

export type Peaks = { durationMs: number; perSecond: number; caller: Uint8Array; agent: Uint8Array };

const LANE = 46;
const ROW = 16;
const AXIS = 20;
const HEIGHT = AXIS + 2 * LANE + 2 * ROW + 12;
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

export type Playing = { at: number; seek: (ms: number) => void };

export function Player({ talk, peaks, url, durationMs, at, onTime, seekTo, live }: { talk: Conversation; peaks: Peaks | null; url: string | null; durationMs: number; at: number; onTime: (ms: number) => void; seekTo: { ms: number; n: number } | null; live: boolean }) {
  const audio = useRef<HTMLAudioElement>(null);
  const mixer = useMixer(audio);
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const [zoom, setZoom] = useState(1);
  const total = Math.max(durationMs, talk.endMs, 1000);
  const seek = useCallback(
    (ms: number) => {
      const to = Math.max(0, Math.min(total, ms));
      if (audio.current && url) audio.current.currentTime = to / 1000;
      onTime(to);
    },
    [total, url, onTime],
  );
  useEffect(() => {
    if (seekTo) seek(seekTo.ms);
    // Only a new wish to go somewhere, not a new function.
  }, [seekTo]); // eslint-disable-line
  useEffect(() => {
    if (!playing) return;
    let frame = 0;
    const tick = () => {
      if (audio.current) onTime(audio.current.currentTime * 1000);
      frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(frame);
  }, [playing, onTime]);
  const toggle = () => {
    const element = audio.current;
    if (!element || !url) return;
    if (element.paused) void element.play();
    else element.pause();
  };
  return (
    <section className="card player" aria-label={t("player")}>
      {url && <audio ref={audio} src={url} preload="metadata" onPlay={() => setPlaying(true)} onPause={() => setPlaying(false)} onEnded={() => setPlaying(false)} />}
      <div className="row controls">
        <Button look="strong" icon={playing ? "pause" : "play"} aria-label={playing ? t("player.pause") : t("player.play")} isDisabled={!url} onPress={toggle} />
        <span className="num clock">
          {clock(at / 1000, true)} <span className="quiet">/ {clock(total / 1000)}</span>
        </span>
        {url ? (
          <>
            <label className="small quiet row">
              {t("player.speed")}
              <select
                className="input tiny-select"
                value={speed}
                onChange={(event) => {
                  const next = Number(event.target.value);
                  setSpeed(next);
                  if (audio.current) audio.current.playbackRate = next;
                }}
              >
                {SPEEDS.map((each) => (
                  <option key={each} value={each}>
                    {number(each, 2)}×
                  </option>
                ))}
              </select>
            </label>
            <Button look="tiny" aria-pressed={mixer.muted.caller} onPress={() => mixer.mute("caller")}>
              <span className="swatch caller" /> {mixer.muted.caller ? t("player.unmute.caller") : t("player.mute.caller")}
            </Button>
            <Button look="tiny" aria-pressed={mixer.muted.agent} onPress={() => mixer.mute("agent")}>
              <span className="swatch agent" /> {mixer.muted.agent ? t("player.unmute.agent") : t("player.mute.agent")}
            </Button>
          </>
        ) : (
          <span className="small quiet">{live ? t("player.live") : t("player.nosound")}</span>
        )}
        <span className="grow" />
        <label className="small quiet row">
          {t("player.zoom")}
          <input type="range" min={0} max={5.6} step={0.1} value={Math.log2(zoom)} onChange={(event) => setZoom(2 ** Number(event.target.value))} aria-valuetext={`${number(zoom, 1)}×`} />
        </label>
        {url && (
          <a className="button tiny" href={url} download>
            {t("download")}
          </a>
        )}
      </div>
      <Axis talk={talk} peaks={peaks} total={total} zoom={zoom} at={at} seek={seek} toggle={toggle} playing={playing} />
    </section>
  );
}

/** Mutes a side. The sound runs through Web Audio only once that is asked for. */
function useMixer(audio: React.RefObject<HTMLAudioElement | null>) {
  const [muted, setMuted] = useState({ caller: false, agent: false });
  const gains = useRef<{ caller: GainNode; agent: GainNode } | null>(null);
  const mute = (side: "caller" | "agent") => {
    if (!gains.current && audio.current) {
      const context = new AudioContext();
      const splitter = context.createChannelSplitter(2);
      context.createMediaElementSource(audio.current).connect(splitter);
      const made = { caller: context.createGain(), agent: context.createGain() };
      splitter.connect(made.caller, 0);
      splitter.connect(made.agent, 1);
      made.caller.connect(context.destination);
      made.agent.connect(context.destination);
      gains.current = made;
      void context.resume();
    }
    const next = { ...muted, [side]: !muted[side] };
    setMuted(next);
    if (gains.current) gains.current[side].gain.value = next[side] ? 0 : 1;
  };
  return { muted, mute };
}

type AxisProps = { talk: Conversation; peaks: Peaks | null; total: number; zoom: number; at: number; seek: (ms: number) => void; toggle: () => void; playing: boolean };

function Axis({ talk, peaks, total, zoom, at, seek, toggle, playing }: AxisProps) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(800);
  const [left, setLeft] = useState(0);
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(element.clientWidth));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const full = Math.max(width, width * zoom);
  const scale = full / total;
  useEffect(() => {
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => canvas.current && draw(canvas.current, { talk, peaks, total, scale, left, width });
    redraw();
    scheme.addEventListener("change", redraw);
    return () => scheme.removeEventListener("change", redraw);
  }, [talk, peaks, total, scale, left, width]);
  useEffect(() => {
    // While it plays the mark stays in sight.
    const element = frame.current;
    if (!playing || !element) return;
    const x = at * scale;
    if (x < element.scrollLeft || x > element.scrollLeft + width * 0.9) element.scrollLeft = x - width * 0.1;
  }, [at, playing, scale, width]);
  return (
    <div
      className="axis"
      ref={frame}
      role="slider"
      tabIndex={0}
      dir="ltr"
      aria-label={t("player.position")}
      aria-valuemin={0}
      aria-valuemax={Math.round(total / 1000)}
      aria-valuenow={Math.round(at / 1000)}
      aria-valuetext={t("player.at", { at: clock(at / 1000), total: clock(total / 1000) })}
      onScroll={(event) => setLeft(event.currentTarget.scrollLeft)}
      onKeyDown={(event) => {
        const step = event.shiftKey ? 5000 : 1000;
        if (event.key === "ArrowRight") seek(at + step);
        else if (event.key === "ArrowLeft") seek(at - step);
        else if (event.key === "Home") seek(0);
        else if (event.key === "End") seek(total);
        else if (event.key === " ") toggle();
        else return;
        event.preventDefault();
      }}
    >
      <div
        className="axis-inner"
        style={{ width: full, height: HEIGHT }}
        onPointerDown={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          seek((event.clientX - box.left) / scale);
        }}
      >
        <canvas ref={canvas} style={{ width, height: HEIGHT, transform: `translateX(${left}px)` }} aria-hidden="true" />
        <div className="head-mark" style={{ transform: `translateX(${at * scale}px)`, height: HEIGHT }} />
      </div>
    </div>
  );
}

type Drawing = { talk: Conversation; peaks: Peaks | null; total: number; scale: number; left: number; width: number };

function draw(canvas: HTMLCanvasElement, { talk, peaks, total, scale, left, width }: Drawing) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.scale(ratio, ratio);
  const colour = palette(canvas);
  pen.clearRect(0, 0, width, HEIGHT);
  const x = (ms: number) => ms * scale - left;
  // The axis.
  pen.font = `11px ${colour("--sans")}`;
  pen.fillStyle = colour("--soft");
  pen.strokeStyle = colour("--line");
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((s) => s * 1000 * scale > 64) ?? 1200;
  pen.beginPath();
  for (let s = 0; s * 1000 <= total; s += step) {
    const at = Math.round(x(s * 1000)) + 0.5;
    if (at < -40 || at > width + 40) continue;
    pen.moveTo(at, AXIS - 4);
    pen.lineTo(at, HEIGHT);
    pen.fillText(clock(s), at + 3, 11);
  }
  pen.stroke();
  // Two lanes of sound, the caller's upwards and the agent's downwards from one line.
  const middle = AXIS + LANE;
  lane(pen, peaks?.caller, peaks?.perSecond ?? 50, { x, middle, up: true, colour: colour("--caller"), width, scale, left });
  lane(pen, peaks?.agent, peaks?.perSecond ?? 50, { x, middle, up: false, colour: colour("--accent"), width, scale, left });
  pen.strokeStyle = colour("--edge");
  pen.globalAlpha = 0.5;
  pen.beginPath();
  pen.moveTo(0, middle + 0.5);
  pen.lineTo(width, middle + 0.5);
  pen.stroke();
  pen.globalAlpha = 1;
  // Who had the floor.
  const turns = AXIS + 2 * LANE + 5;
  for (const span of talk.spans) {
    pen.fillStyle = colour(span.who === "caller" ? "--caller" : "--accent");
    pen.beginPath();
    pen.roundRect(x(span.from), turns + (span.who === "caller" ? 0 : 6), Math.max(2, (span.to - span.from) * scale - 1), 5, 2);
    pen.fill();
    if (span.cut) {
      pen.fillStyle = colour("--bad");
      pen.fillRect(x(span.to) - 1, turns - 1, 2, 13);
    }
  }
  pen.fillStyle = colour("--soft");
  for (const draft of talk.drafts) {
    pen.globalAlpha = draft.used === false ? 0.4 : 1;
    pen.beginPath();
    pen.arc(x(draft.at), turns + 13, 1.8, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  // What happened.
  const marks = turns + ROW + 4;
  for (const mark of talk.marks) {
    pen.fillStyle = colour(mark.kind === "bad" ? "--bad" : mark.kind === "tool" ? "--warn" : "--ink");
    pen.beginPath();
    pen.roundRect(x(mark.at), marks, Math.max(5, ((mark.to ?? mark.at) - mark.at) * scale), 8, 3);
    pen.fill();
  }
}

type LaneAt = { x: (ms: number) => number; middle: number; up: boolean; colour: string; width: number; scale: number; left: number };

/** Bars of two pixels: each the loudest of what it stands for. */
function lane(pen: CanvasRenderingContext2D, peaks: Uint8Array | undefined, perSecond: number, { middle, up, colour, width, scale, left }: LaneAt) {
  if (!peaks?.length) return;
  pen.fillStyle = colour;
  const bar = 3;
  const msPerPixel = 1 / scale;
  for (let px = 0; px < width; px += bar) {
    const from = Math.floor((((left + px) * msPerPixel) / 1000) * perSecond);
    const to = Math.max(from + 1, Math.floor((((left + px + bar) * msPerPixel) / 1000) * perSecond));
    let loud = 0;
    for (let n = from; n < to && n < peaks.length; n++) loud = Math.max(loud, peaks[n] ?? 0);
    // Below a third of the scale is line noise.
    const height = Math.max(1, Math.round(((loud - 70) / 185) * (LANE - 4)));
    if (loud <= 70) continue;
    pen.fillRect(px, up ? middle - height : middle + 1, bar - 1, height);
  }
}

function palette(element: Element): (name: string) => string {
  const probe = document.createElement("span");
  element.parentElement?.appendChild(probe);
  const made = new Map<string, string>();
  queueMicrotask(() => probe.remove());
  return (name) => {
    if (name === "--sans") return getComputedStyle(document.body).fontFamily;
    const known = made.get(name);
    if (known) return known;
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color;
    made.set(name, found);
    return found;
  };
}
