// Every address of the dashboard. Pages come in pieces of their own; what is needed to draw the
// first is asked for while its code is still on the way.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import "./api/arrived";
import { ApiError } from "./api/client";
import { queries, session } from "./api/session";
import { Crash, NotFound } from "./pages/wrong";
import { Shell } from "./shell";

const root = createRootRoute({ notFoundComponent: NotFound, errorComponent: Crash });

const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  component: Shell,
  errorComponent: Crash,
  beforeLoad: async ({ location }) => {
    try {
      await queries.ensureQueryData(session);
    } catch (reason) {
      if (reason instanceof ApiError && reason.status === 401) throw redirect({ to: "/login", search: { next: location.href } });
      throw reason;
    }
  },
});

// Search parameters are kept as they are: each page reads its own.
type Search = Record<string, unknown>;
const any = (search: Search): Search => search;

const home = createRoute({ getParentRoute: () => inside, path: "/", component: lazyRouteComponent(() => import("./pages/home"), "Home"), validateSearch: any });
const agents = createRoute({ getParentRoute: () => inside, path: "/agents", component: lazyRouteComponent(() => import("./pages/agents"), "Agents"), validateSearch: any });
const agent = createRoute({ getParentRoute: () => inside, path: "/agents/$id", component: lazyRouteComponent(() => import("./pages/agent"), "AgentPage"), validateSearch: any });
const calls = createRoute({ getParentRoute: () => inside, path: "/calls", component: lazyRouteComponent(() => import("./pages/calls"), "Calls"), validateSearch: any });
const call = createRoute({ getParentRoute: () => inside, path: "/calls/$id", component: lazyRouteComponent(() => import("./pages/call"), "CallPage"), validateSearch: any });
const live = createRoute({ getParentRoute: () => inside, path: "/live", component: lazyRouteComponent(() => import("./pages/live"), "Live"), validateSearch: any });
const numbers = createRoute({ getParentRoute: () => inside, path: "/numbers", component: lazyRouteComponent(() => import("./pages/numbers"), "Numbers"), validateSearch: any });
const tools = createRoute({ getParentRoute: () => inside, path: "/tools", component: lazyRouteComponent(() => import("./pages/tools"), "Tools"), validateSearch: any });
const bases = createRoute({ getParentRoute: () => inside, path: "/knowledge", component: lazyRouteComponent(() => import("./pages/knowledge"), "Bases"), validateSearch: any });
const base = createRoute({ getParentRoute: () => inside, path: "/knowledge/$id", component: lazyRouteComponent(() => import("./pages/knowledge-base"), "BasePage"), validateSearch: any });
const settings = createRoute({ getParentRoute: () => inside, path: "/settings/$section", component: lazyRouteComponent(() => import("./pages/settings"), "Settings"), validateSearch: any });
const settingsFront = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  beforeLoad: () => {
    throw redirect({ to: "/settings/$section", params: { section: "organization" } });
  },
});

const login = createRoute({ getParentRoute: () => root, path: "/login", component: lazyRouteComponent(() => import("./pages/login"), "Login"), validateSearch: (search: Search): { next?: string; organization?: string } => ({ ...(typeof search.next === "string" && { next: search.next }), ...(typeof search.organization === "string" && { organization: search.organization }) }) });
const returned = createRoute({ getParentRoute: () => root, path: "/sso/$organization", component: lazyRouteComponent(() => import("./pages/sso"), "Returned"), validateSearch: any });
const welcome = createRoute({ getParentRoute: () => root, path: "/welcome", component: lazyRouteComponent(() => import("./pages/welcome"), "Welcome") });
const invitation = createRoute({ getParentRoute: () => root, path: "/invitation", component: lazyRouteComponent(() => import("./pages/welcome"), "Invitation") });

export const router = createRouter({
  routeTree: root.addChildren([inside.addChildren([home, agents, agent, calls, call, live, numbers, tools, bases, base, settings, settingsFront]), login, returned, welcome, invitation]),
  basepath: "/dashboard",
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
