// A field that is one of a few: a button, and the list behind it while it is open. (The library's
// own draws every choice of every closed field, twice, to know them.)
import { Suspense, useId } from "react";
import type { Common } from "./fields";
import { OpenList, useOpening } from "./open";

export type Choice = { id: string; label: string; note?: string };

export function SelectField({ label, hint, wrong, after, field, value, onChange, choices, placeholder }: Common & { value: string | null; onChange: (id: string) => void; choices: Choice[]; placeholder?: string }) {
  const id = useId();
  const { open, close, trigger, button } = useOpening("listbox");
  const chosen = choices.find((each) => each.id === value);
  const told = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return (
    <div className="field" data-field={field} data-invalid={wrong ? "" : undefined}>
      <div className="labels">
        <span className="label" id={`${id}-label`} onClick={() => trigger.current?.focus()}>
          {label}
        </span>
        {after}
      </div>
      <button {...button} className="picker" aria-labelledby={`${id}-value ${id}-label`} aria-describedby={told || undefined}>
        <span id={`${id}-value`}>
          {chosen?.label ?? placeholder ?? "—"}
          {chosen?.note && <span className="quiet">{chosen.note}</span>}
        </span>
      </button>
      {hint && (
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {wrong && (
        <span className="wrong" role="alert" id={`${id}-wrong`}>
          {wrong}
        </span>
      )}
      {open && (
        <Suspense fallback={null}>
          <OpenList trigger={trigger} labelledBy={`${id}-label`} onClose={close} choices={choices} value={value} onChoose={onChange} />
        </Suspense>
      )}
    </div>
  );
}
