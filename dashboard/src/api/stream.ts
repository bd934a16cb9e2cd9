// A call's events as a stream: all that was, what comes, and the end. Asked for again from where
// it broke off.
import { useEffect, useState } from "react";
import type { Schemas } from "./client";
import { received } from "./sse";

export type CallEvent = Omit<Schemas["Event"], "data"> & { data: Record<string, unknown> };
/** `error` is why it is broken, until it goes on. */
export type Stream = { events: CallEvent[]; over: boolean; broken: boolean; error: unknown };

const AGAIN_MS = 1500;
const NOTHING: Stream = { events: [], over: false, broken: false, error: null };

export function useEvents(callId: string): Stream {
  const [state, setState] = useState<Stream>(NOTHING);
  useEffect(() => {
    const stop = new AbortController();
    setState(NOTHING);
    void follow(callId, stop.signal, (events) => setState((old) => ({ ...old, broken: false, error: null, events: [...old.events, ...events] })), (error) => setState((old) => ({ ...old, over: !error, broken: !!error, error })));
    return () => stop.abort();
  }, [callId]);
  return state;
}

async function follow(callId: string, signal: AbortSignal, tell: (events: CallEvent[]) => void, ended: (error: unknown) => void) {
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
          ended(null);
          return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      ended(error);
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}
