// The messages of a browser's call, as docs/browser-calls.md has them.

export type Format = "pcm16/16000" | "pcm16/24000" | "mulaw/8000";

/** What `POST /v1/calls/test` answers, in its `data`. */
export type Begun = { callId: string; url: string; token: string };

export type Started = {
  type: "started";
  callId: string;
  format: Format;
  epoch: number;
  resumeToken: string;
  resumeWithinMs: number;
};

export type Happening = { kind: string; atMs: number; data: Record<string, unknown> };

export type Reason = "ended" | "hung_up" | "lost" | "failed" | "refused" | "not_here" | "taken_over";

export type Told =
  | Started
  | { type: "clear"; epoch: number }
  | ({ type: "event" } & Happening)
  | { type: "pong"; t: number }
  | { type: "ended"; reason: Reason; detail: string };

/** What the worklet reports. */
export type Playhead = {
  played: number;
  received: number;
  epoch: number;
  plays: boolean;
  level: number;
  late: number;
  dropped: number;
};

export function parts(format: Format): { encoding: string; rate: number; bytes: number } {
  const [encoding = "", rate = ""] = format.split("/");
  return { encoding, rate: Number(rate), bytes: encoding === "pcm16" ? 2 : 1 };
}
