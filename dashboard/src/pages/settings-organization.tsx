import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Badge, Button, Copy, Failure, Time, Waiting } from "../parts/basic";
import { NumberField, TextField } from "../parts/fields";
import { toast } from "../parts/toasts";
import { Unsaved, useDirty } from "../parts/unsaved";
import { number, t } from "../words";
import { SecondFactor } from "./second-factor";
import { SingleSignOn } from "./settings-sso";

export function Organization() {
  const found = useQuery({ queryKey: ["organization"], queryFn: () => data(api.GET("/v1/organization")) });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  return <OrganizationForm key={found.data.updatedAt} of={found.data} />;
}

function OrganizationForm({ of }: { of: Schemas["Organization"] }) {
  const may = useMay("admin");
  const [changes, setChanges] = useState<Partial<Schemas["OrganizationPatch"]>>({});
  const shown = { ...of, ...changes };
  const dirty = useDirty(shown);
  const set = (more: Partial<Schemas["OrganizationPatch"]>) => setChanges((old) => ({ ...old, ...more }));
  const save = useMutation({
    mutationFn: () => data(api.PATCH("/v1/organization", { body: changes })),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["organization"] });
      void queries.invalidateQueries({ queryKey: ["session"] });
      toast(t("saved"));
    },
  });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  return (
    <form className="form" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
      <fieldset className="form" disabled={!may}>
        <TextField label={t("name")} value={shown.name} onChange={(name) => set({ name })} required wrong={wrong?.of("name")} hint={<Copy text={of.id} />} />
        <div className="two">
          <NumberField label={t("org.calls")} hint={t("org.ceiling", { most: number(of.maxConcurrentCallsCeiling) })} value={shown.maxConcurrentCalls} onChange={(value) => set({ maxConcurrentCalls: value })} min={1} wrong={wrong?.of("maxConcurrentCalls")} />
          <NumberField label={t("org.queued")} hint={t("org.queued.hint")} value={shown.maxQueuedCalls} onChange={(value) => set({ maxQueuedCalls: value ?? 0 })} min={0} wrong={wrong?.of("maxQueuedCalls")} />
          <NumberField label={t("org.rate")} hint={of.rateLimitCeiling ? t("org.ceiling", { most: number(of.rateLimitCeiling) }) : t("org.nolimit")} value={shown.rateLimitPerMinute} onChange={(value) => set({ rateLimitPerMinute: value })} min={1} wrong={wrong?.of("rateLimitPerMinute")} />
        </div>
        <h2>{t("org.retention")}</h2>
        <div className="two">
          <NumberField label={t("org.recordings")} hint={t("org.forever")} value={shown.recordingRetentionDays} onChange={(value) => set({ recordingRetentionDays: value })} min={1} wrong={wrong?.of("recordingRetentionDays")} />
          <NumberField label={t("org.transcripts")} hint={t("org.forever")} value={shown.transcriptRetentionDays} onChange={(value) => set({ transcriptRetentionDays: value })} min={1} wrong={wrong?.of("transcriptRetentionDays")} />
          <NumberField label={t("org.audit")} hint={t("org.forever")} value={shown.auditRetentionDays} onChange={(value) => set({ auditRetentionDays: value })} min={30} wrong={wrong?.of("auditRetentionDays")} />
        </div>
        <Failure error={save.error} />
        {may && (
          <div>
            <Button type="submit" look="strong" isDisabled={save.isPending || Object.keys(changes).length === 0}>
              {t("save")}
            </Button>
          </div>
        )}
      </fieldset>
      {!may && <p className="note">{t("may.not.change")}</p>}
      {dirty && <Unsaved />}
    </form>
  );
}

export function Security() {
  const found = useQuery({ queryKey: ["sessions"], queryFn: async () => (await body(api.GET("/v1/sessions", { params: { query: { limit: 100 } } }))).data });
  const again = () => queries.invalidateQueries({ queryKey: ["sessions"] });
  const end = useMutation({ mutationFn: (id: string) => data(api.DELETE("/v1/sessions/{id}", { params: { path: { id } } })), onSuccess: again });
  const others = useMutation({ mutationFn: () => data(api.DELETE("/v1/sessions")), onSuccess: again });
  const mayDecide = useMay("admin");
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const change = useMutation({
    mutationFn: () => data(api.POST("/v1/password", { body: { currentPassword: current, newPassword: fresh } })),
    onSuccess: () => {
      setCurrent("");
      setFresh("");
      void again();
      toast(t("password.changed"));
    },
  });
  const wrong = change.error instanceof ApiError ? change.error : undefined;
  return (
    <div className="form">
      <section className="card">
        <h2>{t("password.change")}</h2>
        <form className="stack" onSubmit={(event) => { event.preventDefault(); change.mutate(); }}>
          <div className="two">
            <TextField label={t("password.current")} type="password" autoComplete="current-password" required value={current} onChange={setCurrent} wrong={wrong?.of("currentPassword")} />
            <TextField label={t("password.new")} type="password" autoComplete="new-password" required value={fresh} onChange={setFresh} wrong={wrong?.of("newPassword")} hint={t("password.hint")} />
          </div>
          <Failure error={change.error} />
          <div>
            <Button type="submit" look="strong" isDisabled={change.isPending}>{t("password.change")}</Button>
          </div>
        </form>
      </section>
      <SecondFactor />
      {mayDecide && <SingleSignOn />}
      <section className="card">
        <div className="row">
          <h2 className="grow">{t("sessions")}</h2>
          <Button onPress={() => others.mutate()} isDisabled={(found.data?.length ?? 0) < 2}>{t("sessions.others")}</Button>
        </div>
        <Failure error={found.error ?? end.error ?? others.error} />
        <ul className="bare-list split">
          {found.data?.map((each) => (
            <li key={each.id} className="row">
              <span className="grow">
                <span className="cut" style={{ display: "block" }}>{each.userAgent || "—"}</span>
                <span className="small quiet">{each.address} · <Time iso={each.lastSeenAt} />{each.bySso && ` · ${t("sso.session")}`}</span>
              </span>
              {each.current ? <Badge kind="good">{t("sessions.this")}</Badge> : <Button look="tiny" onPress={() => end.mutate(each.id)}>{t("sessions.end")}</Button>}
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}
