// A field that is on or off.
import type { Common } from "./fields";

export function SwitchField({ label, hint, after, field, value, onChange }: Common & { value: boolean; onChange: (value: boolean) => void }) {
  return (
    <div className="labels" data-field={field}>
      <label className="switch">
        <input type="checkbox" role="switch" className="hidden" checked={value} onChange={(event) => onChange(event.target.checked)} />
        <span className="knob" />
        <span>
          {label}
          {hint && <small>{hint}</small>}
        </span>
      </label>
      {after}
    </div>
  );
}
