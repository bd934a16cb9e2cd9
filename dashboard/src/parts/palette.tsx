// Search over everything that has a name or an id: ⌘K.
import { useQuery } from "@tanstack/react-query";
import { type NavigateOptions, useNavigate } from "@tanstack/react-router";
import { useDeferredValue, useId, useState } from "react";
import { ApiError, api, body, data } from "../api/client";
import { t } from "../words";
import { Dialog } from "./dialogs";

type Hit = { key: string; label: string; note: string; go: () => void };
const ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i;

export function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const hits = useHits(useDeferredValue(text.trim()));
  const chosen = Math.min(at, hits.length - 1);
  const act = (hit: Hit | undefined) => {
    if (!hit) return;
    onClose();
    hit.go();
  };
  return (
    <Dialog title={t("search")} open onClose={onClose}>
      <div className="field">
        <input
          autoFocus
          type="search"
          role="combobox"
          aria-label={t("search.hint")}
          aria-expanded={hits.length > 0}
          aria-controls={list}
          aria-activedescendant={hits[chosen] ? `${list}-${chosen}` : undefined}
          placeholder={t("search.hint")}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") setAt(Math.min(chosen + 1, hits.length - 1));
            else if (event.key === "ArrowUp") setAt(Math.max(chosen - 1, 0));
            else if (event.key === "Enter") act(hits[chosen]);
            else return;
            event.preventDefault();
          }}
        />
      </div>
      <div role="listbox" id={list} aria-label={t("search.results")} style={{ maxHeight: "46vh", overflow: "auto" }}>
        {hits.map((hit, n) => (
          <div key={hit.key} id={`${list}-${n}`} role="option" aria-selected={n === chosen} className="item" data-focused={n === chosen || undefined} onMouseMove={() => setAt(n)} onClick={() => act(hit)}>
            <span className="cut">{hit.label}</span>
            <span className="quiet">{hit.note}</span>
          </div>
        ))}
        {text && hits.length === 0 && <p className="quiet">{t("search.none")}</p>}
      </div>
    </Dialog>
  );
}

type Named = { key: string; label: string; note: string; place: NavigateOptions };

/** What has this id: ids do not say of what they are, so all are asked. */
async function byId(id: string): Promise<Named[]> {
  const path = { params: { path: { id } } };
  const found = await Promise.all([
    there(data(api.GET("/v1/calls/{id}", path)), (call): Named => ({ key: id, label: call.customerNumber, note: t("search.call"), place: { to: "/calls/$id", params: { id } } })),
    there(data(api.GET("/v1/agents/{id}", path)), (agent): Named => ({ key: id, label: agent.name, note: t("search.agent"), place: { to: "/agents/$id", params: { id } } })),
    there(data(api.GET("/v1/phone-numbers/{id}", path)), (number): Named => ({ key: id, label: `${number.number} ${number.name}`, note: t("search.number"), place: { to: "/numbers", search: { open: id } } })),
    there(data(api.GET("/v1/tools/{id}", path)), (tool): Named => ({ key: id, label: tool.name, note: t("search.tool"), place: { to: "/tools", search: { open: id } } })),
    there(data(api.GET("/v1/knowledge-bases/{id}", path)), (base): Named => ({ key: id, label: base.name, note: t("nav.knowledge"), place: { to: "/knowledge/$id", params: { id } } })),
  ]);
  return found.filter((each) => each !== null);
}

async function there<T>(asked: Promise<T>, named: (found: T) => Named): Promise<Named | null> {
  try {
    return named(await asked);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

function useHits(search: string): Hit[] {
  const navigate = useNavigate();
  const enabled = search.length > 1;
  const query = { search, limit: 6 };
  const agents = useQuery({ queryKey: ["find", "agents", search], enabled, queryFn: () => body(api.GET("/v1/agents", { params: { query } })) });
  const calls = useQuery({ queryKey: ["find", "calls", search], enabled, queryFn: () => body(api.GET("/v1/calls", { params: { query } })) });
  const numbers = useQuery({ queryKey: ["find", "numbers", search], enabled, queryFn: () => body(api.GET("/v1/phone-numbers", { params: { query } })) });
  const tools = useQuery({ queryKey: ["find", "tools", search], enabled, queryFn: () => body(api.GET("/v1/tools", { params: { query } })) });
  const bases = useQuery({ queryKey: ["find", "knowledge-bases", search], enabled, queryFn: () => body(api.GET("/v1/knowledge-bases", { params: { query } })) });
  const places = (
    [
      ["/", t("nav.home")],
      ["/agents", t("nav.agents")],
      ["/calls", t("nav.calls")],
      ["/live", t("nav.live")],
      ["/numbers", t("nav.numbers")],
      ["/tools", t("nav.tools")],
      ["/knowledge", t("nav.knowledge")],
    ] as const
  )
    .filter(([, label]) => label.toLowerCase().includes(search.toLowerCase()))
    .map(([to, label]) => ({ key: to, label, note: t("search.page"), go: () => void navigate({ to }) }));
  const settings = (["organization", "members", "keys", "pages", "providers", "webhooks", "billing", "security", "audit"] as const)
    .filter((section) => t(`settings.${section}`).toLowerCase().includes(search.toLowerCase()))
    .map((section) => ({ key: section, label: t(`settings.${section}`), note: t("nav.settings"), go: () => void navigate({ to: "/settings/$section", params: { section } }) }));
  const exact = useQuery({ queryKey: ["find", "id", search], enabled: ID.test(search), queryFn: () => byId(search) });
  return [
    ...(exact.data ?? []).map((hit) => ({ ...hit, go: () => void navigate(hit.place) })),
    ...(agents.data?.data ?? []).map((a) => ({ key: a.id, label: a.name, note: t("search.agent"), go: () => void navigate({ to: "/agents/$id", params: { id: a.id } }) })),
    ...(calls.data?.data ?? []).map((c) => ({ key: c.id, label: c.customerNumber, note: t("search.call"), go: () => void navigate({ to: "/calls/$id", params: { id: c.id } }) })),
    ...(numbers.data?.data ?? []).map((n) => ({ key: n.id, label: `${n.number} ${n.name}`, note: t("search.number"), go: () => void navigate({ to: "/numbers", search: { open: n.id } }) })),
    ...(tools.data?.data ?? []).map((n) => ({ key: n.id, label: n.name, note: t("search.tool"), go: () => void navigate({ to: "/tools", search: { open: n.id } }) })),
    ...(bases.data?.data ?? []).map((n) => ({ key: n.id, label: n.name, note: t("nav.knowledge"), go: () => void navigate({ to: "/knowledge/$id", params: { id: n.id } }) })),
    ...places,
    ...settings,
  ].slice(0, 14);
}
