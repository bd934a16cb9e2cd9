// A call from this page: what is shown of it, and the verbs.
import { useEffect, useRef, useState } from "react";
import { BrowserCall, type Ended, type Format, type Happening, type State } from "../../../clients/browser/src";
import { api, data } from "../api/client";
import { mediaUrl } from "../api/media";
import { queries } from "../api/session";
import type { TrialProps } from "../parts/trial";

export type Said = { who: "caller" | "agent"; text: string; unsaid?: string; latency?: number; open?: boolean };

export type Talking = {
  state: State;
  callId: string;
  said: Said[];
  caller: number;
  agent: number;
  rtt: number | null;
  sound: boolean;
  muted: boolean;
  ended: Ended | null;
  error: unknown;
};

const NEW: Talking = { state: "connecting", callId: "", said: [], caller: 0, agent: 0, rtt: null, sound: true, muted: false, ended: null, error: null };

export function useTalk({ agent, changes, variables }: TrialProps) {
  const [talking, setTalking] = useState<Talking | null>(null);
  const call = useRef<BrowserCall | null>(null);
  useEffect(() => () => call.current?.hangUp(), []);

  const begin = (format: Format) => {
    // Before anything is waited for: browsers give sound to a tap only.
    const made = new BrowserCall({ format });
    call.current = made;
    setTalking(NEW);
    const set = (change: Partial<Talking> | ((old: Talking) => Partial<Talking>)) =>
      setTalking((old) => (old && call.current === made ? { ...old, ...(typeof change === "function" ? change(old) : change) } : old));
    made.on("state", (state) => set({ state }));
    made.on("levels", ({ caller, agent: level }) => set({ caller, agent: level }));
    made.on("rtt", (rtt) => set({ rtt }));
    made.on("sound", (sound) => set({ sound }));
    made.on("event", (event) => set((old) => ({ said: heard(old.said, event) })));
    made.on("ended", (ended) => {
      set({ ended });
      void queries.invalidateQueries({ queryKey: ["calls"] });
    });
    void made.connect(async () => {
      try {
        const body = { agentId: agent.id, agent: changes, contextVariables: variables, metadata: { test: true } };
        const begun = await data(api.POST("/v1/calls/test", { body }));
        set({ callId: begun.callId });
        return { ...begun, url: mediaUrl(begun.url) };
      } catch (error) {
        set({ error });
        throw error;
      }
    });
  };
  const mute = () => {
    const muted = !talking?.muted;
    call.current?.mute(muted);
    setTalking((old) => old && { ...old, muted });
  };
  return { talking, begin, mute, hangUp: () => call.current?.hangUp() };
}

/** The lines with what has happened: words as they are recognized, turns, and what was heard. */
function heard(said: Said[], { kind, data: told }: Happening): Said[] {
  const last = said[said.length - 1];
  const open = last?.who === "caller" && last.open ? last : undefined;
  const before = open ? said.slice(0, -1) : said;
  const text = typeof told.text === "string" ? told.text : "";
  switch (kind) {
    case "words":
      return [...before, { who: "caller", text: `${open ? `${open.text} ` : ""}${text}`, open: true }];
    case "turn_committed":
      return text ? [...before, { who: "caller", text }] : before;
    case "turn_dropped":
      return before;
    case "turn_latency": {
      // How long the person waited, beside what they had said.
      const at = said.findLastIndex((line) => line.who === "caller" && !line.open);
      return said.map((line, n) => (n === at && typeof told.sentMs === "number" ? { ...line, latency: told.sentMs } : line));
    }
    case "reply_heard":
      return told.heard || told.unsaid ? [...said, { who: "agent", text: String(told.heard ?? ""), unsaid: told.unsaid ? String(told.unsaid) : undefined }] : said;
    default:
      return said;
  }
}
