// One agent, as every page asks for it.
import { api, data } from "./client";

export const agentQuery = (id: string) => ({
  queryKey: ["agent", id],
  queryFn: () => data(api.GET("/v1/agents/{id}", { params: { path: { id } } })),
});
