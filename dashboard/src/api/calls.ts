// Calls and their sums, as several pages ask for them, and as they are asked for ahead of a page.
import { api, body, data, type Schemas } from "./client";
import { dayBegins, dayEnds } from "./days";

export type Listed = Schemas["ListedCall"];

/** How many calls are being talked on now. */
export const liveCount = {
  queryKey: ["calls", "live-count"],
  queryFn: async () => (await body(api.GET("/v1/calls", { params: { query: { status: "in_progress", limit: 1 } } }))).pagination.total,
  refetchInterval: 5_000,
};

/** How many calls there ever were. */
export const everQuery = {
  queryKey: ["calls", "any"],
  queryFn: async () => (await body(api.GET("/v1/calls", { params: { query: { limit: 1 } } }))).pagination.total,
};

export const callQuery = (id: string) => ({
  queryKey: ["call", id],
  queryFn: () => data(api.GET("/v1/calls/{id}", { params: { path: { id } } })),
});

/** What the address of the list says. */
export type Filters = { q?: string; status?: string; direction?: string; agent?: string; number?: string; reason?: string; from?: string; to?: string; hide?: string; after?: string };

export const CALLS_A_PAGE = 50;

export function filtersOf(search: Filters) {
  return {
    search: search.q === undefined ? undefined : String(search.q),
    status: search.status as Listed["status"] | undefined,
    direction: search.direction as Listed["direction"] | undefined,
    agentId: search.agent,
    phoneNumberId: search.number,
    endedReason: search.reason,
    from: dayBegins(search.from),
    to: dayEnds(search.to),
  };
}

export const callsQuery = (search: Filters) => ({
  queryKey: ["calls", search],
  queryFn: () => body(api.GET("/v1/calls", { params: { query: { ...filtersOf(search), limit: CALLS_A_PAGE, after: search.after } } })),
});

/** Days that Home can look back, and by what it shows them. */
export const RANGES = { "1": "hour", "7": "day", "30": "day", "90": "day" } as const;
export type Range = keyof typeof RANGES;

export function rangeOf(days: string | number | undefined): Range {
  const wanted = String(days ?? "7");
  return wanted in RANGES ? (wanted as Range) : "7";
}

export const statsQuery = (range: Range) => ({
  queryKey: ["stats", range],
  queryFn: () => data(api.GET("/v1/call-stats", { params: { query: { from: new Date(Date.now() - Number(range) * 86_400_000).toISOString(), interval: RANGES[range] } } })),
});
