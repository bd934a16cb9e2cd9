// The organization's identity provider: what to enter there, what it is, and its domains.
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries } from "../api/session";
import { Badge, Button, Code, Failure, Waiting } from "../parts/basic";
import { Confirm } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { toast } from "../parts/toasts";
import { Unsaved, useDirty } from "../parts/unsaved";
import { ms, t } from "../words";

const QUERY = { queryKey: ["sso"], queryFn: () => data(api.GET("/v1/sso")) };
const again = () => Promise.all([queries.invalidateQueries({ queryKey: QUERY.queryKey }), queries.invalidateQueries({ queryKey: ["sessions"] })]);
const NOBODY = "nobody";
const ROLES = ["viewer", "developer", "admin"] as const;

export function SingleSignOn() {
  const found = useQuery(QUERY);
  return (
    <section className="card stack" aria-labelledby="sso">
      <h2 id="sso">{t("sso")}</h2>
      <p className="quiet">{t("sso.lead")}</p>
      {!found.data ? found.error ? <Failure error={found.error} /> : <Waiting /> : <Found key={found.data.connection?.updatedAt} of={found.data} />}
    </section>
  );
}

function Found({ of }: { of: Schemas["Sso"] }) {
  const known = of.connection;
  return (
    <>
      <p>{t("sso.redirect")}</p>
      <Code>{of.redirectUri}</Code>
      <Form known={known} />
      {known && (
        <>
          <p>{t("sso.url")}</p>
          <Code>{of.signInUrl}</Code>
          <h3>{t("sso.domains")}</h3>
          <p className="quiet">{t("sso.verify.lead")}</p>
          <ul className="stack bare-list">
            {known.domains.map((each) => (
              <li key={each.domain}>
                <Domain of={each} />
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function Form({ known }: { known: Schemas["Sso"]["connection"] }) {
  const before = {
    issuer: known?.issuer ?? "",
    clientId: known?.clientId ?? "",
    clientSecret: "",
    domains: known?.domains.map((each) => each.domain).join("\n") ?? "",
    defaultRole: known?.defaultRole ?? null,
    required: known?.required ?? false,
  };
  const [changes, setChanges] = useState<Partial<typeof before>>({});
  const shown = { ...before, ...changes };
  const dirty = useDirty(shown);
  const set = (more: Partial<typeof before>) => setChanges((old) => ({ ...old, ...more }));
  const [removing, setRemoving] = useState(false);
  const save = useMutation({
    mutationFn: () => data(api.PUT("/v1/sso", { body: { ...shown, clientSecret: shown.clientSecret || null, domains: shown.domains.split(/[\s,]+/).filter(Boolean) } })),
    onSuccess: (made) => {
      queries.setQueryData(QUERY.queryKey, made);
      void queries.invalidateQueries({ queryKey: ["sessions"] });
      toast(t("saved"));
    },
  });
  const test = useMutation({ mutationFn: () => data(api.POST("/v1/sso/test", { body: { issuer: shown.issuer } })) });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form className="stack" onSubmit={submit}>
      <TextField label={t("sso.issuer")} hint={t("sso.issuer.hint")} type="url" required dir="ltr" value={shown.issuer} onChange={(issuer) => set({ issuer })} wrong={wrong?.of("issuer")} />
      <div className="two">
        <TextField label={t("sso.client")} required dir="ltr" autoComplete="off" value={shown.clientId} onChange={(clientId) => set({ clientId })} wrong={wrong?.of("clientId")} />
        <TextField label={t("sso.secret")} hint={t(known ? "sso.secret.kept" : "sso.secret.hint")} type="password" autoComplete="off" dir="ltr" required={!known} value={shown.clientSecret} onChange={(clientSecret) => set({ clientSecret })} wrong={wrong?.of("clientSecret")} />
      </div>
      <TextField label={t("sso.domains")} hint={t("sso.domains.hint")} rows={2} required dir="ltr" value={shown.domains} onChange={(domains) => set({ domains })} wrong={wrong?.of("domains")} />
      <SelectField
        label={t("sso.role")}
        hint={t("sso.role.hint")}
        value={shown.defaultRole ?? NOBODY}
        onChange={(id) => set({ defaultRole: ROLES.find((each) => each === id) ?? null })}
        choices={[{ id: NOBODY, label: t("sso.role.nobody") }, ...ROLES.map((id) => ({ id, label: t(`role.${id}`) }))]}
      />
      <SwitchField label={t("sso.required")} hint={t("sso.required.hint")} value={shown.required} onChange={(required) => set({ required })} />
      <Failure error={save.error ?? test.error} />
      <div role="status">
        {test.data && (
          <p className={`small note ${test.data.ok ? "good" : "bad"}`}>
            <span dir="auto">{test.data.message}</span> <span>{ms(test.data.elapsedMs)}</span>
          </p>
        )}
      </div>
      <div className="row">
        <Button type="submit" look="strong" isDisabled={save.isPending || Object.keys(changes).length === 0}>
          {t("save")}
        </Button>
        <Button isDisabled={test.isPending || !shown.issuer} onPress={() => test.mutate()}>
          {test.isPending ? t("providers.testing") : t("providers.test")}
        </Button>
        {known && (
          <Button look="danger" onPress={() => setRemoving(true)}>
            {t("remove")}
          </Button>
        )}
      </div>
      <Confirm
        title={t("sso.remove")}
        open={removing}
        onClose={() => setRemoving(false)}
        verb={t("remove")}
        act={async () => {
          await data(api.DELETE("/v1/sso"));
          await again();
        }}
      >
        {t("sso.remove.text")}
      </Confirm>
      {dirty && <Unsaved />}
    </form>
  );
}

function Domain({ of }: { of: Schemas["SsoDomain"] }) {
  const verify = useMutation({
    mutationFn: () => data(api.POST("/v1/sso/domains/verify", { body: { domain: of.domain } })),
    onSuccess: (made) => queries.setQueryData(QUERY.queryKey, made),
  });
  return (
    <div className="stack">
      <div className="row">
        <span className="grow mono" dir="ltr">
          {of.domain}
        </span>
        {of.verifiedAt ? (
          <Badge kind="good">{t("sso.verified")}</Badge>
        ) : (
          <Button look="tiny" isDisabled={verify.isPending} aria-label={t("sso.verify.of", { domain: of.domain })} onPress={() => verify.mutate()}>
            {t("sso.verify")}
          </Button>
        )}
      </div>
      {!of.verifiedAt && <Code>{`${of.recordName} TXT "${of.recordValue}"`}</Code>}
      <Failure error={verify.error} />
    </div>
  );
}
