import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { keysQuery } from "../api/all";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Code, Failure, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { t } from "../words";

export function Keys() {
  const may = useMay("admin");
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Schemas["ApiKey"] | null>(null);
  const found = useQuery(keysQuery);
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  return (
    <>
      <div className="bar">
        <p className="quiet grow">{t("keys.lead")}</p>
        {may && <Button look="strong" icon="plus" onPress={() => setMaking(true)}>{t("keys.new")}</Button>}
      </div>
      <div className="table-wrap">
        <table className="list stacks">
          <thead>
            <tr><th>{t("name")}</th><th>{t("keys.begins")}</th><th>{t("keys.scopes")}</th><th>{t("keys.used")}</th><th>{t("keys.expires")}</th><th><span className="hidden">{t("more")}</span></th></tr>
          </thead>
          <tbody>
            {found.data.map((key) => (
              <tr key={key.id}>
                <td><strong>{key.name}</strong></td>
                <td className="mono small">{key.prefix}…</td>
                <td><span className="badges">{key.scopes.map((scope) => <span key={scope} className="badge">{scope}</span>)}</span></td>
                <td className="quiet"><Time iso={key.lastUsedAt} /></td>
                <td className="quiet">{key.expiresAt ? <Time iso={key.expiresAt} /> : t("never")}</td>
                <td className="end">{may && <Button look="tiny danger" onPress={() => setRevoking(key)}>{t("keys.revoke")}</Button>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {making && <NewKey onClose={() => setMaking(false)} />}
      <Confirm
        title={t("keys.revoke.ask", { name: revoking?.name ?? "" })}
        open={revoking !== null}
        onClose={() => setRevoking(null)}
        verb={t("keys.revoke")}
        act={async () => {
          await data(api.DELETE("/v1/api-keys/{id}", { params: { path: { id: revoking?.id ?? "" } } }));
          await queries.invalidateQueries({ queryKey: ["keys"] });
        }}
      >
        {t("keys.revoke.text")}
      </Confirm>
    </>
  );
}

type Scope = NonNullable<Schemas["ApiKeyCreate"]["scopes"]>[number];
type OfResource = Exclude<Scope, "read" | "write">;
/** All that there are, or the types are wrong. */
const SCOPES: Record<OfResource, true> = {
  "agents:read": true, "agents:write": true, "phone-numbers:read": true, "phone-numbers:write": true, "tools:read": true, "tools:write": true,
  "knowledge-bases:read": true, "knowledge-bases:write": true, "calls:read": true, "calls:write": true, "test-cases:read": true, "test-cases:write": true, "call-stats:read": true,
  "webhook-endpoints:read": true, "webhook-endpoints:write": true, "webhook-deliveries:read": true, "webhook-deliveries:write": true,
  "publishable-tokens:read": true, "publishable-tokens:write": true, "webhook-secret:read": true, "webhook-secret:write": true,
  "provider-keys:read": true, "provider-keys:write": true, "voices:read": true, "voices:write": true, "slm-models:read": true,
  "transcribers:read": true, "background-sounds:read": true, "balance:read": true, "balance:write": true, "ledger:read": true, "usage:read": true, "prices:read": true,
  "organization:read": true, "organization:write": true, "members:read": true, "members:write": true, "api-keys:read": true, "api-keys:write": true, "audit-log:read": true,
};
const RESOURCES = [...new Set(Object.keys(SCOPES).map((scope) => scope.split(":")[0] as string))];

/** Reading and changing, resource by resource. */
function Scopes({ chosen, onChange, wrong }: { chosen: OfResource[]; onChange: (scopes: OfResource[]) => void; wrong?: string }) {
  return (
    <fieldset className="stack thin">
      <legend className="label">{t("keys.chosen")}</legend>
      <div className="table-wrap" tabIndex={0} role="region" aria-label={t("keys.chosen")} style={{ maxHeight: "38vh", overflow: "auto" }}>
        <table className="plain small">
          <thead>
            <tr><th>{t("keys.resource")}</th><th>{t("keys.look")}</th><th>{t("keys.change")}</th></tr>
          </thead>
          <tbody>
            {RESOURCES.map((resource) => (
              <tr key={resource}>
                <td className="mono">{resource}</td>
                {(["read", "write"] as const).map((verb) => {
                  const scope = `${resource}:${verb}` as OfResource;
                  const on = chosen.includes(scope);
                  return <td key={verb}>{scope in SCOPES && <input type="checkbox" aria-label={scope} checked={on} onChange={() => onChange(on ? chosen.filter((each) => each !== scope) : [...chosen, scope])} />}</td>;
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {wrong && <span className="wrong" role="alert">{wrong}</span>}
    </fieldset>
  );
}

const DAYS = { never: null, "30": 30, "90": 90, "365": 365 } as const;

function NewKey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [scope, setScope] = useState("all");
  const [chosen, setChosen] = useState<OfResource[]>([]);
  const [days, setDays] = useState<keyof typeof DAYS>("never");
  const make = useMutation({
    mutationFn: () => {
      const lasting = DAYS[days];
      const scopes: Scope[] | undefined = scope === "read" ? ["read"] : scope === "chosen" ? chosen : undefined;
      return data(api.POST("/v1/api-keys", { body: { name, ...(scopes && { scopes }), expiresAt: lasting ? new Date(Date.now() + lasting * 86_400_000).toISOString() : null } }));
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ["keys"] }),
  });
  const wrong = make.error instanceof ApiError ? make.error : undefined;
  if (make.data) {
    return (
      <Dialog title={t("keys.made")} open onClose={onClose} fixed>
        <p className="note warn">{t("keys.once")}</p>
        <Code>{make.data.key}</Code>
        <p className="small quiet">{t("keys.try")}</p>
        <Code>{`export CHORUS_API_KEY=${make.data.key}\ncurl ${window.location.origin}/v1/agents -H "Authorization: Bearer $CHORUS_API_KEY"`}</Code>
        <div className="foot">
          <Button look="strong" onPress={onClose}>{t("keys.kept")}</Button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title={t("keys.new")} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
        <TextField label={t("name")} value={name} onChange={setName} required autoFocus wrong={wrong?.of("name")} />
        <div className="two">
          <SelectField label={t("keys.scopes")} value={scope} onChange={setScope} choices={[{ id: "all", label: t("keys.all") }, { id: "read", label: t("keys.read") }, { id: "chosen", label: t("keys.some") }]} />
          <SelectField label={t("keys.expires")} value={days} onChange={(id) => setDays(id as keyof typeof DAYS)} choices={[{ id: "never", label: t("never") }, ...(["30", "90", "365"] as const).map((id) => ({ id, label: t("days", { days: id }) }))]} />
        </div>
        {scope === "chosen" && <Scopes chosen={chosen} onChange={setChosen} wrong={wrong?.of("scopes")} />}
        <Failure error={make.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={make.isPending || (scope === "chosen" && chosen.length === 0)}>{t("create")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
