// Fields of forms that are typed into: a label, the control, a hint, and what is wrong with it. What
// takes a library to choose with is in files of its own, for pages that need it: `select.tsx`,
// `combo.tsx`, `switch.tsx`.
import { type ReactNode, useId } from "react";
import { t } from "../words";

/** `field`: the API's name of what is set here, where it is part of a field that holds others. */
export type Common = { label: ReactNode; hint?: ReactNode; wrong?: string; after?: ReactNode; field?: string };

function Frame({ id, label, hint, wrong, after, field, children }: Common & { id: string; children: ReactNode }) {
  return (
    <div className="field" data-invalid={wrong ? "" : undefined} data-field={field}>
      <div className="labels">
        <label htmlFor={id}>{label}</label>
        {after}
      </div>
      {children}
      {hint && (
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {wrong && (
        <span className="wrong" id={`${id}-wrong`} role="alert">
          {wrong}
        </span>
      )}
    </div>
  );
}

function told(id: string, { hint, wrong }: { hint?: ReactNode; wrong?: string }) {
  const by = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return { "aria-describedby": by || undefined, "aria-invalid": wrong ? true : undefined } as const;
}

type Typed = Common & {
  value: string;
  onChange: (value: string) => void;
  type?: string;
  placeholder?: string;
  autoComplete?: string;
  required?: boolean;
  autoFocus?: boolean;
  rows?: number;
  mono?: boolean;
  name?: string;
  maxLength?: number;
  min?: number;
  max?: number;
  step?: number;
  dir?: "ltr";
};

export function TextField({ label, hint, wrong, after, field, value, onChange, rows, mono, ...rest }: Typed) {
  const id = useId();
  const given = { id, value, ...rest, ...told(id, { hint, wrong }), className: mono ? "mono" : undefined };
  return (
    <Frame {...{ id, label, hint, wrong, after, field }}>
      {rows ? (
        <textarea {...given} rows={rows} onChange={(e) => onChange(e.target.value)} />
      ) : (
        <input type="text" {...given} onChange={(e) => onChange(e.target.value)} />
      )}
    </Frame>
  );
}

/** A number that may be empty, which is null: the platform's own value, shown in its place. */
export function NumberField({ value, onChange, ...rest }: Omit<Typed, "value" | "onChange"> & { value: number | null; onChange: (value: number | null) => void }) {
  return (
    <TextField
      {...rest}
      type="number"
      value={value === null ? "" : String(value)}
      onChange={(text) => onChange(text === "" ? null : Number(text))}
    />
  );
}

/** From which day, to which day: they stay side by side, whatever stands beside them. */
export function DayFields({ from, to, set }: { from?: string; to?: string; set: (which: "from" | "to") => (value: string) => void }) {
  return (
    <div className="days">
      <DateField label={t("from")} value={from} onChange={set("from")} />
      <DateField label={t("to")} value={to} onChange={set("to")} />
    </div>
  );
}

function DateField({ label, value, onChange }: { label: string; value?: string; onChange: (value: string) => void }) {
  return (
    <label className="field">
      <span className="label">{label}</span>
      <input type="date" value={value ?? ""} onChange={(event) => onChange(event.target.value)} />
    </label>
  );
}
