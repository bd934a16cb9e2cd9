// What an agent can be made of: models, voices, transcribers and sounds. They change with the server's
// settings and with keys of vendors, so rarely that a page keeps them for minutes.
import { allModels, allVoices } from "./all";
import { api, body } from "./client";

const LONG_MS = 600_000;

export const modelsQuery = { queryKey: ["slm-models", "all"], staleTime: LONG_MS, queryFn: allModels };
export const voicesQuery = { queryKey: ["voices", "all"], staleTime: LONG_MS, queryFn: allVoices };
export const earsQuery = { queryKey: ["transcribers"], staleTime: LONG_MS, queryFn: async () => (await body(api.GET("/v1/transcribers", { params: { query: { limit: 100 } } }))).data };
export const soundsQuery = { queryKey: ["sounds"], staleTime: LONG_MS, queryFn: async () => (await body(api.GET("/v1/background-sounds", { params: { query: { limit: 100 } } }))).data };

/** What calls have with an id, or with the default. */
export function chosenOf<T extends { id: string; isDefault: boolean }>(all: T[] | undefined, id: string | null): T | undefined {
  return all?.find((each) => (id ? each.id === id : each.isDefault));
}
