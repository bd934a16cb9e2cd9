// The fields of an agent's form: each with its default, its marks, and what is wrong with it. What
// is drawn carries the API's name of the field in `data-field`, by which a test finds what lacks.
import { type ReactNode, useState } from "react";
import { Button } from "../parts/basic";
import { ComboField } from "../parts/combo";
import { NumberField, TextField } from "../parts/fields";
import type { Choice } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { type Key, t } from "../words";
import { type Agent, DEFAULTS, type Field, type Form } from "./agent-state";

export type Group = { form: Form };

/** A dot on what was changed and is not saved, and the way back to the default. */
export function Marks({ form, field }: Group & { field: Field }): ReactNode {
  return (
    <span className="marks" data-field={field}>
      {field in form.changes && <span className="dot" title={t("agent.unsaved.field")} />}
      {field in DEFAULTS && !form.isDefault(field) && (
        <button type="button" className="reset" onClick={() => form.reset(field)} aria-label={t("agent.reset", { field: label(field) })} title={t("agent.reset.short")}>
          ↺
        </button>
      )}
    </span>
  );
}

export function label(field: Field) {
  return t(`field.${field}` as Key);
}

export function hint(field: Field) {
  return t(`hint.${field}` as Key);
}

/** What every field has: `{...of(form, "voiceId")}`. */
export function of(form: Form, field: Field) {
  return { label: label(field), after: <Marks form={form} field={field} />, wrong: form.wrong(field) };
}

type Numeric = { [F in Field]: Agent[F] extends number | null ? F : never }[Field];

export function Num({ form, field, min, max, step = 1 }: Group & { field: Numeric; min: number; max: number; step?: number }) {
  return <NumberField {...of(form, field)} hint={hint(field)} value={form.shown[field] as number | null} onChange={(value) => form.set(field, value as never)} min={min} max={max} step={step} />;
}

type Boolean_ = { [F in Field]: Agent[F] extends boolean ? F : never }[Field];

export function Bool({ form, field }: Group & { field: Boolean_ }) {
  return <SwitchField label={label(field)} hint={hint(field)} after={<Marks form={form} field={field} />} value={form.shown[field] as boolean} onChange={(value) => form.set(field, value as never)} />;
}

/** A list of texts, one a line; what is being typed stays as it is typed. */
export function Lines({ value, onChange, rows = 4, ...rest }: Omit<React.ComponentProps<typeof TextField>, "value" | "onChange"> & { value: string[]; onChange: (value: string[]) => void }) {
  const [text, setText] = useState(value.join("\n"));
  const same = JSON.stringify(parsed(text)) === JSON.stringify(value);
  return (
    <TextField
      {...rest}
      rows={rows}
      value={same ? text : value.join("\n")}
      onChange={(next) => {
        setText(next);
        onChange(parsed(next));
      }}
    />
  );
}

const parsed = (text: string) => [...new Set(text.split("\n").map((line) => line.trim()).filter(Boolean))];

type Several = "slmModelFallbackIds" | "voiceFallbackIds" | "transcriberFallbackIds";
const MOST_FALLBACKS = 5;

/** What takes over, the best first. */
export function Fallbacks({ form, field, choices, first }: Group & { field: Several; choices: Choice[]; first: string | null }) {
  const chosen = form.shown[field];
  const put = (next: string[]) => form.set(field, next);
  const free = choices.filter((each) => each.id !== first && !chosen.includes(each.id));
  const wrong = form.wrong(field);
  return (
    <fieldset className="stack thin fallbacks">
      <legend className="labels">
        <span className="label">{label(field)}</span>
        <Marks form={form} field={field} />
      </legend>
      <span className="hint small quiet">{hint(field)}</span>
      {chosen.map((id, n) => (
        <div key={id} className="row">
          <div className="grow">
            <ComboField
              label={<span className="hidden">{t("fallback.at", { place: n + 1 })}</span>}
              value={id}
              onChange={(next) => next && put(chosen.map((old) => (old === id ? next : old)))}
              choices={[choices.find((each) => each.id === id) ?? { id, label: t("fallback.gone", { id: id.slice(0, 8) }) }, ...free]}
            />
          </div>
          {n > 0 && (
            <Button look="tiny" aria-label={t("fallback.up", { place: n + 1 })} onPress={() => put(chosen.map((_, m) => (m === n - 1 ? id : m === n ? (chosen[n - 1] ?? id) : (chosen[m] ?? id))))}>
              ↑
            </Button>
          )}
          <Button look="bare" icon="close" aria-label={t("remove")} onPress={() => put(chosen.filter((old) => old !== id))} />
        </div>
      ))}
      {wrong && <span className="wrong" role="alert">{wrong}</span>}
      {chosen.length < MOST_FALLBACKS && free.length > 0 && (
        <div>
          <Button look="tiny" icon="plus" onPress={() => put([...chosen, (free[0] as Choice).id])}>
            {t("fallback.add")}
          </Button>
        </div>
      )}
    </fieldset>
  );
}

export function Rows<T>({ items, onChange, fresh, add, row, className = "fieldrow" }: { items: T[]; onChange: (items: T[]) => void; fresh: T; add: string; row: (item: T, put: (item: T) => void, n: number) => ReactNode; className?: string }) {
  return (
    <div className="stack">
      {items.map((item, n) => (
        <div key={n} className={className}>
          {row(item, (next) => onChange(items.map((old, m) => (m === n ? next : old))), n)}
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
