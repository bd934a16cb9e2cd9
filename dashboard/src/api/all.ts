// Lists of which a page needs everything: names for ids, and what can be chosen.
import { api, body } from "./client";

const PAGE = 100; // the most that the API gives at once
const AT_ONCE = 4;
const MOST = 10_000;

type Page<T> = { data: T[]; pagination: { total: number } };

/** Page after page, the newest `MOST` if there are more. */
export async function everything<T extends { id: string }>(page: (query: { limit: number; offset: number }) => Promise<Page<T>>): Promise<T[]> {
  const first = await page({ limit: PAGE, offset: 0 });
  const found = new Map(first.data.map((each) => [each.id, each]));
  const end = Math.min(first.pagination.total, MOST);
  for (let from = PAGE; from < end; from += PAGE * AT_ONCE) {
    const offsets = Array.from({ length: AT_ONCE }, (_, n) => from + n * PAGE).filter((offset) => offset < end);
    // What is made meanwhile moves the others: some come twice.
    for (const { data } of await Promise.all(offsets.map((offset) => page({ limit: PAGE, offset })))) for (const each of data) found.set(each.id, each);
  }
  return [...found.values()];
}

export const allVoices = () => everything((query) => body(api.GET("/v1/voices", { params: { query } })));
export const allAgents = () => everything((query) => body(api.GET("/v1/agents", { params: { query } })));
export const allModels = () => everything((query) => body(api.GET("/v1/slm-models", { params: { query } })));

export const numbersQuery = { queryKey: ["numbers", "all"], queryFn: () => everything((query) => body(api.GET("/v1/phone-numbers", { params: { query } }))) };
export const toolsQuery = { queryKey: ["tools", "all"], queryFn: () => everything((query) => body(api.GET("/v1/tools", { params: { query } }))) };
export const basesQuery = { queryKey: ["knowledge-bases", "all"], queryFn: () => everything((query) => body(api.GET("/v1/knowledge-bases", { params: { query } }))) };
export const keysQuery = { queryKey: ["keys"], queryFn: () => everything((query) => body(api.GET("/v1/api-keys", { params: { query } }))) };
export const membersQuery = { queryKey: ["members"], queryFn: () => everything((query) => body(api.GET("/v1/members", { params: { query } }))) };
export const tokensQuery = { queryKey: ["publishable-tokens"], queryFn: () => everything((query) => body(api.GET("/v1/publishable-tokens", { params: { query } }))) };
export const providerKeysQuery = { queryKey: ["provider-keys"], queryFn: () => everything((query) => body(api.GET("/v1/provider-keys", { params: { query } }))) };
export const endpointsQuery = { queryKey: ["endpoints"], queryFn: () => everything((query) => body(api.GET("/v1/webhook-endpoints", { params: { query } }))) };
