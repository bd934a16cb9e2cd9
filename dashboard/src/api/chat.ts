// An agent that is written to: the answer comes as server-sent events.
import { fetched, type Schemas } from "./client";
import { eventsOf } from "./sse";

export type ChatMessage = Schemas["ChatMessage"];

export type ChatEvent =
  | { kind: "text"; data: { delta: string } }
  | { kind: "tool_call"; data: { id: string; name: string; arguments: string } }
  | { kind: "tool_result"; data: { id: string; name: string; ok: boolean; elapsedMs: number; result: unknown } }
  | { kind: "error"; data: { detail: string; spoken: string | null } }
  | { kind: "done"; data: { messages: ChatMessage[]; endsCall: boolean; firstTextMs: number | null } };

/** Throws `ApiError`. */
export async function chat(agentId: string, body: Schemas["ChatRequest"], signal: AbortSignal, tell: (event: ChatEvent) => void): Promise<void> {
  const answer = await fetched(`/v1/agents/${encodeURIComponent(agentId)}/chat`, {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json", "X-Chorus-Request": "1" },
    body: JSON.stringify(body),
  });
  if (answer.body) for await (const events of eventsOf(answer.body)) for (const event of events) tell(event as ChatEvent);
}
