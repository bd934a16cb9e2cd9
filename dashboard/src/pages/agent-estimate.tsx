// What a minute of the chosen set costs by the price list, and how fast the agent has answered.
import { useQuery } from "@tanstack/react-query";
import { agentStatsQuery, STATS_DAYS } from "../api/agent";
import { chosenOf, earsQuery, modelsQuery, voicesQuery } from "../api/catalogue";
import { money, ms, number, t } from "../words";
import type { Form } from "./agent-state";

// Of a minute of a call, half of which the agent talks.
export const CHARACTERS_A_MINUTE = 450;
const TURNS_A_MINUTE = 4;
const CHARACTERS_A_TOKEN = 4;
/** The history that a turn carries in the middle of a call of three minutes. */
const HISTORY_TOKENS = 350;
const TOOL_TOKENS = 100;

/** Dollars a minute; null where the price list has none. */
function modelMinute(model: { pricePerMillionInputTokens: number | null; pricePerMillionOutputTokens: number | null }, prompt: string, tools: number): number | null {
  const { pricePerMillionInputTokens: input, pricePerMillionOutputTokens: output } = model;
  if (input === null || output === null) return null;
  const asked = TURNS_A_MINUTE * (prompt.length / CHARACTERS_A_TOKEN + HISTORY_TOKENS + tools * TOOL_TOKENS);
  return (asked * input + (CHARACTERS_A_MINUTE / CHARACTERS_A_TOKEN) * output) / 1e6;
}

export function Estimate({ form }: { form: Form }) {
  const { shown } = form;
  const model = chosenOf(useQuery(modelsQuery).data, shown.slmModelId);
  const voice = chosenOf(useQuery(voicesQuery).data, shown.voiceId);
  const ears = chosenOf(useQuery(earsQuery).data, shown.transcriberId);
  const stats = useQuery(agentStatsQuery(form.agent.id));
  if (!model || !voice || !ears) return null;
  const parts = [
    { word: "estimate.ears", name: ears.name, cost: ears.pricePerMinute },
    { word: "estimate.model", name: model.name, cost: modelMinute(model, shown.systemPrompt, shown.toolIds.length) },
    { word: "estimate.voice", name: voice.name, cost: voice.pricePerMillionCharacters === null ? null : (voice.pricePerMillionCharacters / 1e6) * CHARACTERS_A_MINUTE },
  ] as const;
  const known = parts.flatMap((part) => (part.cost === null ? [] : [part.cost]));
  const { total, latency } = stats.data ?? {};
  return (
    <section className="card" aria-label={t("estimate")}>
      <h2>{t("estimate")}</h2>
      <table className="plain small">
        <tbody>
          {parts.map((part) => (
            <tr key={part.word}>
              <td>
                {t(part.word)} <span className="quiet">{part.name}</span>
              </td>
              <td className="end num">{part.cost === null ? <span className="quiet">{t("cost.unpriced")}</span> : money(part.cost)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <td>{t(known.length === parts.length ? "estimate.total" : "estimate.known")}</td>
            <td className="end num">{known.length ? money(known.reduce((a, b) => a + b, 0)) : "—"}</td>
          </tr>
        </tfoot>
      </table>
      <p className="small quiet">{t("estimate.how", { characters: CHARACTERS_A_MINUTE, turns: TURNS_A_MINUTE })}</p>
      {latency && total && (
        <p className="small">
          {latency.p50Ms === null
            ? t("estimate.unmeasured", { days: STATS_DAYS })
            : t("estimate.measured", { days: STATS_DAYS, turns: number(latency.turns), p50: ms(latency.p50Ms), p95: ms(latency.p95Ms), cost: total.seconds ? money((total.cost * 60) / total.seconds) : "—" })}
        </p>
      )}
      {ears.latencyP99Ms !== null && <p className="small quiet">{t("estimate.words", { ms: ms(ears.latencyP99Ms) })}</p>}
    </section>
  );
}
