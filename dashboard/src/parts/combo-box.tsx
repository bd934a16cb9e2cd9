// A field that is one of many, with what finds among them. `combo.tsx` fetches it.
import { ComboBox, Input as ComboInput } from "react-aria-components/ComboBox";
import { Label } from "react-aria-components/Label";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Popover } from "react-aria-components/Popover";
import type { Common } from "./fields";
import type { Choice } from "./select";

export type ComboProps = Common & { value: string | null; onChange: (id: string | null) => void; choices: Choice[]; placeholder?: string };

export default function ComboBoxField({ label, hint, wrong, after, value, onChange, choices, placeholder }: ComboProps) {
  return (
    <ComboBox className="field" selectedKey={value} onSelectionChange={(key) => onChange(key === null ? null : String(key))} defaultItems={choices} menuTrigger="focus" isInvalid={!!wrong} validationBehavior="aria" allowsEmptyCollection={false}>
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
