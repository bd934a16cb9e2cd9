// All calls, as filters in the address leave them.
import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useRef } from "react";
import { agentNamesQuery } from "../api/agent";
import { numbersQuery } from "../api/all";
import { callsQuery, type Filters, filtersOf, type Listed } from "../api/calls";
import { save } from "../api/files";
import { Button, curl, Empty, Failure, Head, Waiting } from "../parts/basic";
import { DayFields } from "../parts/fields";
import { SelectField } from "../parts/select";
import { Menu } from "../parts/dialogs";
import { useDrawn } from "../parts/drawn";
import { CursorPages, SearchBox, useParameters } from "../parts/lists";
import { reason } from "../parts/explained";
import { failed } from "../parts/toasts";
import { Views } from "../parts/views";
import { t } from "../words";
import { type Column, COLUMNS, hiddenIn, Rows } from "./calls-rows";

const STATUSES = ["queued", "ringing", "in_progress", "completed", "failed", "no_answer"] as const;
/** As the server explains them; one of the address that is not among them is shown too. */
const REASONS = ["customer_ended", "agent_ended", "operator_ended", "max_duration", "silence", "transferred", "caller_ended", "not_accepted", "voicemail", "unavailable", "menu", "screened_out", "fax", "no_answer", "busy", "rejected", "cancelled", "provider_error", "worker_lost", "internal_error", "insufficient_funds"];

const SETTLES_MS = 10_000;

function unsettled(call: Listed): boolean {
  if (call.status === "queued") return true;
  return call.endedAt !== null && Date.now() - Date.parse(call.endedAt) < SETTLES_MS;
}

const NOBODY = new Map<string, string>();

export function Calls() {
  const search = useSearch({ strict: false }) as Filters;
  const change = useParameters();
  const names = useQuery(agentNamesQuery);
  const agents = names.data ?? NOBODY;
  const numbers = useQuery(numbersQuery);
  const found = useQuery({
    ...callsQuery(search),
    placeholderData: (old) => old,
    // What is live is told of (`calls-rows.tsx`); what is queued, and what a call comes to cost after its end, is not.
    refetchInterval: (q) => (q.state.data?.data.some(unsettled) ? 3_000 : 15_000),
  });
  const rows = found.data?.data ?? [];
  // Not before agents have their names, or they would all be drawn anew.
  const drawn = useDrawn(!!found.data && !names.isPending);
  const hidden = hiddenIn(search.hide);
  const filtered = Object.keys(search).some((name) => !["after", "hide"].includes(name));
  const set = (name: keyof Filters) => (value: string) => change({ [name]: value || undefined, after: undefined });
  return (
    <div className="page">
      <Head title={t("nav.calls")}>
        <Views page="calls" />
        <Columns hidden={hidden} onChange={(next) => change({ hide: [...next].filter(Boolean).join(",") || undefined })} />
        <Menu
          label={t("export")}
          look=""
          entries={([["csv", false], ["csv", true], ["jsonl", true]] as const).map(([format, texts]) => ({ id: `${format} ${texts}`, label: t(texts ? `export.${format}.texts` : "export.csv"), act: () => void save("/v1/calls/export", { ...filtersOf(search), format, texts: String(texts) }, `calls.${format}`).catch(failed) }))}
        >
          {t("export")}
        </Menu>
      </Head>
      <div className="bar filters">
        <SearchBox label={t("calls.search")} />
        <SelectField label={t("state")} value={search.status ?? ""} onChange={set("status")} choices={[{ id: "", label: t("any") }, ...STATUSES.map((id) => ({ id, label: t(`status.${id}`) }))]} />
        <SelectField label={t("calls.direction")} value={search.direction ?? ""} onChange={set("direction")} choices={[{ id: "", label: t("any") }, { id: "inbound", label: t("direction.inbound") }, { id: "outbound", label: t("direction.outbound") }]} />
        <SelectField label={t("search.agent")} value={search.agent ?? ""} onChange={set("agent")} choices={[{ id: "", label: t("any") }, ...[...agents].map(([id, label]) => ({ id, label }))]} />
        <SelectField label={t("search.number")} value={search.number ?? ""} onChange={set("number")} choices={[{ id: "", label: t("any") }, ...(numbers.data ?? []).map((each) => ({ id: each.id, label: each.number, note: each.name }))]} />
        <SelectField label={t("calls.filter.reason")} value={search.reason ?? ""} onChange={set("reason")} choices={[{ id: "", label: t("any") }, ...[...new Set([...REASONS, ...(search.reason ? [search.reason] : [])])].map((id) => ({ id, label: reason(id) }))]} />
        <DayFields from={search.from} to={search.to} set={set} />
        {filtered && (
          <Button look="bare" onPress={() => change({ q: undefined, status: undefined, direction: undefined, agent: undefined, number: undefined, reason: undefined, from: undefined, to: undefined, after: undefined })}>
            {t("filters.clear")}
          </Button>
        )}
      </div>
      <Failure error={found.error} />
      {!drawn && !found.error && <Waiting lines={10} />}
      {found.data?.pagination.total === 0 && !filtered && (
        <Empty title={t("calls.none")} code={curl("POST", "/v1/calls", { agentId: "…", phoneNumberId: "…", to: "+14155550123" })}>
          {t("calls.none.text")}
        </Empty>
      )}
      {found.data?.pagination.total === 0 && filtered && <p className="quiet">{t("calls.nomatch")}</p>}
      {found.data && drawn && <Rows rows={rows} first={!search.after} agents={agents} hide={search.hide} onStale={() => void found.refetch()} />}
      {found.data && drawn && <CursorPages pagination={found.data.pagination} after={search.after} />}
    </div>
  );
}

function Columns({ hidden, onChange }: { hidden: Set<Column>; onChange: (hidden: Set<Column>) => void }) {
  const list = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    // The browser closes it by its button only; who is elsewhere is done with it.
    const elsewhere = (event: Event) => {
      if (list.current?.open && !list.current.contains(event.target as Node)) list.current.open = false;
    };
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("focusin", elsewhere);
    return () => {
      document.removeEventListener("pointerdown", elsewhere);
      document.removeEventListener("focusin", elsewhere);
    };
  }, []);
  const leave = (event: KeyboardEvent<HTMLDetailsElement>) => {
    if (event.key !== "Escape" || !event.currentTarget.open) return;
    event.currentTarget.open = false;
    event.currentTarget.querySelector("summary")?.focus();
  };
  return (
    <details className="columns" ref={list} onKeyDown={leave}>
      <summary className="button">{t("columns")}</summary>
      <div className="popover">
        {COLUMNS.map((column) => (
          <label key={column} className="item">
            <input
              type="checkbox"
              checked={!hidden.has(column)}
              onChange={() => {
                const next = new Set(hidden);
                if (!next.delete(column)) next.add(column);
                onChange(next);
              }}
            />
            {t(`column.${column}`)}
          </label>
        ))}
      </div>
    </details>
  );
}
