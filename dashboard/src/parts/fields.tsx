// Fields of forms: a label, the control, a hint, and what is wrong with it.
import { type ReactNode, useId } from "react";
import { ComboBox, Input as ComboInput } from "react-aria-components/ComboBox";
import { Button } from "react-aria-components/Button";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Popover } from "react-aria-components/Popover";
import { Label } from "react-aria-components/Label";
import { Select, SelectValue } from "react-aria-components/Select";
import { Switch } from "react-aria-components/Switch";

type Common = { label: ReactNode; hint?: ReactNode; wrong?: string; after?: ReactNode };

function Frame({ id, label, hint, wrong, after, children }: Common & { id: string; children: ReactNode }) {
  return (
    <div className="field" data-invalid={wrong ? "" : undefined}>
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

export function TextField({ label, hint, wrong, after, value, onChange, rows, mono, ...rest }: Typed) {
  const id = useId();
  const given = { id, value, ...rest, ...told(id, { hint, wrong }), className: mono ? "mono" : undefined };
  return (
    <Frame {...{ id, label, hint, wrong, after }}>
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

export type Choice = { id: string; label: string; note?: string };

export function SelectField({ label, hint, wrong, after, value, onChange, choices, placeholder }: Common & { value: string | null; onChange: (id: string) => void; choices: Choice[]; placeholder?: string }) {
  const id = useId();
  return (
    <Select className="field" selectedKey={value} onSelectionChange={(key) => onChange(String(key))} placeholder={placeholder ?? "—"} isInvalid={!!wrong}>
      <div className="labels">
        <Label>{label}</Label>
        {after}
      </div>
      <Button className="picker">
        <SelectValue />
      </Button>
      {hint && <span className="hint">{hint}</span>}
      {wrong && (
        <span className="wrong" role="alert" id={`${id}-wrong`}>
          {wrong}
        </span>
      )}
      <Popover className="popover">
        <ListBox items={choices}>
          {(choice) => (
            <ListBoxItem className="item" id={choice.id} textValue={choice.label}>
              {choice.label}
              {choice.note && <span className="quiet">{choice.note}</span>}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </Select>
  );
}

/** For long lists: one types to find. */
export function ComboField({ label, hint, wrong, after, value, onChange, choices, placeholder }: Common & { value: string | null; onChange: (id: string | null) => void; choices: Choice[]; placeholder?: string }) {
  return (
    <ComboBox className="field" selectedKey={value} onSelectionChange={(key) => onChange(key === null ? null : String(key))} defaultItems={choices} menuTrigger="focus" isInvalid={!!wrong} allowsEmptyCollection={false}>
      <div className="labels">
        <Label>{label}</Label>
        {after}
      </div>
      <ComboInput placeholder={placeholder} />
      {hint && <span className="hint">{hint}</span>}
      {wrong && <span className="wrong">{wrong}</span>}
      <Popover className="popover" style={{ maxHeight: 320 }}>
        <ListBox<Choice>>
          {(choice) => (
            <ListBoxItem className="item" id={choice.id} textValue={choice.label}>
              {choice.label}
              {choice.note && <span className="quiet">{choice.note}</span>}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </ComboBox>
  );
}

export function SwitchField({ label, hint, after, value, onChange }: Common & { value: boolean; onChange: (value: boolean) => void }) {
  return (
    <div className="labels">
      <Switch className="switch" isSelected={value} onChange={onChange}>
        <span className="knob" />
        <span>
          {label}
          {hint && <small>{hint}</small>}
        </span>
      </Switch>
      {after}
    </div>
  );
}
