// Agents, as several pages ask for them.
import { useQuery } from "@tanstack/react-query";
import { allAgents } from "./all";
import { api, body, data } from "./client";

/** How many of an agent's latest calls say which variables it is given. */
const SEEN_CALLS = 20;
export const STATS_DAYS = 30;
export const AGENTS_A_PAGE = 50;

export const agentQuery = (id: string) => ({
  queryKey: ["agent", id],
  queryFn: () => data(api.GET("/v1/agents/{id}", { params: { path: { id } } })),
});

/** A page of the list of agents. */
export const agentsQuery = (search = "", offset = 0) => ({
  queryKey: ["agents", search, offset],
  queryFn: () => body(api.GET("/v1/agents", { params: { query: { search: search || undefined, limit: AGENTS_A_PAGE, offset } } })),
});

export const agentNamesQuery = {
  queryKey: ["agents", "names"],
  staleTime: 60_000,
  queryFn: async () => new Map((await allAgents()).map((each) => [each.id, each.name] as const)),
};

export function useAgentNames(): Map<string, string> {
  return useQuery(agentNamesQuery).data ?? new Map();
}

/** The names of variables that the agent's latest calls gave. */
export const givenVariablesQuery = (agentId: string) => ({
  queryKey: ["calls", "variables", agentId],
  staleTime: 60_000,
  queryFn: async () => (await body(api.GET("/v1/calls", { params: { query: { agentId, limit: SEEN_CALLS } } }))).data.flatMap((call) => Object.keys(call.contextVariables ?? {})),
});

/** How an agent did in the last `STATS_DAYS` days. */
export const agentStatsQuery = (agentId: string) => ({
  queryKey: ["stats", "agent", agentId],
  staleTime: 60_000,
  queryFn: () => data(api.GET("/v1/call-stats", { params: { query: { agentId, from: new Date(Date.now() - STATS_DAYS * 86_400_000).toISOString() } } })),
});
