// Server-sent events by fetch. (Not EventSource: it tells neither which kinds there are nor why a
// request failed.)
import { fetched } from "./client";

type Sse = { kind: string; data: unknown };

/** What one request is sent, piece by piece as it comes, until the server closes it. Throws where
    it breaks off, and `ApiError` where it is refused. */
export async function* received(path: string, signal: AbortSignal, headers: Record<string, string> = {}): AsyncGenerator<Sse[]> {
  const answer = await fetched(path, { signal, headers: { ...headers, Accept: "text/event-stream" } });
  if (answer.body) yield* eventsOf(answer.body);
}

/** The events of a body, piece by piece as it comes. */
export async function* eventsOf(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Sse[]> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop() ?? "";
      const events: Sse[] = [];
      for (const block of blocks) {
        const kind = /^event: (.*)$/m.exec(block)?.[1];
        const text = /^data: (.*)$/m.exec(block)?.[1];
        if (kind && text) events.push({ kind, data: JSON.parse(text) });
      }
      if (events.length) yield events;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
