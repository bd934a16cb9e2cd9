// Phone numbers: bring one along, say which agent answers it, see what the carrier must be told.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useAgentNames } from "../api/agent";
import { ApiError, api, body, data, type Schemas } from "../api/client";
import { queries, useMay, useSession } from "../api/session";
import { Badge, Button, Code, copy, Copy, curl, Empty, Failure, Head, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog } from "../parts/dialogs";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { Pages, SearchBox, useOffset, useParameters } from "../parts/lists";
import { toast } from "../parts/toasts";
import { useDirty } from "../parts/unsaved";
import { type Key, number, t } from "../words";

const LIMIT = 50;
type PhoneNumber = Schemas["PhoneNumber"];
type Provider = PhoneNumber["provider"];
/** What the words name. */
type Field = Key extends infer K ? (K extends `connection.${infer Name}` ? Name : never) : never;
const PROVIDERS: Provider[] = ["twilio", "sip", "jambonz", "voximplant", "telnyx"];

// What each carrier needs; a secret is never shown again, so an empty field keeps the one stored.
const SECRET = new Set<Field>(["twilioAuthToken", "twilioSigningKey", "sipPassword", "jambonzApiKey", "jambonzWebhookSecret", "voximplantApiKey", "voximplantScenarioSecret", "telnyxApiKey"]);
const FIELDS: Record<Provider, Field[]> = {
  twilio: ["twilioAccountSid", "twilioAuthToken", "twilioSigningKey"],
  sip: ["sipUsername", "sipPassword", "sipProxy", "sipOutboundProxy", "sipAuthUser", "sipRegisterTransport"],
  jambonz: ["jambonzBaseUrl", "jambonzAccountSid", "jambonzApiKey", "jambonzApplicationSid", "jambonzWebhookSecret", "jambonzSampleRate"],
  voximplant: ["voximplantBaseUrl", "voximplantAccountId", "voximplantApiKey", "voximplantApplicationId", "voximplantRuleId", "voximplantScenarioSecret"],
  telnyx: ["telnyxConnectionId", "telnyxApiKey", "telnyxPublicKey", "telnyxBaseUrl"],
};
// The first of them is what holds where none is chosen.
const CHOICES: Partial<Record<Field, string[]>> = { sipRegisterTransport: ["udp", "tcp", "tls"], sipProtocol: ["udp", "tcp", "tls"], jambonzSampleRate: ["8000", "16000", "24000"] };
// Where a carrier has to post; jambonz' second one is the call status webhook.
const WEBHOOKS: Partial<Record<Provider, string[]>> = { twilio: ["/twilio/voice"], jambonz: ["/jambonz/call", "/jambonz/status"], telnyx: ["/telnyx/events"] };
export function Numbers() {
  const search = useSearch({ strict: false }) as { q?: string; open?: string };
  const change = useParameters();
  const [offset, setOffset] = useOffset();
  const may = useMay("developer");
  const agents = useAgentNames();
  const [making, setMaking] = useState(false);
  const found = useQuery({ queryKey: ["numbers", search.q ?? "", offset], queryFn: () => body(api.GET("/v1/phone-numbers", { params: { query: { search: search.q, limit: LIMIT, offset } } })) });
  const opened = useQuery({ queryKey: ["number", search.open], enabled: !!search.open, queryFn: () => data(api.GET("/v1/phone-numbers/{id}", { params: { path: { id: search.open ?? "" } } })) });
  const rows = found.data?.data ?? [];
  return (
    <div className="page">
      <Head title={t("nav.numbers")} lead={t("numbers.lead")}>
        {may && (
          <Button look="strong" icon="plus" onPress={() => setMaking(true)}>
            {t("numbers.new")}
          </Button>
        )}
      </Head>
      <Failure error={found.error} />
      {found.isPending && <Waiting />}
      {found.data && (found.data.pagination.total > 0 || search.q) && (
        <div className="bar">
          <SearchBox label={t("numbers.search")} />
        </div>
      )}
      {found.data?.pagination.total === 0 && !search.q && (
        <Empty title={t("numbers.none")} action={may && <Button look="strong" onPress={() => setMaking(true)}>{t("numbers.new")}</Button>} code={curl("POST", "/v1/phone-numbers", { number: "+14155550100", provider: "twilio", twilioAccountSid: "AC…", twilioAuthToken: "…", agentId: "…" })}>
          {t("numbers.none.text")}
        </Empty>
      )}
      {rows.length > 0 && (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr>
                <th>{t("number")}</th>
                <th>{t("name")}</th>
                <th>{t("numbers.carrier")}</th>
                <th>{t("numbers.answers")}</th>
                <th>{t("changed")}</th>
                <th>{t("id")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((each) => (
                <tr key={each.id} className="linked">
                  <td>
                    <a href={`?open=${each.id}`} className="main num" dir="ltr" onClick={(event) => { event.preventDefault(); change({ open: each.id }); }}>
                      {each.number}
                    </a>
                  </td>
                  <td className="quiet">{each.name}</td>
                  <td>{t(`carrier.${each.provider}`)}</td>
                  <td>{each.agentId ? (agents.get(each.agentId) ?? "—") : <Badge kind="warn">{t("numbers.noagent")}</Badge>}</td>
                  <td className="quiet"><Time iso={each.updatedAt} /></td>
                  <td><Copy text={each.id} short /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.data && <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />}
      {making && <NumberDialog onClose={() => setMaking(false)} />}
      {search.open && opened.data && <NumberDialog key={opened.data.id} known={opened.data} onClose={() => change({ open: undefined })} />}
    </div>
  );
}

function NumberDialog({ known, onClose }: { known?: PhoneNumber; onClose: () => void }) {
  const agents = useAgentNames();
  const may = useMay("developer");
  const server = useSession().serverUrl;
  const before = known as Record<string, unknown> | undefined;
  const [number, setNumber] = useState(known?.number ?? "");
  const [name, setName] = useState(known?.name ?? "");
  const [provider, setProvider] = useState<Provider>(known?.provider ?? "twilio");
  const [mode, setMode] = useState<"registration" | "ip_allowlist">(known?.sipMode ?? "registration");
  const [agentId, setAgent] = useState<string | null>(known?.agentId ?? null);
  const [port, setPort] = useState<number | null>(known?.sipPort ?? null);
  const [more, setMore] = useState<Record<string, string>>({});
  const [asking, setAsking] = useState(false);
  const dirty = useDirty([number, name, provider, mode, agentId, port, more]);
  const fields: Field[] = provider === "sip" && mode === "ip_allowlist" ? ["sipIp", "sipProtocol"] : FIELDS[provider];
  const save = useMutation({
    mutationFn: () => {
      const given = Object.fromEntries(fields.flatMap((field) => (more[field] === undefined ? [] : [[field, more[field] || null]])));
      const sip = provider === "sip" ? { sipMode: mode, sipPort: port } : {};
      const wish = { name: name || undefined, number, provider, agentId, ...sip, ...given };
      return known ? data(api.PATCH("/v1/phone-numbers/{id}", { params: { path: { id: known.id } }, body: wish as Schemas["PhoneNumberPatch"] })) : data(api.POST("/v1/phone-numbers", { body: wish as Schemas["PhoneNumberCreate"] }));
    },
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["numbers"] });
      await queries.invalidateQueries({ queryKey: ["number"] });
      toast(t("saved"));
      onClose();
    },
  });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  const webhooks = (WEBHOOKS[provider] ?? []).map((path) => server + path);
  const remove = async () => {
    await data(api.DELETE("/v1/phone-numbers/{id}", { params: { path: { id: known?.id ?? "" } } }));
    await queries.invalidateQueries({ queryKey: ["numbers"] });
    onClose();
  };
  return (
    <Dialog title={known ? known.number : t("numbers.new")} open onClose={onClose} dirty={dirty}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
        <div className="two">
          <TextField label={t("number")} type="tel" value={number} onChange={setNumber} placeholder="+14155550100" required wrong={wrong?.of("number")} dir="ltr" />
          <TextField label={t("name")} value={name} onChange={setName} wrong={wrong?.of("name")} maxLength={255} />
        </div>
        <div className="two">
          <SelectField label={t("numbers.carrier")} value={provider} onChange={(id) => setProvider(id as Provider)} choices={PROVIDERS.map((id) => ({ id, label: t(`carrier.${id}`) }))} />
          <SelectField label={t("numbers.answers")} value={agentId ?? ""} onChange={(id) => setAgent(id || null)} wrong={wrong?.of("agentId")} choices={[{ id: "", label: t("numbers.nobody") }, ...[...agents].map(([id, label]) => ({ id, label }))]} />
        </div>
        {provider === "sip" && (
          <div className="two">
            <SelectField label={t("sip.mode")} value={mode} onChange={(id) => setMode(id as typeof mode)} choices={[{ id: "registration", label: t("sip.registration") }, { id: "ip_allowlist", label: t("sip.allowlist") }]} />
            <NumberField label={t("sip.port")} value={port} onChange={setPort} min={1} max={65535} placeholder="5060" wrong={wrong?.of("sipPort")} />
          </div>
        )}
        {fields.map((field) => CHOICES[field] ? (
          <SelectField key={field} label={t(`connection.${field}`)} value={more[field] ?? String(before?.[field] ?? CHOICES[field][0])} onChange={(value) => setMore((old) => ({ ...old, [field]: value }))} wrong={wrong?.of(field)} choices={CHOICES[field].map((id) => ({ id, label: id }))} />
        ) : (
          <TextField
            key={field}
            label={t(`connection.${field}`)}
            dir="ltr"
            type={SECRET.has(field) ? "password" : "text"}
            autoComplete="off"
            value={more[field] ?? (SECRET.has(field) ? "" : String(before?.[field] ?? ""))}
            placeholder={SECRET.has(field) && known?.hasCredentials ? t("secret.kept") : undefined}
            onChange={(value) => setMore((old) => ({ ...old, [field]: value }))}
            wrong={wrong?.of(field)}
          />
        ))}
        {webhooks.length > 0 && (
          <div className="note small">
            <span>{t("numbers.webhook")}</span>
            {webhooks.map((url) => <Code key={url}>{url}</Code>)}
          </div>
        )}
        {provider === "voximplant" && (known?.provider === "voximplant" ? <Scenario id={known.id} /> : <p className="note small">{t("numbers.scenario.later")}</p>)}
        {known && may && <NumberCheck id={known.id} />}
        <Failure error={save.error} />
        <div className="foot">
          {known && may && <Button look="danger" onPress={() => setAsking(true)}>{t("delete")}</Button>}
          <span className="grow" />
          <Button onPress={onClose}>{t("cancel")}</Button>
          {may && <Button type="submit" look="strong" isDisabled={save.isPending}>{t("save")}</Button>}
        </div>
      </form>
      <Confirm title={t("numbers.delete", { number })} open={asking} onClose={() => setAsking(false)} act={remove} verb={t("delete")}>
        {t("numbers.delete.text")}
      </Confirm>
    </Dialog>
  );
}

/** What runs at Voximplant: made by the server, as the number is stored. */
function Scenario({ id }: { id: string }) {
  const found = useQuery({ queryKey: ["number", id, "scenario"], queryFn: () => data(api.GET("/v1/phone-numbers/{id}/scenario", { params: { path: { id } } })) });
  return (
    <div className="note small stack">
      <span>{t("numbers.scenario")}</span>
      <Failure error={found.error} />
      {found.isPending && <Waiting lines={2} />}
      {found.data && (
        <details>
          <summary>{t("numbers.scenario.show", { version: number(found.data.version) })}</summary>
          <Code>{found.data.script}</Code>
        </details>
      )}
      {found.data && (
        <div>
          <Button icon="copy" onPress={() => void copy(found.data.script)}>
            {t("numbers.scenario.copy")}
          </Button>
        </div>
      )}
    </div>
  );
}

// Asks the carrier, as the number is stored: what is typed in the form and not saved is not tried.
function NumberCheck({ id }: { id: string }) {
  const check = useMutation({ mutationFn: () => data(api.POST("/v1/phone-numbers/{id}/check", { params: { path: { id } } })) });
  const kinds = { ok: "good", note: "warn", problem: "bad" } as const;
  return (
    <div className="stack">
      <div>
        <Button icon="check" isDisabled={check.isPending} onPress={() => check.mutate()}>
          {check.isPending ? t("numbers.checking") : t("numbers.check")}
        </Button>
      </div>
      <Failure error={check.error} />
      {check.data && (
        <ul className="bare-list small stack" aria-label={t("numbers.check")}>
          {check.data.findings.map((each) => (
            <li key={each.what}>
              <Badge kind={kinds[each.state]}>{t(`check.${each.what}`)}</Badge> <span dir="auto">{each.says}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
