// How a hosted language model is asked. What is empty is as the server has it.
import { useState } from "react";
import type { Schemas } from "../api/client";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { t } from "../words";
import { type Group, label, Marks } from "./agent-field";

type Options = NonNullable<Schemas["AgentPatch"]["modelOptions"]>;

const NONE: Required<Options> = { temperature: null, maxTokens: null, reasoningEffort: null, contextWindow: null, thinksInContent: null, firstTokenTimeoutMs: null, extraBody: null };

export function ModelOptions({ form }: Group) {
  const given: Options = { ...NONE, ...form.shown.modelOptions };
  const set = (changes: Options) => {
    const next = { ...given, ...changes };
    form.set("modelOptions", Object.values(next).every((value) => value === null || value === undefined) ? null : next);
  };
  const wrong = (name: keyof Options) => form.wrong(`modelOptions.${name}`);
  return (
    <details className="more" open={form.shown.modelOptions !== null || undefined}>
      <summary>{label("modelOptions")}</summary>
      <div className="form">
        <div className="labels">
          <span className="hint small quiet">{t("option.lead")}</span>
          <Marks form={form} field="modelOptions" />
        </div>
        <div className="two">
          <NumberField field="modelOptions.temperature" label={t("option.temperature")} wrong={wrong("temperature")} value={given.temperature ?? null} onChange={(temperature) => set({ temperature })} min={0} max={2} step={0.05} placeholder={t("default")} />
          <NumberField field="modelOptions.maxTokens" label={t("option.maxTokens")} wrong={wrong("maxTokens")} value={given.maxTokens ?? null} onChange={(maxTokens) => set({ maxTokens })} min={1} max={1_000_000} placeholder={t("default")} />
          <TextField field="modelOptions.reasoningEffort" label={t("option.reasoningEffort")} wrong={wrong("reasoningEffort")} value={given.reasoningEffort ?? ""} onChange={(value) => set({ reasoningEffort: value || null })} maxLength={50} placeholder={t("default")} />
          <NumberField field="modelOptions.contextWindow" label={t("option.contextWindow")} wrong={wrong("contextWindow")} value={given.contextWindow ?? null} onChange={(contextWindow) => set({ contextWindow })} min={256} max={100_000_000} placeholder={t("default")} />
          <NumberField field="modelOptions.firstTokenTimeoutMs" label={t("option.firstTokenTimeoutMs")} wrong={wrong("firstTokenTimeoutMs")} value={given.firstTokenTimeoutMs ?? null} onChange={(firstTokenTimeoutMs) => set({ firstTokenTimeoutMs })} min={500} max={60_000} placeholder="5000" />
          <SelectField
            field="modelOptions.thinksInContent"
            label={t("option.thinksInContent")}
            wrong={wrong("thinksInContent")}
            value={given.thinksInContent === null || given.thinksInContent === undefined ? "" : String(given.thinksInContent)}
            onChange={(id) => set({ thinksInContent: id === "" ? null : id === "true" })}
            choices={[{ id: "", label: t("option.found") }, { id: "true", label: t("yes") }, { id: "false", label: t("no") }]}
          />
        </div>
        <Json field="modelOptions.extraBody" label={t("option.extraBody")} hint={t("option.extraBody.hint")} wrong={wrong("extraBody")} value={given.extraBody ?? null} onChange={(extraBody) => set({ extraBody })} />
      </div>
    </details>
  );
}

type Body = Record<string, unknown>;

/** An object as JSON; what is none yet is told of, and not set. */
function Json({ value, onChange, wrong, ...rest }: { field: string; label: string; hint: string; wrong?: string; value: Body | null; onChange: (value: Body | null) => void }) {
  const [text, setText] = useState(value ? JSON.stringify(value, null, 2) : "");
  const read = parsed(text);
  const kept = read !== undefined && JSON.stringify(read) === JSON.stringify(value);
  return (
    <TextField
      {...rest}
      rows={3}
      mono
      dir="ltr"
      value={read === undefined || kept ? text : value ? JSON.stringify(value, null, 2) : ""}
      wrong={read === undefined ? t("json.wrong") : wrong}
      onChange={(next) => {
        setText(next);
        const found = parsed(next);
        if (found !== undefined) onChange(found);
      }}
    />
  );
}

function parsed(text: string): Body | null | undefined {
  if (!text.trim()) return null;
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null && !Array.isArray(found) ? (found as Body) : undefined;
  } catch {
    return undefined;
  }
}
