// The groups of an agent's settings.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { api, body, type Schemas } from "../api/client";
import { Button } from "../parts/basic";
import { ComboField } from "../parts/combo";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { Prompt } from "../parts/prompt";
import { type Key, money, t } from "../words";
import { allVoices } from "./agents";
import type { Agent, Field, Form } from "./agent-state";

type Group = { form: Form };

/** A dot on what was changed and is not saved, and the way back to the default. */
function Marks({ form, field }: { form: Form; field: Field }): ReactNode {
  return (
    <>
      {field in form.changes && <span className="dot" title={t("agent.unsaved.field")} />}
      {!form.isDefault(field) && (
        <button type="button" className="reset" onClick={() => form.reset(field)} aria-label={t("agent.reset", { field: t(`field.${field}` as Key) })} title={t("agent.reset.short")}>
          ↺
        </button>
      )}
    </>
  );
}

function label(field: Field) {
  return t(`field.${field}` as Key);
}

function hint(field: Field) {
  return t(`hint.${field}` as Key);
}

type Numeric = { [F in Field]: Agent[F] extends number | null ? F : never }[Field];

function Num({ form, field, min, max, step = 1 }: Group & { field: Numeric; min: number; max: number; step?: number }) {
  return <NumberField label={label(field)} hint={hint(field)} after={<Marks form={form} field={field} />} wrong={form.wrong(field)} value={form.shown[field] as number | null} onChange={(value) => form.set(field, value as never)} min={min} max={max} step={step} />;
}

type Boolean_ = { [F in Field]: Agent[F] extends boolean ? F : never }[Field];

function Bool({ form, field }: Group & { field: Boolean_ }) {
  return <SwitchField label={label(field)} hint={hint(field)} after={<Marks form={form} field={field} />} value={form.shown[field] as boolean} onChange={(value) => form.set(field, value as never)} />;
}

export function PromptGroup({ form }: Group) {
  const { shown, set } = form;
  const models = useQuery({ queryKey: ["slm-models", "all"], staleTime: 600_000, queryFn: async () => (await body(api.GET("/v1/slm-models", { params: { query: { limit: 100 } } }))).data });
  return (
    <>
      <div className="two">
        <TextField label={label("name")} value={shown.name} onChange={(value) => set("name", value)} wrong={form.wrong("name")} after={"name" in form.changes ? <span className="dot" /> : null} maxLength={255} required />
        <SelectField
          label={label("slmModelId")}
          after={<Marks form={form} field="slmModelId" />}
          wrong={form.wrong("slmModelId")}
          value={shown.slmModelId ?? ""}
          onChange={(id) => set("slmModelId", id || null)}
          choices={[
            { id: "", label: t("default.of", { what: models.data?.find((m) => m.isDefault)?.name ?? "—" }) },
            ...(models.data ?? []).map((m) => ({ id: m.id, label: m.name, note: [m.provider, m.pricePerMillionOutputTokens ? t("price.tokens", { in: money(m.pricePerMillionInputTokens), out: money(m.pricePerMillionOutputTokens) }) : null].filter(Boolean).join(" · ") })),
          ]}
        />
      </div>
      <Prompt label={label("systemPrompt")} value={shown.systemPrompt} onChange={(value) => set("systemPrompt", value)} wrong={form.wrong("systemPrompt")} maxLength={32_000} after={<Marks form={form} field="systemPrompt" />} rows={18} />
      <div className="two">
        <SelectField label={label("firstSpeaker")} hint={hint("firstSpeaker")} after={<Marks form={form} field="firstSpeaker" />} value={shown.firstSpeaker} onChange={(id) => set("firstSpeaker", id as Agent["firstSpeaker"])} choices={[{ id: "user", label: t("speaker.user") }, { id: "agent", label: t("speaker.agent") }]} />
        {shown.firstSpeaker === "agent" && <Num form={form} field="firstMessageDelay" min={0} max={10_000} step={50} />}
      </div>
      {shown.firstSpeaker === "agent" && (
        <>
          <Bool form={form} field="agentGreetingEnabled" />
          {shown.agentGreetingEnabled && <Prompt label={label("agentGreeting")} value={shown.agentGreeting ?? ""} onChange={(value) => set("agentGreeting", value || null)} wrong={form.wrong("agentGreeting")} rows={3} maxLength={1000} after={<Marks form={form} field="agentGreeting" />} />}
          <Bool form={form} field="firstMessageUninterruptible" />
        </>
      )}
    </>
  );
}

/** Characters that a voice speaks in a minute of a call, half of which the agent talks. */
const CHARACTERS_A_MINUTE = 450;

export function Voice({ form }: Group) {
  const { shown, set } = form;
  const voices = useQuery({ queryKey: ["voices", "all"], staleTime: 600_000, queryFn: allVoices });
  const sounds = useQuery({ queryKey: ["sounds"], staleTime: 600_000, queryFn: async () => (await body(api.GET("/v1/background-sounds", { params: { query: { limit: 100 } } }))).data });
  const chosen = voices.data?.find((each) => (shown.voiceId ? each.id === shown.voiceId : each.isDefault));
  return (
    <>
      {voices.data && (
        <ComboField
          label={label("voiceId")}
          hint={chosen && [chosen.provider, chosen.languages.join(", "), chosen.gender, chosen.pricePerMillionCharacters === null ? null : t("price.minute", { money: money((chosen.pricePerMillionCharacters / 1e6) * CHARACTERS_A_MINUTE) })].filter(Boolean).join(" · ")}
          after={<Marks form={form} field="voiceId" />}
          wrong={form.wrong("voiceId")}
          value={shown.voiceId ?? ""}
          onChange={(id) => id !== null && set("voiceId", id || null)}
          choices={[{ id: "", label: t("default.of", { what: voices.data.find((v) => v.isDefault)?.name ?? "—" }) }, ...voices.data.map((v) => ({ id: v.id, label: `${v.name} (${v.language})`, note: v.provider }))]}
        />
      )}
      {chosen?.previewUrl && <audio controls preload="none" src={chosen.previewUrl} aria-label={t("voice.preview", { name: chosen.name })} />}
      <div className="two">
        <Num form={form} field="voiceSpeed" min={0.6} max={1.5} step={0.05} />
        <Num form={form} field="voiceStability" min={0} max={1} step={0.05} />
      </div>
      <div className="two">
        <SelectField label={label("backgroundSoundId")} after={<Marks form={form} field="backgroundSoundId" />} value={shown.backgroundSoundId ?? ""} onChange={(id) => set("backgroundSoundId", id || null)} choices={[{ id: "", label: t("none") }, ...(sounds.data ?? []).map((s) => ({ id: s.id, label: s.name, note: s.description }))]} />
        {shown.backgroundSoundId && <Num form={form} field="backgroundSoundVolume" min={0} max={1} step={0.05} />}
      </div>
    </>
  );
}

export function Turns({ form }: Group) {
  return (
    <>
      <p className="quiet">{t("turns.lead")}</p>
      <div className="two">
        <Num form={form} field="turnEndpointDelay" min={50} max={2000} step={10} />
        <Num form={form} field="minTurnDuration" min={0} max={2000} step={10} />
        <Num form={form} field="minInterruptionDuration" min={0} max={2000} step={10} />
        <Num form={form} field="postSpeechCooldown" min={0} max={5000} step={10} />
        <Num form={form} field="speculativeSilenceMs" min={0} max={5000} step={10} />
        <Num form={form} field="fallbackSilenceMs" min={0} max={10_000} step={100} />
      </div>
    </>
  );
}

export function Hearing({ form }: Group) {
  return (
    <>
      <TextField label={label("languageHint")} hint={hint("languageHint")} after={<Marks form={form} field="languageHint" />} wrong={form.wrong("languageHint")} value={form.shown.languageHint ?? ""} onChange={(value) => form.set("languageHint", value || null)} maxLength={10} placeholder="en" />
      <div className="two">
        <Num form={form} field="frameActivationThreshold" min={0} max={1} step={0.05} />
        <Num form={form} field="ultravadEotThreshold" min={0} max={1} step={0.05} />
      </div>
    </>
  );
}

export function ToolsGroup({ form }: Group) {
  const { shown, set } = form;
  const tools = useQuery({ queryKey: ["tools", "all"], queryFn: async () => (await body(api.GET("/v1/tools", { params: { query: { limit: 100 } } }))).data });
  return (
    <>
      <h2>
        {label("toolIds")} <Marks form={form} field="toolIds" />
      </h2>
      {tools.data?.length === 0 && (
        <p className="quiet">
          {t("agent.notools")} <Link to="/tools">{t("nav.tools")}</Link>
        </p>
      )}
      <div className="choices">
        {tools.data?.map((tool) => {
          const on = shown.toolIds.includes(tool.id);
          return (
            <label key={tool.id} className="choice" data-chosen={on || undefined}>
              <input type="checkbox" checked={on} onChange={() => set("toolIds", on ? shown.toolIds.filter((id) => id !== tool.id) : [...shown.toolIds, tool.id])} />
              <span>
                <strong className="mono">{tool.name}</strong>
                <small>{tool.description}</small>
              </span>
            </label>
          );
        })}
      </div>
      <Bool form={form} field="allowEndCall" />
      <h2>
        {label("transferTargets")} <Marks form={form} field="transferTargets" />
      </h2>
      <Rows
        items={shown.transferTargets}
        onChange={(items) => set("transferTargets", items)}
        fresh={{ name: "", number: "+", description: "", type: "cold" }}
        add={t("transfer.add")}
        row={(item, put) => (
          <>
            <TextField label={t("name")} value={item.name} onChange={(name) => put({ ...item, name })} />
            <TextField label={t("number")} value={item.number} onChange={(number) => put({ ...item, number })} dir="ltr" />
            <SelectField label={t("type")} value={item.type ?? "cold"} onChange={(type) => put({ ...item, type: type as Schemas["TransferTarget"]["type"] })} choices={(["cold", "warm", "warm_briefing"] as const).map((id) => ({ id, label: t(`transfer.${id}`) }))} />
            <TextField label={t("transfer.when")} value={item.description ?? ""} onChange={(description) => put({ ...item, description })} />
          </>
        )}
      />
      {form.wrong("transferTargets") && <p className="note bad">{form.wrong("transferTargets")}</p>}
    </>
  );
}

function Rows<T>({ items, onChange, fresh, add, row }: { items: T[]; onChange: (items: T[]) => void; fresh: T; add: string; row: (item: T, put: (item: T) => void) => ReactNode }) {
  return (
    <div className="stack">
      {items.map((item, n) => (
        <div key={n} className="fieldrow">
          {row(item, (next) => onChange(items.map((old, m) => (m === n ? next : old))))}
          <Button look="bare" icon="close" aria-label={t("remove")} onPress={() => onChange(items.filter((_, m) => m !== n))} />
        </div>
      ))}
      <div>
        <Button icon="plus" onPress={() => onChange([...items, fresh])}>
          {add}
        </Button>
      </div>
    </div>
  );
}

export { Rows };

const TYPES = ["string", "number", "integer", "boolean", "array", "object"] as const;

export function After({ form }: Group) {
  const { shown, set } = form;
  return (
    <>
      <Bool form={form} field="postCallSummaryEnabled" />
      <h2>
        {label("postCallExtractionSchema")} <Marks form={form} field="postCallExtractionSchema" />
      </h2>
      <p className="quiet small">{hint("postCallExtractionSchema")}</p>
      <Rows
        items={shown.postCallExtractionSchema}
        onChange={(items) => set("postCallExtractionSchema", items)}
        fresh={{ name: "", type: "string", description: "", required: false }}
        add={t("extraction.add")}
        row={(item, put) => (
          <>
            <TextField label={t("name")} mono value={item.name} onChange={(name) => put({ ...item, name })} />
            <SelectField label={t("type")} value={item.type} onChange={(type) => put({ ...item, type: type as (typeof TYPES)[number] })} choices={TYPES.map((id) => ({ id, label: id }))} />
            <TextField label={t("description")} value={item.description ?? ""} onChange={(description) => put({ ...item, description })} />
            <SwitchField label={t("required")} value={item.required ?? false} onChange={(required) => put({ ...item, required })} />
          </>
        )}
      />
      {form.wrong("postCallExtractionSchema") && <p className="note bad">{form.wrong("postCallExtractionSchema")}</p>}
      <TextField label={label("postCallWebhookUrl")} hint={hint("postCallWebhookUrl")} after={<Marks form={form} field="postCallWebhookUrl" />} wrong={form.wrong("postCallWebhookUrl")} value={shown.postCallWebhookUrl ?? ""} onChange={(value) => set("postCallWebhookUrl", value || null)} type="url" placeholder="https://" dir="ltr" />
    </>
  );
}

export function Limits({ form }: Group) {
  return (
    <>
      <Bool form={form} field="isActive" />
      <div className="two">
        <Num form={form} field="maxCallDurationSeconds" min={30} max={3600} step={10} />
      </div>
    </>
  );
}
