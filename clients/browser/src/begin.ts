// A call by a publishable token: asked for by the page itself, of the Chorus server.
import type { Begun } from "./protocol.js";

/** The server does not begin the call; `code` is the API's, or "unreachable". */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly retryAfterS = 0,
  ) {
    super(message);
  }
}

/** `server` is where Chorus is reached; without it, whence this file came. Throws `Refused`. */
export async function beginWith(token: string, server: string = new URL(import.meta.url).origin): Promise<Begun> {
  let answer: Response;
  try {
    // No body and no headers of its own: the browser need not ask first whether it may.
    answer = await fetch(new URL(`/v1/publishable-tokens/${encodeURIComponent(token)}/calls`, server), { method: "POST", credentials: "omit" });
  } catch {
    throw new Refused("unreachable", "The server cannot be reached.");
  }
  const said = (await answer.json().catch(() => ({}))) as { data?: Begun; error?: string; code?: string; retryAfter?: number };
  if (!answer.ok || !said.data) throw new Refused(said.code ?? "failed", said.error ?? `The call was refused (${answer.status}).`, said.retryAfter);
  return said.data;
}
