// A call's events, read into what the page draws: lines of the conversation, marks on the time
// axis, and the latencies of its turns. `atMs` counts from when the call was answered, as does the
// recording.
import type { CallEvent } from "../api/stream";
import { ms } from "../words";

export type Line =
  | { kind: "said"; who: "caller" | "agent"; seq: number; turn: number | null; from: number; to: number; text: string; unsaid?: string; estimated?: boolean; interrupted?: boolean; retracted?: boolean; latency?: number }
  | { kind: "tool"; seq: number; from: number; to: number | null; name: string; arguments: unknown; result: unknown; ok: boolean | null; status: unknown }
  | { kind: "note"; seq: number; from: number; tone: "" | "bad" | "warn" | "accent"; what: string; text: string };

export type Mark = { at: number; to?: number; kind: "tool" | "bad" | "operator" | "digit" | "transfer"; text: string };
export type Span = { who: "caller" | "agent"; from: number; to: number; cut?: boolean; unheard?: boolean };

export const STAGES = ["detector", "words", "verdict", "committed", "token", "audio", "sent"] as const;
export type Stage = (typeof STAGES)[number];
export type Turn = { turn: number; endedMs: number; at: Partial<Record<Stage, number>> };

/** What was looked up for one answer. */
export type Lookup = { turn: number | null; at: number; question: string; elapsedMs: number | undefined; late: boolean; passages: { chunkId: string; documentId: string; document: string; heading: string; page: number | null; text: string }[] };

export type Conversation = { lookups: Lookup[]; lines: Line[]; marks: Mark[]; spans: Span[]; turns: Turn[]; drafts: { at: number; used: boolean | null; turn: number }[]; endMs: number; /** The caller's side has it on hold. */ held: boolean };

const text = (value: unknown): string => (typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value));
const num = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

export function read(events: CallEvent[]): Conversation {
  const lines: Line[] = [];
  const marks: Mark[] = [];
  const spans: Span[] = [];
  const lookups: Lookup[] = [];
  const turns: Turn[] = [];
  const drafts: Conversation["drafts"] = [];
  const began = new Map<number, number>();
  const paused = new Map<number, number>();
  const replies: { turn: number | null; at: number }[] = [];
  const tools = new Map<string, Extract<Line, { kind: "tool" }>>();
  let endMs = 0;
  let held = false;
  const note = (event: CallEvent, tone: "" | "bad" | "warn" | "accent", what: string, said = "") => lines.push({ kind: "note", seq: event.seq, from: event.atMs, tone, what, text: said });
  for (const event of events) {
    const { kind, data, atMs, seq } = event;
    const turn = num(data.turn) ?? null;
    endMs = Math.max(endMs, atMs);
    switch (kind) {
      case "speech_started":
        if (turn !== null && !began.has(turn)) began.set(turn, Math.max(0, num(data.onsetMs) ?? atMs));
        break;
      case "speech_paused":
        if (turn !== null) paused.set(turn, atMs);
        break;
      case "draft_started":
        drafts.push({ at: atMs, used: null, turn: turn ?? -1 });
        break;
      case "turn_committed": {
        const from = (turn !== null ? began.get(turn) : undefined) ?? Math.max(0, atMs - 1000);
        const to = Math.max(from + 200, (turn !== null ? paused.get(turn) : undefined) ?? atMs);
        lines.push({ kind: "said", who: "caller", seq, turn, from, to, text: text(data.text) });
        spans.push({ who: "caller", from, to });
        const mine = drafts.filter((draft) => draft.turn === turn && draft.used === null);
        mine.forEach((draft, n) => (draft.used = data.drafted === true && n === mine.length - 1));
        if (turn !== null) began.delete(turn);
        break;
      }
      case "turn_unanswered":
        lines.push({ kind: "said", who: "caller", seq, turn, from: Math.max(0, atMs - 1500), to: atMs, text: text(data.text) });
        break;
      case "retracted": {
        const line = lines.findLast((each) => each.kind === "said" && each.who === "caller" && each.turn === turn);
        if (line?.kind === "said") line.retracted = true;
        break;
      }
      case "reply_started":
        replies.push({ turn, at: atMs });
        break;
      case "reply_heard": {
        const at = replies.findLastIndex((each) => each.turn === turn);
        const from = at >= 0 ? (replies.splice(at, 1)[0]?.at ?? atMs) : Math.max(0, atMs - (num(data.heardMs) ?? 0));
        const to = Math.max(from, Math.min(atMs, from + (num(data.heardMs) ?? atMs - from)));
        const unsaid = text(data.unsaid);
        lines.push({ kind: "said", who: "agent", seq, turn, from, to, text: text(data.heard), unsaid: unsaid || undefined, estimated: data.estimated === true, interrupted: data.interrupted === true });
        spans.push({ who: "agent", from, to, cut: data.interrupted === true });
        break;
      }
      case "turn_latency": {
        const found: Turn = { turn: turn ?? -1, endedMs: num(data.speechEndedAtMs) ?? atMs, at: {} };
        for (const stage of STAGES) found.at[stage] = num(data[`${stage}Ms`]);
        turns.push(found);
        break;
      }
      case "tool_called": {
        const line: Line = { kind: "tool", seq, from: atMs, to: null, name: text(data.name), arguments: data.arguments, result: undefined, ok: null, status: undefined };
        tools.set(text(data.id), line);
        lines.push(line);
        break;
      }
      case "tool_result": {
        const line = tools.get(text(data.id));
        if (line) {
          line.to = line.from + (num(data.elapsedMs) ?? atMs - line.from);
          line.result = data.result;
          line.ok = data.ok === true;
          line.status = data.status;
          marks.push({ at: line.from, to: line.to, kind: line.ok ? "tool" : "bad", text: line.name });
        }
        break;
      }
      case "knowledge_found":
        lookups.push({ turn, at: atMs, question: text(data.question), elapsedMs: num(data.elapsedMs), late: data.late === true, passages: passages(data.passages) });
        break;
      case "filler":
        note(event, "", "filler", text(data.text));
        break;
      case "engine_hedged":
        note(event, "", "engine_hedged", [text(data.vendor), text(data.by), ms(num(data.waitedMs))].join(" · "));
        break;
      case "engine_failed":
        note(event, "bad", "engine_failed", [text(data.vendor), text(data.stage), text(data.detail), text(data.remedy)].filter(Boolean).join(" · "));
        marks.push({ at: atMs, kind: "bad", text: text(data.detail) });
        break;
      case "recording_failed":
      case "background_failed":
      case "analysis_failed":
        note(event, "warn", kind, text(data.detail ?? data.reason));
        break;
      case "variables_missing":
        note(event, "warn", kind, Array.isArray(data.names) ? data.names.join(", ") : "");
        break;
      case "operator_said":
      case "operator_note":
        note(event, "accent", kind, text(data.text));
        marks.push({ at: atMs, kind: "operator", text: text(data.text) });
        break;
      case "supervisor_joined":
      case "supervisor_left":
      case "supervisor_mode":
      case "supervision_refused":
        note(event, kind === "supervision_refused" ? "warn" : "accent", kind, [text(data.mode), text(data.by), text(data.detail)].filter(Boolean).join(" · "));
        marks.push({ at: atMs, kind: "operator", text: text(data.mode) });
        break;
      case "digit":
        note(event, "", kind, text(data.digit));
        marks.push({ at: atMs, kind: "digit", text: text(data.digit) });
        break;
      case "answered_by":
        note(event, "", kind, text(data.who));
        break;
      case "answered":
        note(event, "", kind);
        break;
      case "ended":
        note(event, "", kind, [text(data.reason), text(data.detail)].filter(Boolean).join(" · "));
        break;
      default:
        if (kind === "leg_held" || kind === "leg_resumed") {
          if (data.leg === "caller") held = kind === "leg_held";
          note(event, "accent", kind, data.leg === "caller" ? "" : text(data.leg));
          marks.push({ at: atMs, kind: "transfer", text: kind });
        } else if (kind.startsWith("transfer") || kind.startsWith("hold") || kind.startsWith("takeover")) {
          note(event, "accent", kind, text(data.detail ?? data.status ?? data.name));
          marks.push({ at: atMs, kind: "transfer", text: kind });
        }
    }
  }
  for (const reply of replies) {
    // Still being spoken.
    lines.push({ kind: "said", who: "agent", seq: Number.MAX_SAFE_INTEGER, turn: reply.turn, from: reply.at, to: endMs, text: "…" });
  }
  for (const turn of turns) {
    const line = lines.find((each) => each.kind === "said" && each.who === "agent" && each.turn === turn.turn && each.from >= turn.endedMs - 50);
    if (line?.kind === "said") line.latency = turn.at.sent;
  }
  lines.sort((a, b) => a.from - b.from || a.seq - b.seq);
  return { lookups, lines, marks, spans, turns, drafts, endMs, held };
}

function passages(value: unknown): Lookup["passages"] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each: unknown) => {
    if (typeof each !== "object" || each === null) return [];
    const { chunkId, documentId, document, heading, page, text: said } = each as Record<string, unknown>;
    return [{ chunkId: text(chunkId), documentId: text(documentId), document: text(document), heading: Array.isArray(heading) ? heading.join(" › ") : text(heading), page: num(page) ?? null, text: text(said) }];
  });
}

/** The value below which `share` of the values are. */
export function quantile(values: number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? null;
}

export function latencies(turns: Turn[]): number[] {
  return turns.flatMap((turn) => (turn.at.sent === undefined ? [] : [turn.at.sent]));
}

/** The conversation as text, to be pasted elsewhere. */
export function asText(lines: Line[], names: { caller: string; agent: string }): string {
  return lines
    .flatMap((line) => (line.kind === "said" ? [`${names[line.who]}: ${line.text}${line.unsaid ? ` [${line.unsaid}]` : ""}`] : []))
    .join("\n");
}
