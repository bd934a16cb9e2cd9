import { useMutation, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { endpointsQuery } from "../api/all";
import { ApiError, api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Badge, Button, Code, curl, Empty, Failure, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { Pages, useOffset, useParameters } from "../parts/lists";
import { toast } from "../parts/toasts";
import { useDirty } from "../parts/unsaved";
import { maybe, t } from "../words";
import { Attempts } from "./call-side";

type Endpoint = Schemas["WebhookEndpoint"];
const EVENTS = ["call.started", "call.completed", "call.failed", "transfer.started", "transfer.completed", "transfer.failed", "latency.breached"] as const;
const LIMIT = 25;
type State = Schemas["Delivery"]["status"];
const STATES = ["pending", "delivered", "failed", "cancelled"] as const satisfies State[];

export function Webhooks() {
  const may = useMay("developer");
  const [editing, setEditing] = useState<Endpoint | "new" | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const found = useQuery(endpointsQuery);
  const test = useMutation({
    mutationFn: (id: string) => data(api.POST("/v1/webhook-endpoints/{id}/test", { params: { path: { id } } })),
    onSuccess: () => {
      toast(t("webhooks.tested"));
      void queries.invalidateQueries({ queryKey: ["deliveries"] });
    },
  });
  const rotate = useMutation({ mutationFn: (id: string) => data(api.POST("/v1/webhook-endpoints/{id}/rotate-secret", { params: { path: { id } } })), onSuccess: (made) => setSecret(made.secret) });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  return (
    <>
      <div className="bar">
        <p className="quiet grow">{t("webhooks.lead")}</p>
        {may && found.data.length > 0 && <Button look="strong" icon="plus" onPress={() => setEditing("new")}>{t("webhooks.new")}</Button>}
      </div>
      <Failure error={test.error ?? rotate.error} />
      {found.data.length === 0 && (
        <Empty title={t("webhooks.none")} code={curl("POST", "/v1/webhook-endpoints", { url: "https://example.com/chorus", events: ["call.completed"] })} action={may && <Button look="strong" onPress={() => setEditing("new")}>{t("webhooks.new")}</Button>}>
          {t("webhooks.none.text")}
        </Empty>
      )}
      <div className="stack">
        {found.data.map((each) => (
          <div key={each.id} className="card row">
            <span className="grow">
              <strong className="mono cut" style={{ display: "block" }} dir="ltr">{each.url}</strong>
              <span className="small quiet">{each.description || each.events.join(", ")}</span>
            </span>
            <Badge kind={each.isActive ? "active" : "inactive"} />
            {may && (
              <>
                <Button look="tiny" onPress={() => test.mutate(each.id)}>{t("webhooks.test")}</Button>
                <Button look="tiny" onPress={() => rotate.mutate(each.id)}>{t("webhooks.rotate")}</Button>
                <Button look="tiny" onPress={() => setEditing(each)}>{t("edit")}</Button>
              </>
            )}
          </div>
        ))}
      </div>
      <Deliveries />
      {editing && <EndpointDialog key={editing === "new" ? "new" : editing.id} known={editing === "new" ? undefined : editing} onClose={() => setEditing(null)} onSecret={setSecret} />}
      <Dialog title={t("webhooks.secret")} open={secret !== null} onClose={() => setSecret(null)} fixed>
        <p className="note warn">{t("webhooks.secret.text")}</p>
        <Code>{secret ?? ""}</Code>
        <div className="foot"><Button look="strong" onPress={() => setSecret(null)}>{t("keys.kept")}</Button></div>
      </Dialog>
    </>
  );
}

function EndpointDialog({ known, onClose, onSecret }: { known?: Endpoint; onClose: () => void; onSecret: (secret: string) => void }) {
  const [url, setUrl] = useState(known?.url ?? "");
  const [description, setDescription] = useState(known?.description ?? "");
  const [events, setEvents] = useState<string[]>(known?.events ?? ["call.completed"]);
  const [active, setActive] = useState(known?.isActive ?? true);
  const [asking, setAsking] = useState(false);
  const dirty = useDirty([url, description, events, active]);
  const again = () => queries.invalidateQueries({ queryKey: ["endpoints"] });
  const save = useMutation({
    mutationFn: async () => {
      const wish = { url, description, events: events as Endpoint["events"], isActive: active };
      if (known) await data(api.PATCH("/v1/webhook-endpoints/{id}", { params: { path: { id: known.id } }, body: wish }));
      else onSecret((await data(api.POST("/v1/webhook-endpoints", { body: wish }))).secret);
    },
    onSuccess: () => {
      void again();
      onClose();
    },
  });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  return (
    <Dialog title={known ? t("webhooks.edit") : t("webhooks.new")} open onClose={onClose} dirty={dirty}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
        <TextField label="URL" type="url" value={url} onChange={setUrl} required placeholder="https://" wrong={wrong?.of("url")} dir="ltr" />
        <TextField label={t("description")} value={description} onChange={setDescription} wrong={wrong?.of("description")} maxLength={255} />
        <fieldset className="choices">
          <legend>{t("webhooks.events")}</legend>
          {EVENTS.map((each) => (
            <label key={each} className="choice" data-chosen={events.includes(each) || undefined}>
              <input type="checkbox" checked={events.includes(each)} onChange={() => setEvents(events.includes(each) ? events.filter((other) => other !== each) : [...events, each])} />
              <span className="mono">{each}</span>
            </label>
          ))}
        </fieldset>
        <SwitchField label={t("status.active")} value={active} onChange={setActive} />
        <Failure error={save.error} />
        <div className="foot">
          {known && <Button look="danger" onPress={() => setAsking(true)}>{t("delete")}</Button>}
          <span className="grow" />
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={save.isPending}>{t("save")}</Button>
        </div>
      </form>
      <Confirm title={t("webhooks.delete")} open={asking} onClose={() => setAsking(false)} verb={t("delete")} act={async () => { await data(api.DELETE("/v1/webhook-endpoints/{id}", { params: { path: { id: known?.id ?? "" } } })); await again(); onClose(); }}>
        {url}
      </Confirm>
    </Dialog>
  );
}

const SOON_MS = 10_000;

/** It is being tried, or will be in seconds. */
function soonTried({ status, nextAttemptAt }: Schemas["ListedDelivery"]): boolean {
  return status === "pending" && (nextAttemptAt === null || Date.parse(nextAttemptAt) < Date.now() + SOON_MS);
}

function Deliveries() {
  const may = useMay("developer");
  const [offset, setOffset] = useOffset();
  const [open, setOpen] = useState<string | null>(null);
  const search = useSearch({ strict: false }) as { status?: string };
  const change = useParameters();
  const status = STATES.find((each) => each === search.status);
  const found = useQuery({ queryKey: ["deliveries", offset, status], queryFn: () => body(api.GET("/v1/webhook-deliveries", { params: { query: { limit: LIMIT, offset, status } } })), refetchInterval: (q) => (q.state.data?.data.some(soonTried) ? 1_000 : 5_000) });
  const again = useMutation({ mutationFn: (id: string) => data(api.POST("/v1/webhook-deliveries/{id}/redeliver", { params: { path: { id } } })), onSuccess: () => queries.invalidateQueries({ queryKey: ["deliveries"] }) });
  const filter = (
    <div className="bar" style={{ margin: "28px 0 10px", alignItems: "end" }}>
      <h2 className="grow">{t("deliveries")}</h2>
      <SelectField label={t("state")} value={status ?? ""} onChange={(id) => change({ status: id || undefined, offset: undefined })} choices={[{ id: "", label: t("deliveries.all") }, ...STATES.map((id) => ({ id, label: maybe(`status.${id}`, id) }))]} />
    </div>
  );
  if (!found.data) return <>{filter}{found.error ? <Failure error={found.error} /> : <Waiting />}</>;
  if (found.data.data.length === 0) return <>{filter}<p className="quiet">{t(status ? "search.none" : "deliveries.none")}</p></>;
  return (
    <>
      {filter}
      <Failure error={again.error} />
      <div className="table-wrap">
        <table className="list stacks">
          <thead>
            <tr><th>{t("webhooks.event")}</th><th>{t("state")}</th><th>URL</th><th className="end">{t("deliveries.answer")}</th><th>{t("created")}</th><th><span className="hidden">{t("more")}</span></th></tr>
          </thead>
          <tbody>
            {found.data.data.map((each) => (
              <tr key={each.id}>
                <td className="mono small">{each.event}</td>
                <td><Badge kind={each.status} /></td>
                <td className="mono small cut" style={{ maxWidth: 260 }} dir="ltr">{each.url}</td>
                <td className="end num">{each.lastStatusCode ?? "—"}</td>
                <td className="quiet"><Time iso={each.createdAt} /></td>
                <td className="end">
                  <span className="row" style={{ justifyContent: "flex-end" }}>
                    <Button look="tiny" onPress={() => setOpen(each.id)}>{t("deliveries.tries.show")}</Button>
                    {may && <Button look="tiny" onPress={() => again.mutate(each.id)}>{t("deliveries.again")}</Button>}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />
      <Dialog title={t("deliveries.tries.show")} open={open !== null} onClose={() => setOpen(null)} wide>
        {open && <Attempts id={open} />}
      </Dialog>
    </>
  );
}
