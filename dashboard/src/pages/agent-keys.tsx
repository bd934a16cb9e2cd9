// Keys of the telephone: what callers may be asked to key in, and whether the agent presses any.
import type { Schemas } from "../api/client";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { t } from "../words";
import { Bool, type Group, hint, label, Marks, Rows } from "./agent-field";

type Input = NonNullable<Schemas["AgentPatch"]["keyInputs"]>[number];
const FRESH: Input = { name: "", description: "", minLength: 1, maxLength: null, terminator: "#", timeoutSeconds: 10, gapSeconds: 3, secret: false };

export function Keys({ form }: Group) {
  return (
    <>
      <Bool form={form} field="allowPressKeys" />
      <h2>
        {label("keyInputs")} <Marks form={form} field="keyInputs" />
      </h2>
      <p className="quiet small">{hint("keyInputs")}</p>
      <Rows
        items={form.shown.keyInputs as Input[]}
        onChange={(items) => form.set("keyInputs", items as typeof form.shown.keyInputs)}
        fresh={FRESH}
        add={t("keyinput.add")}
        className="target"
        row={(item, put, n) => <One item={item} put={put} wrong={(name) => form.wrong(`keyInputs.${n}.${name}`)} />}
      />
      {form.wrong("keyInputs") && <p className="note bad">{form.wrong("keyInputs")}</p>}
    </>
  );
}

function One({ item, put, wrong }: { item: Input; put: (item: Input) => void; wrong: (name: string) => string | undefined }) {
  const at = (name: keyof Input) => ({ field: `keyInputs.${name}`, wrong: wrong(name) });
  return (
    <fieldset className="form grow">
      <legend className="hidden">{item.name || t("keyinput.add")}</legend>
      <div className="two">
        <TextField {...at("name")} label={t("name")} mono value={item.name} onChange={(name) => put({ ...item, name })} maxLength={64} required />
        <SelectField {...at("terminator")} label={t("keyinput.terminator")} value={item.terminator ?? ""} onChange={(id) => put({ ...item, terminator: (id || null) as Input["terminator"] })} choices={[{ id: "#", label: "#" }, { id: "*", label: "*" }, { id: "", label: t("none") }]} />
        <NumberField {...at("minLength")} label={t("keyinput.least")} value={item.minLength ?? 1} onChange={(value) => put({ ...item, minLength: value ?? 1 })} min={1} max={32} />
        <NumberField {...at("maxLength")} label={t("keyinput.most")} hint={t("keyinput.most.hint")} value={item.maxLength ?? null} onChange={(maxLength) => put({ ...item, maxLength })} min={1} max={32} />
        <NumberField {...at("timeoutSeconds")} label={t("keyinput.timeout")} value={item.timeoutSeconds ?? 10} onChange={(value) => put({ ...item, timeoutSeconds: value ?? 10 })} min={3} max={120} />
        <NumberField {...at("gapSeconds")} label={t("keyinput.gap")} value={item.gapSeconds ?? 3} onChange={(value) => put({ ...item, gapSeconds: value ?? 3 })} min={1} max={30} step={0.5} />
      </div>
      <TextField {...at("description")} label={t("description")} value={item.description ?? ""} onChange={(description) => put({ ...item, description })} maxLength={500} />
      <SwitchField {...at("secret")} label={t("keyinput.secret")} hint={t("keyinput.secret.hint")} value={item.secret ?? false} onChange={(secret) => put({ ...item, secret })} />
    </fieldset>
  );
}
