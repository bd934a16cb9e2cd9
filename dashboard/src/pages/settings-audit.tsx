// Who changed what, narrowed by filters that are in the address, and as a file.
import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, body, type Schemas } from "../api/client";
import { dayBegins, dayEnds } from "../api/days";
import { save } from "../api/files";
import { Button, Copy, Failure, Time, Waiting } from "../parts/basic";
import { Menu } from "../parts/dialogs";
import { DayFields, TextField } from "../parts/fields";
import { Pages, useOffset, useParameters } from "../parts/lists";
import { SelectField } from "../parts/select";
import { failed } from "../parts/toasts";
import { t } from "../words";

const LIMIT = 50;
const ACTORS = ["member", "key", "operator"] as const;
const NONE = { actor: undefined, action: undefined, resource: undefined, id: undefined, from: undefined, to: undefined, offset: undefined };
type Filters = { actor?: string; action?: string; resource?: string; id?: string; from?: string; to?: string; offset?: number };

function query(search: Filters) {
  return {
    actor: search.actor as Schemas["AuditEntry"]["actor"] | undefined,
    action: search.action,
    resource: search.resource,
    resourceId: search.id,
    since: dayBegins(search.from),
    until: dayEnds(search.to),
  };
}

export function AuditLog() {
  const search = useSearch({ strict: false }) as Filters;
  const change = useParameters();
  const [offset, setOffset] = useOffset();
  const filters = query(search);
  const found = useQuery({ queryKey: ["audit", search], queryFn: () => body(api.GET("/v1/audit-log", { params: { query: { ...filters, limit: LIMIT, offset } } })), placeholderData: (old) => old });
  const set = (name: keyof Filters) => (value: string) => change({ [name]: value || undefined, offset: undefined });
  return (
    <div className="stack">
      <div className="bar filters">
        <SelectField label={t("audit.who")} value={search.actor ?? ""} onChange={set("actor")} choices={[{ id: "", label: t("any") }, ...ACTORS.map((id) => ({ id, label: t(`actor.${id}`) }))]} />
        <Typed label={t("audit.what")} value={search.action} onChange={set("action")} example="updateAgent" />
        <Typed label={t("keys.resource")} value={search.resource} onChange={set("resource")} example="agents" />
        <Typed label={t("id")} value={search.id} onChange={set("id")} />
        <DayFields from={search.from} to={search.to} set={set} />
        {Object.keys(search).some((name) => name !== "offset") && (
          <Button look="bare" onPress={() => change(NONE)}>
            {t("filters.clear")}
          </Button>
        )}
        <span className="grow" />
        <Menu label={t("export")} look="" entries={(["csv", "jsonl"] as const).map((format) => ({ id: format, label: t(`audit.export.${format}`), act: () => void save("/v1/audit-log/export", { ...filters, format }, `audit-log.${format}`).catch(failed) }))}>
          {t("export")}
        </Menu>
      </div>
      <Failure error={found.error} />
      {found.isPending && <Waiting />}
      {found.data?.data.length === 0 && <p className="quiet">{t("audit.none")}</p>}
      {!!found.data?.data.length && (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr><th>{t("audit.when")}</th><th>{t("audit.who")}</th><th>{t("audit.what")}</th><th>{t("audit.fields")}</th><th>{t("id")}</th></tr>
            </thead>
            <tbody>
              {found.data.data.map((each) => (
                <tr key={each.id}>
                  <td className="quiet"><Time iso={each.createdAt} /></td>
                  <td>{each.actorName} <span className="badge">{t(`actor.${each.actor}`)}</span></td>
                  <td className="mono small">{each.action}</td>
                  <td className="small quiet">{each.fields.join(", ")}</td>
                  <td>{each.resourceId && <Copy text={each.resourceId} short />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.data && <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />}
    </div>
  );
}

/** Asks when one has stopped to type. */
function Typed({ label, value, onChange, example }: { label: string; value?: string; onChange: (value: string) => void; example?: string }) {
  const known = value === undefined ? "" : String(value);
  const [text, setText] = useState(known);
  useEffect(() => setText(known), [known]);
  useEffect(() => {
    if (text.trim() === known) return;
    const timer = setTimeout(() => onChange(text.trim()), 400);
    return () => clearTimeout(timer);
  });
  return <TextField label={label} value={text} onChange={setText} placeholder={example} dir="ltr" />;
}
