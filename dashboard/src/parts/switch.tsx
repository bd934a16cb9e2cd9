// A field that is on or off.
import { Switch } from "react-aria-components/Switch";
import type { Common } from "./fields";

export function SwitchField({ label, hint, after, field, value, onChange }: Common & { value: boolean; onChange: (value: boolean) => void }) {
  return (
    <div className="labels" data-field={field}>
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
