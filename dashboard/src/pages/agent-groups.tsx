// The groups of an agent's settings.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { toolsQuery } from "../api/all";
import { chosenOf, earsQuery, modelsQuery, soundsQuery, voicesQuery } from "../api/catalogue";
import { ComboField } from "../parts/combo";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { Prompt } from "../parts/prompt";
import { money, ms, t } from "../words";
import { Bool, Fallbacks, type Group, hint, label, Lines, Marks, Num, of, Rows } from "./agent-field";
import { Keys } from "./agent-keys";
import { ModelOptions } from "./agent-options";
import type { Agent } from "./agent-state";
import { Transfers } from "./agent-transfers";
import { CHARACTERS_A_MINUTE } from "./agent-estimate";
import { Preview, sampleOf } from "./agent-voice";

export function PromptGroup({ form }: Group) {
  const { shown, set } = form;
  const models = useQuery(modelsQuery);
  const choices = (models.data ?? []).map((m) => ({ id: m.id, label: m.name, note: [m.provider, m.pricePerMillionOutputTokens ? t("price.tokens", { in: money(m.pricePerMillionInputTokens), out: money(m.pricePerMillionOutputTokens) }) : null].filter(Boolean).join(" · ") }));
  return (
    <>
      <div className="two">
        <TextField {...of(form, "name")} value={shown.name} onChange={(value) => set("name", value)} maxLength={255} required />
        <SelectField {...of(form, "slmModelId")} value={shown.slmModelId ?? ""} onChange={(id) => set("slmModelId", id || null)} choices={[{ id: "", label: t("default.of", { what: models.data?.find((m) => m.isDefault)?.name ?? "—" }) }, ...choices]} />
      </div>
      <Prompt label={label("systemPrompt")} value={shown.systemPrompt} onChange={(value) => set("systemPrompt", value)} wrong={form.wrong("systemPrompt")} maxLength={32_000} known={form.known} after={<Marks form={form} field="systemPrompt" />} rows={18} />
      <div className="two">
        <SelectField {...of(form, "firstSpeaker")} hint={hint("firstSpeaker")} value={shown.firstSpeaker} onChange={(id) => set("firstSpeaker", id as Agent["firstSpeaker"])} choices={[{ id: "user", label: t("speaker.user") }, { id: "agent", label: t("speaker.agent") }]} />
        {shown.firstSpeaker === "agent" && <Num form={form} field="firstMessageDelay" min={0} max={10_000} step={50} />}
      </div>
      {shown.firstSpeaker === "agent" && (
        <>
          <Bool form={form} field="agentGreetingEnabled" />
          {shown.agentGreetingEnabled && <Prompt label={label("agentGreeting")} value={shown.agentGreeting ?? ""} onChange={(value) => set("agentGreeting", value || null)} wrong={form.wrong("agentGreeting")} rows={3} maxLength={1000} known={form.known} after={<Marks form={form} field="agentGreeting" />} />}
          <Bool form={form} field="firstMessageUninterruptible" />
        </>
      )}
      {models.data && <Fallbacks form={form} field="slmModelFallbackIds" choices={choices} first={shown.slmModelId} />}
      <ModelOptions form={form} />
    </>
  );
}

export function Voice({ form }: Group) {
  const { shown, set } = form;
  const voices = useQuery(voicesQuery);
  const sounds = useQuery(soundsQuery);
  const chosen = chosenOf(voices.data, shown.voiceId);
  const choices = (voices.data ?? []).map((v) => ({ id: v.id, label: `${v.name} (${v.language})`, note: v.provider }));
  return (
    <>
      {voices.data && (
        <ComboField
          {...of(form, "voiceId")}
          hint={chosen && [chosen.provider, chosen.languages.join(", "), chosen.gender, chosen.pricePerMillionCharacters === null ? null : t("price.minute", { money: money((chosen.pricePerMillionCharacters / 1e6) * CHARACTERS_A_MINUTE) })].filter(Boolean).join(" · ")}
          value={shown.voiceId ?? ""}
          onChange={(id) => id !== null && set("voiceId", id || null)}
          choices={[{ id: "", label: t("default.of", { what: voices.data.find((v) => v.isDefault)?.name ?? "—" }) }, ...choices]}
        />
      )}
      {chosen && <Preview voice={chosen} text={sampleOf(shown.agentGreetingEnabled ? shown.agentGreeting : null)} speed={shown.voiceSpeed} stability={shown.voiceStability} />}
      {voices.data && <Fallbacks form={form} field="voiceFallbackIds" choices={choices} first={shown.voiceId} />}
      <div className="two">
        <Num form={form} field="voiceSpeed" min={0.6} max={1.5} step={0.05} />
        <Num form={form} field="voiceStability" min={0} max={1} step={0.05} />
      </div>
      <div className="two">
        <SelectField {...of(form, "backgroundSoundId")} value={shown.backgroundSoundId ?? ""} onChange={(id) => set("backgroundSoundId", id || null)} choices={[{ id: "", label: t("none") }, ...(sounds.data ?? []).map((s) => ({ id: s.id, label: s.name, note: s.description }))]} />
        <Num form={form} field="backgroundSoundVolume" min={0} max={1} step={0.05} />
      </div>
      <h2>
        {label("pronunciations")} <Marks form={form} field="pronunciations" />
      </h2>
      <p className="quiet small">{hint("pronunciations")}</p>
      <Rows
        items={shown.pronunciations}
        onChange={(items) => set("pronunciations", items)}
        fresh={{ text: "", spoken: "" }}
        add={t("pronunciation.add")}
        row={(item, put, n) => (
          <>
            <TextField field="pronunciations.text" label={t("pronunciation.text")} value={item.text} onChange={(text) => put({ ...item, text })} wrong={form.wrong(`pronunciations.${n}.text`)} maxLength={100} />
            <TextField field="pronunciations.spoken" label={t("pronunciation.spoken")} value={item.spoken} onChange={(spoken) => put({ ...item, spoken })} wrong={form.wrong(`pronunciations.${n}.spoken`)} maxLength={200} />
          </>
        )}
      />
      {form.wrong("pronunciations") && <p className="note bad">{form.wrong("pronunciations")}</p>}
    </>
  );
}

export function Turns({ form }: Group) {
  return (
    <>
      <p className="quiet">{t("turns.lead")}</p>
      <div className="two">
        <Num form={form} field="turnEndpointDelay" min={50} max={2000} step={10} />
        <Num form={form} field="minTurnDuration" min={0} max={2000} step={10} />
        <Num form={form} field="minInterruptionDuration" min={0} max={2000} step={10} />
        <Num form={form} field="postSpeechCooldown" min={0} max={5000} step={10} />
        <Num form={form} field="speculativeSilenceMs" min={0} max={5000} step={10} />
        <Num form={form} field="fallbackSilenceMs" min={0} max={10_000} step={100} />
        <Num form={form} field="fillerAfterMs" min={200} max={5000} step={50} />
      </div>
      <Lines {...of(form, "fillers")} hint={hint("fillers")} rows={3} value={form.shown.fillers} onChange={(value) => form.set("fillers", value)} />
    </>
  );
}

export function Hearing({ form }: Group) {
  const { shown, set } = form;
  const ears = useQuery(earsQuery);
  const chosen = chosenOf(ears.data, shown.transcriberId);
  const choices = (ears.data ?? []).map((each) => ({ id: each.id, label: each.name, note: each.provider }));
  return (
    <>
      {ears.data && (
        <SelectField
          {...of(form, "transcriberId")}
          hint={chosen && [chosen.provider, chosen.languages.join(", "), chosen.latencyP99Ms === null ? null : t("latency.p99", { ms: ms(chosen.latencyP99Ms) }), chosen.pricePerMinute === null ? null : t("price.minute", { money: money(chosen.pricePerMinute) })].filter(Boolean).join(" · ")}
          value={shown.transcriberId ?? ""}
          onChange={(id) => set("transcriberId", id || null)}
          choices={[{ id: "", label: t("default.of", { what: ears.data.find((each) => each.isDefault)?.name ?? "—" }) }, ...choices]}
        />
      )}
      {ears.data && <Fallbacks form={form} field="transcriberFallbackIds" choices={choices} first={shown.transcriberId} />}
      <div className="two">
        <TextField {...of(form, "languageHint")} hint={hint("languageHint")} value={shown.languageHint ?? ""} onChange={(value) => set("languageHint", value || null)} maxLength={10} placeholder="en" dir="ltr" />
        <Lines {...of(form, "languages")} hint={hint("languages")} rows={2} value={shown.languages} onChange={(value) => set("languages", value)} dir="ltr" />
      </div>
      <Lines {...of(form, "keyterms")} hint={hint("keyterms")} rows={4} value={shown.keyterms} onChange={(value) => set("keyterms", value)} />
      <div className="two">
        <Num form={form} field="frameActivationThreshold" min={0} max={1} step={0.05} />
        <Num form={form} field="ultravadEotThreshold" min={0} max={1} step={0.05} />
      </div>
    </>
  );
}

export function ToolsGroup({ form }: Group) {
  const { shown, set } = form;
  const tools = useQuery(toolsQuery);
  return (
    <>
      <h2>
        {label("toolIds")} <Marks form={form} field="toolIds" />
      </h2>
      {tools.data?.length === 0 && (
        <p className="quiet">
          {t("agent.notools")} <Link to="/tools">{t("nav.tools")}</Link>
        </p>
      )}
      <div className="choices">
        {tools.data?.map((tool) => {
          const on = shown.toolIds.includes(tool.id);
          return (
            <label key={tool.id} className="choice" data-chosen={on || undefined}>
              <input type="checkbox" checked={on} onChange={() => set("toolIds", on ? shown.toolIds.filter((id) => id !== tool.id) : [...shown.toolIds, tool.id])} />
              <span>
                <strong className="mono">{tool.name}</strong>
                <small>{tool.description}</small>
              </span>
            </label>
          );
        })}
      </div>
      <Bool form={form} field="allowEndCall" />
      <Keys form={form} />
      <Transfers form={form} />
    </>
  );
}

export function Limits({ form }: Group) {
  return (
    <>
      <Bool form={form} field="isActive" />
      <div className="two">
        <Num form={form} field="maxCallDurationSeconds" min={30} max={3600} step={10} />
      </div>
      <h2>{t("silence")}</h2>
      <div className="two">
        <Num form={form} field="silenceTimeoutSeconds" min={5} max={3600} step={5} />
        <Num form={form} field="silenceReminders" min={0} max={10} />
      </div>
      <h2>{t("target")}</h2>
      <div className="two">
        <Num form={form} field="latencyTargetMs" min={100} max={60_000} step={50} />
        <SelectField {...of(form, "hedging")} hint={hint("hedging")} value={form.shown.hedging ?? ""} onChange={(id) => form.set("hedging", (id || null) as Agent["hedging"])} choices={(["", "off", "model", "all"] as const).map((id) => ({ id, label: t(id ? `hedging.${id}` : "hedging.server") }))} />
      </div>
    </>
  );
}
