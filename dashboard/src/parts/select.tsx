// A field that is one of a few. What the API said of a choice does not hold back the next try: the
// form's own validation would (`validationBehavior`).
import { useId } from "react";
import { Button } from "react-aria-components/Button";
import { Label } from "react-aria-components/Label";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Popover } from "react-aria-components/Popover";
import { Select, SelectValue } from "react-aria-components/Select";
import type { Common } from "./fields";

export type Choice = { id: string; label: string; note?: string };

export function SelectField({ label, hint, wrong, after, field, value, onChange, choices, placeholder }: Common & { value: string | null; onChange: (id: string) => void; choices: Choice[]; placeholder?: string }) {
  const id = useId();
  return (
    <Select className="field" selectedKey={value} onSelectionChange={(key) => onChange(String(key))} placeholder={placeholder ?? "—"} isInvalid={!!wrong} validationBehavior="aria" data-field={field}>
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
