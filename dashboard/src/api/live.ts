// All live calls of the organization, on one stream. What it says first is all that are shown (the newest 200), so it is
// simply asked for again when it breaks off.
import { useEffect, useState } from "react";
import type { Schemas } from "./client";
import { received } from "./sse";

export type LiveCall = Schemas["OngoingCall"];
/** `calls` is null until the first answer; `error` is why it is broken, until it goes on. */
export type LiveCalls = { calls: Map<string, LiveCall> | null; total: number; broken: boolean; error: unknown };

const AGAIN_MS = 1500;

export function useLiveCalls(): LiveCalls {
  const [state, setState] = useState<LiveCalls>({ calls: null, total: 0, broken: false, error: null });
  useEffect(() => {
    // Only while somebody sees it: a browser has six connections to a server, whatever tabs there are.
    let stop: AbortController | null = null;
    const look = () => {
      if (document.hidden) {
        stop?.abort();
        stop = null;
      } else if (!stop) {
        stop = new AbortController();
        void follow(stop.signal, setState);
      }
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      stop?.abort();
    };
  }, []);
  return state;
}

async function follow(signal: AbortSignal, set: (change: (old: LiveCalls) => LiveCalls) => void) {
  while (!signal.aborted) {
    try {
      for await (const events of received("/v1/calls/live", signal)) {
        set((old) => {
          const calls = new Map(old.calls);
          let { total } = old;
          for (const { kind, data } of events) {
            if (kind === "calls") {
              const all = data as Schemas["OngoingCalls"];
              calls.clear();
              for (const call of all.calls) calls.set(call.id, call);
              total = all.total;
            } else if (kind === "call") {
              const call = data as LiveCall;
              calls.set(call.id, call);
            } else if (kind === "gone") {
              const gone = data as { ids: string[]; total: number };
              for (const id of gone.ids) calls.delete(id);
              total = gone.total;
            }
          }
          return { calls, total: Math.max(total, calls.size), broken: false, error: null };
        });
      }
    } catch (error) {
      if (signal.aborted) return;
      set((old) => ({ ...old, broken: true, error }));
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}
