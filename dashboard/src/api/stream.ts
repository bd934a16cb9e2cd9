// A call's events as a stream: all that was, what comes, and the end. Asked for again from where
// it broke off. (Not EventSource: it tells neither which kinds there are nor why a request failed.)
import { useEffect, useState } from "react";
import type { Schemas } from "./client";

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
      const answer = await fetch(`/v1/calls/${encodeURIComponent(callId)}/events?stream=true`, { signal, headers: { "Last-Event-ID": String(last), Accept: "text/event-stream" } });
      if (!answer.ok || !answer.body) throw new Error(String(answer.status));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop() ?? "";
        const events: CallEvent[] = [];
        let over = false;
        for (const block of blocks) {
          const kind = /^event: (.*)$/m.exec(block)?.[1];
          const text = /^data: (.*)$/m.exec(block)?.[1];
          if (kind === "end") over = true;
          else if (text) events.push(JSON.parse(text) as CallEvent);
        }
        if (events.length) {
          last = events[events.length - 1]?.seq ?? last;
          tell(events);
        }
        if (over) {
          ended(false);
          await reader.cancel();
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
