// The API as its document types it. Every answer is either its `data` or an ApiError thrown.
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.gen";

export type Schemas = components["schemas"];

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string,
    readonly details: { field: string; message: string }[],
    readonly retryAfter?: number,
    /** Of a log-in that wants a code of the second factor too. */
    readonly challenge?: string,
  ) {
    super(message);
  }

  /** What is wrong with a field of the request, if anything is. */
  of(field: string): string | undefined {
    return this.details.find((d) => d.field === field || d.field.startsWith(`${field}.`))?.message;
  }
}

const ours: Middleware = {
  onRequest({ request }) {
    request.headers.set("X-Chorus-Request", "1");
    return request;
  },
};

export const api = createClient<paths>({ baseUrl: window.location.origin });
api.use(ours);

type Answer = { data?: unknown; error?: unknown; response: Response };
type Body<A> = A extends { data?: infer D } ? NonNullable<D> : never;

let expired: () => void = () => {};
/** Told when a request finds that the session has ended. */
export function onExpired(tell: () => void) {
  expired = tell;
}

/** The whole body of the answer: `{data}` or `{data, pagination}`. */
export async function body<A extends Answer>(asked: Promise<A>): Promise<Body<A>> {
  let answer: A;
  try {
    answer = await asked;
  } catch (reason) {
    if (reason instanceof DOMException && reason.name === "AbortError") throw reason;
    throw new ApiError(0, "unreachable", "The server cannot be reached.", "", []);
  }
  if (answer.error !== undefined || !answer.response.ok) {
    const told = (answer.error ?? {}) as Partial<Schemas["Failure"]> & { challenge?: string };
    const status = answer.response.status;
    if (status === 401 && told.code === "invalid_api_key") expired();
    throw new ApiError(
      status,
      told.code ?? `http_${status}`,
      told.error ?? answer.response.statusText,
      told.requestId ?? answer.response.headers.get("x-request-id") ?? "",
      told.details ?? [],
      told.retryAfter,
      told.challenge,
    );
  }
  return answer.data as Body<A>;
}

/** What is in the answer's envelope. */
export async function data<A extends Answer>(asked: Promise<A>): Promise<Body<A> extends { data: infer D } ? D : never> {
  return ((await body(asked)) as { data: unknown }).data as never;
}
