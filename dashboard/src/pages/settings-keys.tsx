import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, api, body, data, type Schemas } from "../api/client";
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
  const found = useQuery({ queryKey: ["keys"], queryFn: () => body(api.GET("/v1/api-keys", { params: { query: { limit: 100 } } })) });
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
            {found.data.data.map((key) => (
              <tr key={key.id}>
                <td><strong>{key.name}</strong></td>
                <td className="mono small">{key.prefix}…</td>
                <td>{key.scopes.map((scope) => <span key={scope} className="badge">{scope}</span>)}</td>
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

const DAYS = { never: null, "30": 30, "90": 90, "365": 365 } as const;

function NewKey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [scope, setScope] = useState("all");
  const [days, setDays] = useState<keyof typeof DAYS>("never");
  const make = useMutation({
    mutationFn: () => {
      const lasting = DAYS[days];
      return data(api.POST("/v1/api-keys", { body: { name, ...(scope === "read" ? { scopes: ["read"] as const } : {}), expiresAt: lasting ? new Date(Date.now() + lasting * 86_400_000).toISOString() : null } as Schemas["ApiKeyCreate"] }));
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
          <SelectField label={t("keys.scopes")} value={scope} onChange={setScope} choices={[{ id: "all", label: t("keys.all") }, { id: "read", label: t("keys.read") }]} />
          <SelectField label={t("keys.expires")} value={days} onChange={(id) => setDays(id as keyof typeof DAYS)} choices={[{ id: "never", label: t("never") }, ...(["30", "90", "365"] as const).map((id) => ({ id, label: t("days", { days: id }) }))]} />
        </div>
        <Failure error={make.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={make.isPending}>{t("create")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
