// Who is logged in, and what that role may do (`accounts/permissions.py` decides; this only hides
// what would be refused).
import { QueryClient, useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { ApiError, api, data } from "./client";

export type Role = "viewer" | "developer" | "admin" | "owner";
const ORDER: Role[] = ["viewer", "developer", "admin", "owner"];

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (count, error) => count < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status === 503),
      refetchOnWindowFocus: true,
    },
  },
});

export const session = {
  queryKey: ["session"],
  queryFn: () => data(api.GET("/v1/sessions/current")),
  staleTime: 60_000,
} as const;

export function useSession() {
  return useSuspenseQuery(session).data;
}

export function useMay(least: Role): boolean {
  const found = useQuery(session).data;
  return !!found && ORDER.indexOf(found.member.role as Role) >= ORDER.indexOf(least);
}
