// A call's events as a stream: all that was, what comes, and the end. Asked for again from where
// it broke off.
import { useEffect, useState } from "react";
import type { Schemas } from "./client";
import { received } from "./sse";

export type CallEvent = Omit<Schemas["Event"], "data"> & { data: Record<string, unknown> };
export type Stream = { events: CallEvent[]; over: boolean; broken: boolean };

const AGAIN_MS = 1500;

export function useEvents(callId: string): Stream {
  const [state, setState] = useState<Stream>({ events: [], over: false, broken: false });
  useEffect(() => {
    const stop = new AbortController();
    setState({ events: [], over: false, broken: false });
    void follow(callId, stop.signal, (events) => setState((old) => ({ ...old, broken: false, events: [...old.events, ...events] })), (broken) => setState((old) => ({ ...old, over: !broken, broken })));
    return () => stop.abort();
  }, [callId]);
  return state;
}

async function follow(callId: string, signal: AbortSignal, tell: (events: CallEvent[]) => void, ended: (broken: boolean) => void) {
  let last = 0;
  while (!signal.aborted) {
    try {
      for await (const events of received(`/v1/calls/${encodeURIComponent(callId)}/events?stream=true`, signal, { "Last-Event-ID": String(last) })) {
        const told = events.filter((each) => each.kind !== "end").map((each) => each.data as CallEvent);
        if (told.length) {
          last = told[told.length - 1]?.seq ?? last;
          tell(told);
        }
        if (told.length < events.length) {
          ended(false);
          return;
        }
      }
    } catch {
      if (signal.aborted) return;
      ended(true);
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}
