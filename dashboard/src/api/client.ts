// The API as its document types it. Every answer is either its `data` or an ApiError thrown.
import createClient, { type Middleware } from "openapi-fetch";
import { t } from "../words";
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
    /** Of a log-in whose organization wants its identity provider asked. */
    readonly organizationId?: string,
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
    throw unreachable();
  }
  if (answer.error !== undefined || !answer.response.ok) {
    throw failureOf(answer.response, answer.error);
  }
  return answer.data as Body<A>;
}

type Told = Partial<Schemas["Failure"]> & { challenge?: string; organizationId?: string };

/** What an answer that is no success says. Something between here and the server, such as a proxy,
    does not speak of it as the API does. */
function failureOf(response: Response, said: unknown): ApiError {
  const told = (typeof said === "object" && said !== null ? said : {}) as Told;
  const { status } = response;
  if (status === 401 && told.code === "invalid_api_key") expired();
  return new ApiError(
    status,
    told.code ?? `http_${status}`,
    told.error ?? t("error.http", { status: String(status) }),
    told.requestId ?? response.headers.get("x-request-id") ?? "",
    told.details ?? [],
    told.retryAfter,
    told.challenge,
    told.organizationId,
  );
}

function unreachable(): ApiError {
  return new ApiError(0, "unreachable", t("error.unreachable"), "", []);
}

/** What is not asked for by `api`: files and streams. Throws `ApiError`, and as `fetch` does where
    it is stopped. */
export async function fetched(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch (reason) {
    if (init.signal?.aborted) throw reason;
    throw unreachable();
  }
  if (!answer.ok) throw failureOf(answer, await answer.json().catch(() => null));
  return answer;
}

/** What is in the answer's envelope. */
export async function data<A extends Answer>(asked: Promise<A>): Promise<Body<A> extends { data: infer D } ? D : never> {
  return ((await body(asked)) as { data: unknown }).data as never;
}
