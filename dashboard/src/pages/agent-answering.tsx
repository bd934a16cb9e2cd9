// What an agent does about who answers a call that it places: a person, a mailbox, a menu.
import type { Schemas } from "../api/client";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { type Key, t } from "../words";
import { type Group, hint, label, Marks } from "./agent-field";

type Given = NonNullable<Schemas["AgentPatch"]["answering"]>;
const FRESH: Required<Given> = {
  mailbox: "leave_message", message: null, beepWaitSeconds: 30, unavailable: "hang_up", menu: "hang_up", menuGoal: "", menuLimitSeconds: 120,
  screening: "say_who_calls", introduction: null, screeningWaitSeconds: 45, silence: "talk",
};
type Wait = "beepWaitSeconds" | "menuLimitSeconds" | "screeningWaitSeconds";
type Act = "mailbox" | "unavailable" | "menu" | "screening" | "silence";
const ACTS: Record<Act, readonly string[]> = {
  mailbox: ["leave_message", "hang_up", "talk"],
  unavailable: ["hang_up", "talk"],
  menu: ["navigate", "hang_up", "talk"],
  screening: ["say_who_calls", "hang_up", "talk"],
  silence: ["hang_up", "talk"],
};

export function Answering({ form }: Group) {
  const given: Required<Given> | null = form.shown.answering === null ? null : { ...FRESH, ...(form.shown.answering as Given) };
  const set = (changes: Given) => form.set("answering", { ...given, ...changes } as typeof form.shown.answering);
  const at = (name: keyof Given) => ({ field: `answering.${name}`, label: t(`answering.${name}` as Key), wrong: form.wrong(`answering.${name}`) });
  const act = (name: Act) => <SelectField {...at(name)} value={String(given?.[name])} onChange={(id) => set({ [name]: id } as Given)} choices={ACTS[name].map((id) => ({ id, label: t(`act.${id}` as Key) }))} />;
  const wait = (name: Wait, min: number, max: number) => <NumberField {...at(name)} value={given?.[name] ?? null} onChange={(value) => set({ [name]: value ?? FRESH[name] } as Given)} min={min} max={max} />;
  return (
    <>
      <SwitchField label={label("answering")} hint={hint("answering")} after={<Marks form={form} field="answering" />} value={given !== null} onChange={(on) => form.set("answering", (on ? FRESH : null) as typeof form.shown.answering)} />
      {given && (
        <>
          <div className="two">
            {act("mailbox")}
            {wait("beepWaitSeconds", 5, 60)}
          </div>
          <TextField {...at("message")} hint={t("answering.message.hint")} value={given.message ?? ""} onChange={(value) => set({ message: value || null })} rows={2} maxLength={1000} />
          <div className="two">
            {act("unavailable")}
            {act("silence")}
            {act("menu")}
            {wait("menuLimitSeconds", 10, 600)}
          </div>
          <TextField {...at("menuGoal")} value={given.menuGoal ?? ""} onChange={(menuGoal) => set({ menuGoal })} maxLength={500} />
          <div className="two">
            {act("screening")}
            {wait("screeningWaitSeconds", 5, 120)}
          </div>
          <TextField {...at("introduction")} hint={t("answering.introduction.hint")} value={given.introduction ?? ""} onChange={(value) => set({ introduction: value || null })} maxLength={300} />
        </>
      )}
      {form.wrong("answering") && <p className="note bad">{form.wrong("answering")}</p>}
    </>
  );
}
