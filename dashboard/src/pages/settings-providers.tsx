// Keys of vendors that hear, think and speak: brought, tried, replaced and taken away.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { providerKeysQuery } from "../api/all";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Badge, Button, curl, Empty, Failure, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog, Menu } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { maybe, ms, t } from "../words";

type ProviderKey = Schemas["ProviderKey"];
type Provider = ProviderKey["provider"];
type Asked = "required" | "optional";

// Every vendor that the API names, or the types are wrong. What `base` and `models` ask for is as
// the API's own checks have it.
const VENDORS: Record<Provider, { title: string; base: Asked; models: Asked | null }> = {
  openai: { title: "OpenAI", base: "optional", models: "optional" },
  azure_openai: { title: "Azure OpenAI", base: "required", models: "required" },
  anthropic: { title: "Anthropic", base: "optional", models: "optional" },
  google: { title: "Google Gemini", base: "optional", models: "optional" },
  groq: { title: "Groq", base: "optional", models: "optional" },
  mistral: { title: "Mistral", base: "optional", models: "optional" },
  openrouter: { title: "OpenRouter", base: "optional", models: "optional" },
  together: { title: "Together", base: "optional", models: "optional" },
  deepgram: { title: "Deepgram", base: "optional", models: null },
  elevenlabs: { title: "ElevenLabs", base: "optional", models: null },
  cartesia: { title: "Cartesia", base: "optional", models: null },
  assemblyai: { title: "AssemblyAI", base: "optional", models: null },
  soniox: { title: "Soniox", base: "optional", models: null },
  azure_speech: { title: "Azure Speech", base: "required", models: null },
  google_speech: { title: "Google Cloud Speech", base: "optional", models: null },
  faseeh: { title: "Faseeh", base: "optional", models: null },
  custom: { title: "OpenAI-compatible", base: "required", models: "optional" },
};

const again = () => {
  for (const key of [["provider-keys"], ["slm-models"], ["voices"], ["transcribers"]]) void queries.invalidateQueries({ queryKey: key });
};

export function ProviderKeys() {
  const may = useMay("admin");
  const [making, setMaking] = useState(false);
  const found = useQuery(providerKeysQuery);
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  const rows = found.data;
  const add = may && (
    <Button look="strong" icon="plus" onPress={() => setMaking(true)}>
      {t("providers.new")}
    </Button>
  );
  return (
    <>
      <div className="bar">
        <p className="quiet grow">{t("providers.lead")}</p>
        {rows.length > 0 && add}
      </div>
      {rows.length === 0 && (
        <Empty title={t("providers.none")} action={add} code={curl("POST", "/v1/provider-keys", { provider: "deepgram", apiKey: "…" })}>
          {t("providers.none.text")}
        </Empty>
      )}
      <ul className="stack bare-list">
        {rows.map((key) => (
          <li key={key.id} className="card stack thin">
            <One known={key} may={may} />
          </li>
        ))}
      </ul>
      {making && <NewKey onClose={() => setMaking(false)} />}
    </>
  );
}

function One({ known, may }: { known: ProviderKey; may: boolean }) {
  const [open, setOpen] = useState<"edit" | "rotate" | "delete" | null>(null);
  const path = { params: { path: { id: known.id } } };
  const test = useMutation({ mutationFn: () => data(api.POST("/v1/provider-keys/{id}/test", path)), onSuccess: again });
  const told = test.data ?? known.lastTest;
  const close = () => setOpen(null);
  return (
    <>
      <div className="row">
        <span className="grow">
          <strong>{known.name}</strong> <span className="mono small quiet">{known.keyHint}</span>
          <span className="small quiet" style={{ display: "block" }}>
            {[VENDORS[known.provider].title, known.usedFor.map((part) => t(`part.${part}`)).join(", ")].join(" · ")}
          </span>
        </span>
        {told && <Badge kind={told.ok ? "good" : "bad"}>{told.ok ? t("providers.good") : maybe(`problem.${told.problem}`, told.problem ?? "")}</Badge>}
        {may && (
          <>
            <Button look="tiny" isDisabled={test.isPending} onPress={() => test.mutate()}>
              {test.isPending ? t("providers.testing") : t("providers.test")}
            </Button>
            <Menu
              label={t("providers.more", { name: known.name })}
              entries={[
                { id: "edit", label: t("edit"), act: () => setOpen("edit") },
                { id: "rotate", label: t("providers.rotate"), act: () => setOpen("rotate") },
                { id: "delete", label: t("delete"), act: () => setOpen("delete") },
              ]}
            />
          </>
        )}
      </div>
      <div role="status">
        {told && (
          <p className={`small note ${told.ok ? "good" : "bad"}`}>
            <span dir="auto">{told.message}</span>
            <span>
              {ms(told.elapsedMs)} · <Time iso={told.testedAt} />
            </span>
          </p>
        )}
      </div>
      <Failure error={test.error} />
      <p className="small quiet">
        {known.rotatedAt ? t("providers.rotated") : t("created")} <Time iso={known.rotatedAt ?? known.createdAt} />
        {known.baseUrl && (
          <>
            {" · "}
            <span className="mono" dir="ltr">{known.baseUrl}</span>
          </>
        )}
        {known.models.length > 0 && (
          <>
            {" · "}
            <span className="mono" dir="ltr">{known.models.join(", ")}</span>
          </>
        )}
      </p>
      {open === "edit" && <Edit known={known} onClose={close} />}
      {open === "rotate" && <Rotate known={known} onClose={close} />}
      <Confirm
        title={t("providers.delete", { name: known.name })}
        open={open === "delete"}
        onClose={close}
        verb={t("delete")}
        act={async () => {
          await data(api.DELETE("/v1/provider-keys/{id}", path));
          again();
        }}
      >
        {t("providers.delete.text")}
      </Confirm>
    </>
  );
}

const lines = (text: string) => text.split("\n").map((line) => line.trim()).filter(Boolean);

function NewKey({ onClose }: { onClose: () => void }) {
  const [provider, setProvider] = useState<Provider>("openai");
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const [url, setUrl] = useState("");
  const [models, setModels] = useState("");
  const vendor = VENDORS[provider];
  const make = useMutation({
    mutationFn: () => data(api.POST("/v1/provider-keys", { body: { provider, apiKey: secret.trim(), name: name.trim() || null, baseUrl: url.trim() || null, models: vendor.models ? lines(models) : [] } })),
    onSuccess: () => {
      again();
      onClose();
    },
  });
  const wrong = make.error instanceof ApiError ? make.error : undefined;
  return (
    <Dialog title={t("providers.new")} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
        <SelectField label={t("providers.vendor")} value={provider} onChange={(id) => setProvider(id as Provider)} choices={Object.entries(VENDORS).map(([id, each]) => ({ id, label: each.title }))} wrong={wrong?.of("provider")} />
        <SecretField value={secret} onChange={setSecret} wrong={wrong?.of("apiKey")} provider={provider} />
        <TextField label={t("providers.name")} value={name} onChange={setName} placeholder={vendor.title} maxLength={255} wrong={wrong?.of("name")} />
        <TextField label={t("providers.base")} hint={vendor.base === "optional" ? t("providers.base.hint") : t("providers.base.required")} type="url" value={url} onChange={setUrl} placeholder="https://" required={vendor.base === "required"} dir="ltr" wrong={wrong?.of("baseUrl")} />
        {vendor.models && <TextField label={t("providers.models")} hint={t("providers.models.hint")} value={models} onChange={setModels} rows={3} mono required={vendor.models === "required"} dir="ltr" wrong={wrong?.of("models")} />}
        <Failure error={make.error} />
        <Foot onClose={onClose} verb={t("create")} waits={make.isPending} />
      </form>
    </Dialog>
  );
}

function Edit({ known, onClose }: { known: ProviderKey; onClose: () => void }) {
  const [name, setName] = useState(known.name);
  const [models, setModels] = useState(known.models.join("\n"));
  const vendor = VENDORS[known.provider];
  const save = useMutation({
    mutationFn: () => data(api.PATCH("/v1/provider-keys/{id}", { params: { path: { id: known.id } }, body: { name, ...(vendor.models ? { models: lines(models) } : {}) } })),
    onSuccess: () => {
      again();
      onClose();
    },
  });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  return (
    <Dialog title={known.name} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
        <TextField label={t("name")} value={name} onChange={setName} required maxLength={255} wrong={wrong?.of("name")} />
        {vendor.models && <TextField label={t("providers.models")} hint={t("providers.models.hint")} value={models} onChange={setModels} rows={4} mono required={vendor.models === "required"} dir="ltr" wrong={wrong?.of("models")} />}
        <Failure error={save.error} />
        <Foot onClose={onClose} verb={t("save")} waits={save.isPending} />
      </form>
    </Dialog>
  );
}

function Rotate({ known, onClose }: { known: ProviderKey; onClose: () => void }) {
  const [secret, setSecret] = useState("");
  const [url, setUrl] = useState(known.baseUrl ?? "");
  const rotate = useMutation({
    mutationFn: () => data(api.POST("/v1/provider-keys/{id}/rotate", { params: { path: { id: known.id } }, body: { apiKey: secret.trim(), baseUrl: url.trim() || null } })),
    onSuccess: () => {
      again();
      onClose();
    },
  });
  const wrong = rotate.error instanceof ApiError ? rotate.error : undefined;
  return (
    <Dialog title={t("providers.rotate.of", { name: known.name })} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); rotate.mutate(); }}>
        <p className="quiet">{t("providers.rotate.text")}</p>
        <SecretField value={secret} onChange={setSecret} wrong={wrong?.of("apiKey")} provider={known.provider} />
        <TextField label={t("providers.base")} hint={t("providers.base.keep")} type="url" value={url} onChange={setUrl} placeholder="https://" dir="ltr" wrong={wrong?.of("baseUrl")} />
        <Failure error={rotate.error} />
        <Foot onClose={onClose} verb={t("providers.rotate")} waits={rotate.isPending} />
      </form>
    </Dialog>
  );
}

function SecretField({ value, onChange, wrong, provider }: { value: string; onChange: (value: string) => void; wrong?: string; provider: Provider }) {
  // A key file is JSON of one object: its line breaks may be lost in a field of one line.
  const hint = provider === "google_speech" ? t("providers.secret.file") : t("providers.secret.hint");
  return <TextField label={t("providers.secret")} hint={hint} type="password" autoComplete="off" value={value} onChange={onChange} required autoFocus dir="ltr" wrong={wrong} />;
}

function Foot({ onClose, verb, waits }: { onClose: () => void; verb: string; waits: boolean }) {
  return (
    <div className="foot">
      <Button onPress={onClose}>{t("cancel")}</Button>
      <Button type="submit" look="strong" isDisabled={waits}>{verb}</Button>
    </div>
  );
}
