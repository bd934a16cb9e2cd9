// What pages ask for first, so that it is asked for while their code is on its way: on a telephone
// each thing that waits for another costs a fifth of a second. What is here and is not needed any
// more costs a request; what is forgotten is asked for by its page as ever.
import type { FetchQueryOptions } from "@tanstack/react-query";
import { agentNamesQuery, agentQuery, agentStatsQuery, agentsQuery, givenVariablesQuery } from "./agent";
import { membersQuery, numbersQuery } from "./all";
import { callQuery, callsQuery, everQuery, type Filters, liveCount, rangeOf, statsQuery } from "./calls";
import { earsQuery, modelsQuery, voicesQuery } from "./catalogue";
import { queries } from "./session";

type Search = Record<string, unknown>;
// biome-ignore lint: each has an answer of its own
type Asked = FetchQueryOptions<any, any, any, any>;

/** By the address of a page, with its `$id` and its parameters. */
const PAGES: Record<string, (id: string, search: Search) => Asked[]> = {
  "/": (_, search) => [numbersQuery, statsQuery(rangeOf(search.days as string | undefined)), everQuery, agentsQuery(), modelsQuery, membersQuery, liveCount],
  "/agents": (_, search) => [agentsQuery(search.q as string | undefined, Number(search.offset) || 0)],
  "/agents/$id": (id) => [agentQuery(id), modelsQuery, voicesQuery, earsQuery, givenVariablesQuery(id), agentStatsQuery(id)],
  "/calls": (_, search) => [callsQuery(search as Filters), agentNamesQuery, numbersQuery],
  "/calls/$id": (id) => [callQuery(id)],
};

/** Asks for what the page at a route will ask for. What fails is asked for again by the page. */
export function askAhead(path: string, id: string | undefined, search: Search): void {
  for (const query of PAGES[path]?.(id ?? "", search) ?? []) void queries.prefetchQuery(query);
}
