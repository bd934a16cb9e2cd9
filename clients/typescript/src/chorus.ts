// A client of Chorus: `schema.gen.ts` is generated from the server's document (see README.md).

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.gen.js";

export type Chorus = Client<paths>;
export type Failure = components["schemas"]["Failure"];

export class ChorusError extends Error {
  constructor(
    readonly status: number,
    readonly failure: Failure,
  ) {
    super(`${failure.error} (${failure.code}, request ${failure.requestId})`);
  }
}

export function chorus(baseUrl: string, key: string): Chorus {
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
}

/** What the server answered with, or its refusal as an exception. */
export function unwrap<T>(answer: { data?: T; error?: Failure; response: Response }): T {
  if (answer.error !== undefined) throw new ChorusError(answer.response.status, answer.error);
  if (answer.data === undefined) throw new Error(`an empty answer: ${answer.response.status}`);
  return answer.data;
}
