// A call from this page: what is shown of it, and the verbs.
import { useEffect, useRef, useState } from "react";
import { BrowserCall, type Ended, type Format, type Happening, type State } from "../../../clients/browser/src";
import { api, data } from "../api/client";
import { mediaUrl } from "../api/media";
import { queries } from "../api/session";
import type { TrialProps } from "../parts/trial";

export type Talking = {
  state: State;
  callId: string;
  /** What the caller says at this moment, as far as it is recognized. */
  words: string;
  caller: number;
  agent: number;
  rtt: number | null;
  sound: boolean;
  muted: boolean;
  ended: Ended | null;
  error: unknown;
};

const NEW: Talking = { state: "connecting", callId: "", words: "", caller: 0, agent: 0, rtt: null, sound: true, muted: false, ended: null, error: null };

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
    made.on("event", (event) => set((old) => ({ words: heard(old.words, event) })));
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

/** The rest of the conversation, and what happens behind it, is told by the call's events. */
function heard(words: string, { kind, data: told }: Happening): string {
  if (kind === "words") return typeof told.text === "string" ? `${words} ${told.text}`.trim() : words;
  return kind === "turn_committed" || kind === "turn_dropped" ? "" : words;
}
