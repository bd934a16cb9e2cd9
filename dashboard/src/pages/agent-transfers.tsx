// To whom an agent may hand a caller, and what the caller hears meanwhile.
import type { Schemas } from "../api/client";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { t } from "../words";
import { type Group, hint, label, Marks, of, Rows } from "./agent-field";

type Target = Schemas["TransferTarget"];
const FRESH: Target = { name: "", number: "+", description: "", type: "cold", merge: "bridge", briefing: null, ringTimeoutSeconds: 30, postDialDigits: null, headers: [], callerId: "own", transcribe: false, whenUnavailable: null };

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

/** What the carrier makes of it by itself is taken out when it is to connect the two. */
function merged(item: Target, merge: Target["merge"]): Target {
  if (merge === "bridge") return { ...item, merge };
  const ours = item.type === "cold" ? { postDialDigits: null, headers: [], callerId: "own" as const } : {};
  return { ...item, ...ours, merge, transcribe: false };
}

/** What a kind of transfer has no use for is taken out when the kind is chosen. */
function of_kind(item: Target, type: NonNullable<Target["type"]>): Target {
  return merged({ ...item, type, briefing: type === "cold" ? null : item.briefing }, item.merge);
}

function One({ item, put, wrong }: { item: Target; put: (item: Target) => void; wrong: (name: string) => string | undefined }) {
  const type = item.type ?? "cold";
  const cold = type === "cold";
  const released = item.merge === "release";
  const carriers = cold && released;
  return (
    <fieldset className="form grow">
      <legend className="hidden">{item.name || t("transfer.add")}</legend>
      <div className="two">
        <TextField field="transferTargets.name" label={t("name")} value={item.name} onChange={(name) => put({ ...item, name })} wrong={wrong("name")} maxLength={255} required />
        <TextField field="transferTargets.number" label={t("number")} value={item.number} onChange={(number) => put({ ...item, number })} wrong={wrong("number")} dir="ltr" required />
        <SelectField field="transferTargets.type" label={t("type")} value={type} onChange={(id) => put(of_kind(item, id as NonNullable<Target["type"]>))} wrong={wrong("type")} choices={(["cold", "warm", "warm_briefing"] as const).map((id) => ({ id, label: t(`transfer.${id}`) }))} />
        <SelectField field="transferTargets.merge" label={t("transfer.merge")} hint={t("transfer.merge.hint")} value={item.merge ?? "bridge"} onChange={(id) => put(merged(item, id as Target["merge"]))} wrong={wrong("merge")} choices={(["bridge", "release"] as const).map((id) => ({ id, label: t(`transfer.merge.${id}`) }))} />
        <NumberField field="transferTargets.ringTimeoutSeconds" label={t("transfer.ring")} value={item.ringTimeoutSeconds ?? 30} onChange={(value) => put({ ...item, ringTimeoutSeconds: value ?? 30 })} wrong={wrong("ringTimeoutSeconds")} min={5} max={120} />
        {!carriers && (
          <SelectField field="transferTargets.callerId" label={t("transfer.caller")} hint={t("transfer.caller.hint")} value={item.callerId ?? "own"} onChange={(id) => put({ ...item, callerId: id as Target["callerId"] })} wrong={wrong("callerId")} choices={(["own", "caller"] as const).map((id) => ({ id, label: t(`transfer.caller.${id}`) }))} />
        )}
        {!carriers && (
          <TextField field="transferTargets.postDialDigits" label={t("transfer.digits")} hint={t("transfer.digits.hint")} value={item.postDialDigits ?? ""} onChange={(value) => put({ ...item, postDialDigits: value || null })} wrong={wrong("postDialDigits")} maxLength={32} mono dir="ltr" />
        )}
      </div>
      <TextField field="transferTargets.description" label={t("transfer.when")} value={item.description ?? ""} onChange={(description) => put({ ...item, description })} wrong={wrong("description")} maxLength={2000} />
      {!cold && <TextField field="transferTargets.briefing" label={t("transfer.briefing")} hint={t("transfer.briefing.hint")} value={item.briefing ?? ""} onChange={(value) => put({ ...item, briefing: value || null })} wrong={wrong("briefing")} rows={2} maxLength={1000} />}
      <TextField field="transferTargets.whenUnavailable" label={t("transfer.unavailable")} hint={t("transfer.unavailable.hint")} value={item.whenUnavailable ?? ""} onChange={(value) => put({ ...item, whenUnavailable: value || null })} wrong={wrong("whenUnavailable")} maxLength={500} />
      {!carriers && <More item={item} put={put} wrong={wrong} released={released} />}
    </fieldset>
  );
}

/** What only a call of our own has. */
function More({ item, put, wrong, released }: { item: Target; put: (item: Target) => void; wrong: (name: string) => string | undefined; released: boolean }) {
  return (
    <>
      {!released && <SwitchField field="transferTargets.transcribe" label={t("transfer.transcribe")} hint={t("transfer.transcribe.hint")} value={item.transcribe ?? false} onChange={(transcribe) => put({ ...item, transcribe })} />}
      <div className="stack thin" data-field="transferTargets.headers">
        <span className="label">{t("transfer.headers")}</span>
        <span className="hint small quiet">{t("transfer.headers.hint")}</span>
        <Rows
          items={item.headers ?? []}
          onChange={(headers) => put({ ...item, headers })}
          fresh={{ key: "X-", value: "" }}
          add={t("transfer.header.add")}
          row={(header, change, n) => (
            <>
              <TextField label={t("transfer.header")} value={header.key} onChange={(key) => change({ ...header, key })} wrong={wrong(`headers.${n}.key`)} maxLength={62} mono dir="ltr" required />
              <TextField label={t("transfer.header.value")} value={header.value} onChange={(value) => change({ ...header, value })} wrong={wrong(`headers.${n}.value`)} maxLength={500} mono dir="ltr" />
            </>
          )}
        />
      </div>
    </>
  );
}
