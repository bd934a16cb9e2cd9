// What stands around every page: where one can go, search, and who is logged in.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useDeferredValue, useEffect, useState } from "react";
import { liveCount } from "./api/calls";
import { api, data } from "./api/client";
import { queries, useSession } from "./api/session";
import { OpenMenu, useOpening } from "./parts/open";
import { Button, Waiting } from "./parts/basic";
import { failed } from "./parts/toasts";
import { Icon, type IconName, Mark } from "./parts/icons";
import { applyTheme, theme, type Theme } from "./theme";
import { LOCALES, type Key, type Locale, locale, number, speak, t } from "./words";

const PLACES: { to: "/" | "/agents" | "/calls" | "/live" | "/numbers" | "/tools" | "/knowledge"; icon: IconName; word: Key }[] = [
  { to: "/", icon: "home", word: "nav.home" },
  { to: "/agents", icon: "agents", word: "nav.agents" },
  { to: "/calls", icon: "calls", word: "nav.calls" },
  { to: "/live", icon: "live", word: "nav.live" },
  { to: "/numbers", icon: "numbers", word: "nav.numbers" },
  { to: "/tools", icon: "tools", word: "nav.tools" },
  { to: "/knowledge", icon: "knowledge", word: "nav.knowledge" },
];

const Palette = lazy(async () => ({ default: (await import("./parts/palette")).Palette }));

const ORGANIZATION = "chorus-organization";

export function Shell() {
  const [open, setOpen] = useState(false);
  const [searching, setSearching] = useState(false);
  useEffect(() => {
    // Another tab went over to another organization, and with it the cookie of this one.
    const changed = (event: StorageEvent) => event.key === ORGANIZATION && window.location.assign(import.meta.env.BASE_URL);
    window.addEventListener("storage", changed);
    return () => window.removeEventListener("storage", changed);
  }, []);
  // What is around a page is there first, and the page is drawn in pieces (`parts/drawn.ts`).
  const drawn = useDeferredValue(true, false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => setOpen(false), [path]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setSearching((is) => !is);
      }
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t("skip")}
      </a>
      <header className="topbar">
        <Button look="bare" icon="menu" aria-label={t("nav.open")} aria-expanded={open} onPress={() => setOpen(true)} />
        <Link to="/" className="brand">
          <Mark />
          Chorus
        </Link>
        <Button look="bare" icon="search" aria-label={t("search")} onPress={() => setSearching(true)} />
      </header>
      {open && <button type="button" className="veil" aria-label={t("close")} onClick={() => setOpen(false)} />}
      <aside className="side" data-open={open || undefined}>
        <Link to="/" className="brand">
          <Mark />
          Chorus
        </Link>
        <button type="button" className="find" onClick={() => setSearching(true)}>
          <Icon name="search" />
          <span className="grow">{t("search")}</span>
          <kbd>{navigator.platform.startsWith("Mac") ? "⌘K" : "Ctrl K"}</kbd>
        </button>
        <Places />
        <footer>
          <nav aria-label={t("nav.settings")}>
            <Link to="/settings/$section" params={{ section: "organization" }} activeProps={{ "data-status": "active" }} data-status={path.includes("/settings") ? "active" : undefined}>
              <Icon name="settings" />
              {t("nav.settings")}
            </Link>
          </nav>
          <Who />
        </footer>
      </aside>
      <main id="content" tabIndex={-1} style={{ outline: "none", minWidth: 0 }}>
        <Suspense fallback={<div className="page"><Waiting /></div>}>
          {drawn ? <Outlet /> : <div className="page"><Waiting /></div>}
        </Suspense>
      </main>
      {searching && (
        <Suspense fallback={null}>
          <Palette onClose={() => setSearching(false)} />
        </Suspense>
      )}
    </div>
  );
}

function Places() {
  const live = useQuery(liveCount).data ?? 0;
  return (
    <nav aria-label={t("nav.main")}>
      {PLACES.map((place) => (
        <Link key={place.to} to={place.to} activeOptions={{ exact: place.to === "/", includeSearch: false }}>
          <Icon name={place.icon} />
          <span className="grow">{t(place.word)}</span>
          {place.to === "/live" && live > 0 && (
            <span className="badge accent">
              <span className="live-dot" />
              {number(live)}
            </span>
          )}
        </Link>
      ))}
    </nav>
  );
}

function Who() {
  const me = useSession();
  const navigate = useNavigate();
  const leave = useMutation({
    mutationFn: () => data(api.DELETE("/v1/sessions/current")),
    onSuccess: async () => {
      queries.clear();
      await navigate({ to: "/login", search: {} });
    },
    onError: failed,
  });
  // Everything on the page is of the organization that was left, so the page is loaded anew.
  const go = useMutation({
    mutationFn: (organizationId: string) => data(api.POST("/v1/sessions/switch", { body: { organizationId } })),
    onSuccess: (entered) => {
      localStorage.setItem(ORGANIZATION, entered.organization.id);
      window.location.assign(import.meta.env.BASE_URL);
    },
    onError: failed,
  });
  const name = me.member.name ?? me.member.email;
  const act = (key: string) => {
    if (key === "out") leave.mutate();
    else if (key.startsWith("organization-")) go.mutate(key.slice(13));
    else if (key === "api") window.open("/docs", "_blank", "noreferrer");
    else if (key.startsWith("theme-")) applyTheme(key.slice(6) as Theme);
    else void speak(key as Locale);
  };
  const { open, close, trigger, button } = useOpening("menu");
  const sections = [
    { title: t("theme"), chosen: `theme-${theme()}`, entries: (["system", "light", "dark"] as const).map((each) => ({ id: `theme-${each}`, label: t(`theme.${each}`) })) },
    { title: t("language"), chosen: locale() as string, entries: Object.entries(LOCALES).map(([id, label]) => ({ id, label })) },
    ...(me.organizations.length > 1 ? [{ title: t("organizations"), chosen: `organization-${me.organization.id}`, entries: me.organizations.map((each) => ({ id: `organization-${each.id}`, label: each.name })) }] : []),
    { title: me.member.email, entries: [{ id: "api", label: t("nav.api") }, { id: "out", label: t("logout") }] },
  ];
  return (
    <>
      <button {...button} className="who">
        <span className="face" aria-hidden="true">
          {name.slice(0, 2).toUpperCase()}
        </span>
        <span className="grow">
          <span className="cut" style={{ display: "block", fontWeight: 550 }}>{name}</span>
          <span className="cut small quiet" style={{ display: "block" }}>{me.organization.name}</span>
        </span>
      </button>
      {open && (
        <Suspense fallback={null}>
          <OpenMenu trigger={trigger} label={t("nav.account")} placement="top start" onClose={close} sections={sections} onAct={act} />
        </Suspense>
      )}
    </>
  );
}
