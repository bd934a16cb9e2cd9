// A field that is one of many: one types to find. What finds is a piece of its own; until it is here
// the field stands in its place with what is chosen.
import { lazy, Suspense } from "react";
import type { ComboProps } from "./combo-box";

const ComboBoxField = lazy(() => import("./combo-box"));

export function ComboField(props: ComboProps) {
  const { label, hint, after, value, choices, placeholder } = props;
  const instead = (
    <div className="field" aria-busy="true">
      <div className="labels">
        <span className="label">{label}</span>
        {after}
      </div>
      <span className="input">{choices.find((each) => each.id === value)?.label ?? placeholder}</span>
      {hint && <span className="hint">{hint}</span>}
    </div>
  );
  return (
    <Suspense fallback={instead}>
      <ComboBoxField {...props} />
    </Suspense>
  );
}
