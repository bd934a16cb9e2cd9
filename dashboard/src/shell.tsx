// What stands around every page: where one can go, search, and who is logged in.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { Suspense, useEffect, useState } from "react";
import { MenuTrigger, Menu as AriaMenu, MenuItem, MenuSection } from "react-aria-components/Menu";
import { Button as AriaButton } from "react-aria-components/Button";
import { Header } from "react-aria-components/Header";
import { Popover } from "react-aria-components/Popover";
import { api, body, data } from "./api/client";
import { queries, useSession } from "./api/session";
import { Palette } from "./parts/palette";
import { Button, Waiting } from "./parts/basic";
import { toast } from "./parts/toasts";
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

const ORGANIZATION = "chorus-organization";

/** How many calls are being talked on now. */
export const liveCount = {
  queryKey: ["calls", "live-count"],
  queryFn: async () => (await body(api.GET("/v1/calls", { params: { query: { status: "in_progress", limit: 1 } } }))).pagination.total,
  refetchInterval: 5_000,
};

export function Shell() {
  const [open, setOpen] = useState(false);
  const [searching, setSearching] = useState(false);
  useEffect(() => {
    // Another tab went over to another organization, and with it the cookie of this one.
    const changed = (event: StorageEvent) => event.key === ORGANIZATION && window.location.assign(import.meta.env.BASE_URL);
    window.addEventListener("storage", changed);
    return () => window.removeEventListener("storage", changed);
  }, []);
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
          <Outlet />
        </Suspense>
      </main>
      {searching && <Palette onClose={() => setSearching(false)} />}
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
  });
  // Everything on the page is of the organization that was left, so the page is loaded anew.
  const go = useMutation({
    mutationFn: (organizationId: string) => data(api.POST("/v1/sessions/switch", { body: { organizationId } })),
    onSuccess: (entered) => {
      localStorage.setItem(ORGANIZATION, entered.organization.id);
      window.location.assign(import.meta.env.BASE_URL);
    },
    onError: (error) => toast(error.message),
  });
  const name = me.member.name ?? me.member.email;
  const act = (key: string) => {
    if (key === "out") leave.mutate();
    else if (key.startsWith("organization-")) go.mutate(key.slice(13));
    else if (key === "api") window.open("/docs", "_blank", "noreferrer");
    else if (key.startsWith("theme-")) applyTheme(key.slice(6) as Theme);
    else void speak(key as Locale);
  };
  return (
    <MenuTrigger>
      <AriaButton className="who">
        <span className="face" aria-hidden="true">
          {name.slice(0, 2).toUpperCase()}
        </span>
        <span className="grow">
          <span className="cut" style={{ display: "block", fontWeight: 550 }}>{name}</span>
          <span className="cut small quiet" style={{ display: "block" }}>{me.organization.name}</span>
        </span>
      </AriaButton>
      <Popover className="popover" placement="top start">
        <AriaMenu onAction={(key) => act(String(key))} aria-label={t("nav.account")}>
          <MenuSection selectionMode="single" selectedKeys={[`theme-${theme()}`]}>
            <Header className="menu-title">{t("theme")}</Header>
            {(["system", "light", "dark"] as const).map((each) => (
              <MenuItem key={each} id={`theme-${each}`} className="item">
                {t(`theme.${each}`)}
              </MenuItem>
            ))}
          </MenuSection>
          <MenuSection selectionMode="single" selectedKeys={[locale()]}>
            <Header className="menu-title">{t("language")}</Header>
            {Object.entries(LOCALES).map(([id, label]) => (
              <MenuItem key={id} id={id} className="item">
                {label}
              </MenuItem>
            ))}
          </MenuSection>
          {me.organizations.length > 1 && (
            <MenuSection selectionMode="single" selectedKeys={[`organization-${me.organization.id}`]}>
              <Header className="menu-title">{t("organizations")}</Header>
              {me.organizations.map((each) => (
                <MenuItem key={each.id} id={`organization-${each.id}`} className="item">
                  {each.name}
                </MenuItem>
              ))}
            </MenuSection>
          )}
          <MenuSection>
            <Header className="menu-title">{me.member.email}</Header>
            <MenuItem id="api" className="item">{t("nav.api")}</MenuItem>
            <MenuItem id="out" className="item">{t("logout")}</MenuItem>
          </MenuSection>
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}
