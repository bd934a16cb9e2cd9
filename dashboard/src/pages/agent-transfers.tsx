// To whom an agent may hand a caller, and what the caller hears meanwhile.
import type { Schemas } from "../api/client";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { t } from "../words";
import { type Group, hint, label, Marks, of, Rows } from "./agent-field";

type Target = Schemas["TransferTarget"];
const FRESH: Target = { name: "", number: "+", description: "", type: "cold", merge: "bridge", briefing: null, ringTimeoutSeconds: 30, postDialDigits: null, whenUnavailable: null };

export function Transfers({ form }: Group) {
  const { shown, set } = form;
  return (
    <>
      <h2>
        {label("transferTargets")} <Marks form={form} field="transferTargets" />
      </h2>
      <Rows
        items={shown.transferTargets}
        onChange={(items) => set("transferTargets", items)}
        fresh={FRESH}
        add={t("transfer.add")}
        className="target"
        row={(item, put, n) => <One item={item} put={put} wrong={(name) => form.wrong(`transferTargets.${n}.${name}`)} />}
      />
      {form.wrong("transferTargets") && <p className="note bad">{form.wrong("transferTargets")}</p>}
      <TextField {...of(form, "holdMessage")} hint={hint("holdMessage")} value={shown.holdMessage ?? ""} onChange={(value) => set("holdMessage", value || null)} maxLength={500} />
      <TextField {...of(form, "holdMusicUrl")} hint={hint("holdMusicUrl")} value={shown.holdMusicUrl ?? ""} onChange={(value) => set("holdMusicUrl", value || null)} type="url" placeholder="https://" maxLength={500} dir="ltr" />
    </>
  );
}

/** What a kind of transfer has no use for is taken out when the kind is chosen. */
function of_kind(item: Target, type: NonNullable<Target["type"]>): Target {
  return { ...item, type, briefing: type === "cold" ? null : item.briefing, merge: type === "cold" ? item.merge : "bridge" };
}

function One({ item, put, wrong }: { item: Target; put: (item: Target) => void; wrong: (name: string) => string | undefined }) {
  const type = item.type ?? "cold";
  const cold = type === "cold";
  return (
    <fieldset className="form grow">
      <legend className="hidden">{item.name || t("transfer.add")}</legend>
      <div className="two">
        <TextField field="transferTargets.name" label={t("name")} value={item.name} onChange={(name) => put({ ...item, name })} wrong={wrong("name")} maxLength={255} required />
        <TextField field="transferTargets.number" label={t("number")} value={item.number} onChange={(number) => put({ ...item, number })} wrong={wrong("number")} type="tel" dir="ltr" required />
        <SelectField field="transferTargets.type" label={t("type")} value={type} onChange={(id) => put(of_kind(item, id as NonNullable<Target["type"]>))} wrong={wrong("type")} choices={(["cold", "warm", "warm_briefing"] as const).map((id) => ({ id, label: t(`transfer.${id}`) }))} />
        {cold && (
          <SelectField field="transferTargets.merge" label={t("transfer.merge")} hint={t("transfer.merge.hint")} value={item.merge ?? "bridge"} onChange={(id) => put({ ...item, merge: id as Target["merge"], postDialDigits: id === "release" ? null : item.postDialDigits })} wrong={wrong("merge")} choices={(["bridge", "release"] as const).map((id) => ({ id, label: t(`transfer.merge.${id}`) }))} />
        )}
        <NumberField field="transferTargets.ringTimeoutSeconds" label={t("transfer.ring")} value={item.ringTimeoutSeconds ?? 30} onChange={(value) => put({ ...item, ringTimeoutSeconds: value ?? 30 })} wrong={wrong("ringTimeoutSeconds")} min={5} max={120} />
        {item.merge !== "release" && (
          <TextField field="transferTargets.postDialDigits" label={t("transfer.digits")} hint={t("transfer.digits.hint")} value={item.postDialDigits ?? ""} onChange={(value) => put({ ...item, postDialDigits: value || null })} wrong={wrong("postDialDigits")} maxLength={32} mono dir="ltr" />
        )}
      </div>
      <TextField field="transferTargets.description" label={t("transfer.when")} value={item.description ?? ""} onChange={(description) => put({ ...item, description })} wrong={wrong("description")} maxLength={2000} />
      {!cold && <TextField field="transferTargets.briefing" label={t("transfer.briefing")} hint={t("transfer.briefing.hint")} value={item.briefing ?? ""} onChange={(value) => put({ ...item, briefing: value || null })} wrong={wrong("briefing")} rows={2} maxLength={1000} />}
      <TextField field="transferTargets.whenUnavailable" label={t("transfer.unavailable")} hint={t("transfer.unavailable.hint")} value={item.whenUnavailable ?? ""} onChange={(value) => put({ ...item, whenUnavailable: value || null })} wrong={wrong("whenUnavailable")} maxLength={500} />
    </fieldset>
  );
}
