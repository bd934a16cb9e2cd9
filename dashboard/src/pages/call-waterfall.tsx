// Where the time of each turn went, stage by stage, against what is usual for the agent.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, data, type Schemas } from "../api/client";
import { Button } from "../parts/basic";
import { clock, ms, number, t } from "../words";
import { latencies, quantile, type Stage, STAGES, type Turn } from "./call-model";

const DAYS = 30;

/** Of the agent's calls of the days before this one, and of itself; undefined until there are any. */
function useAgentMedians(call: Schemas["Call"]): Schemas["StageMedians"] | undefined {
  const at = new Date(call.createdAt).getTime();
  const found = useQuery({
    queryKey: ["stats", "before", call.id],
    enabled: call.endedAt !== null,
    staleTime: 300_000,
    queryFn: () => data(api.GET("/v1/call-stats", { params: { query: { agentId: call.agentId, from: new Date(at - DAYS * 86_400_000).toISOString(), to: new Date(at + 1000).toISOString() } } })),
  });
  const latency = found.data?.latency;
  return latency && latency.turns > 0 ? latency.stages : undefined;
}

/** Each turn from the end of the caller's speech to the first sound of the answer, by stage. */
export function Waterfall({ call, turns, chosen, onChoose, seek }: { call: Schemas["Call"]; turns: Turn[]; chosen: number | null; onChoose: (turn: number) => void; seek: (ms: number) => void }) {
  const [slowest, setSlowest] = useState(false);
  const usual = useAgentMedians(call);
  if (turns.length === 0) return <p className="quiet">{t("waterfall.none")}</p>;
  const sent = latencies(turns);
  const median = quantile(sent, 0.5) ?? 0;
  // Against the agent's, or while that is not known, the call's own.
  const line = usual?.sentMs ?? median;
  const most = Math.max(...sent, line, 1);
  const sorted = slowest ? [...turns].sort((a, b) => (b.at.sent ?? 0) - (a.at.sent ?? 0)) : turns;
  return (
    <div className="stack">
      <div className="row small">
        <span>
          {t("waterfall.median")} <strong className="num">{ms(median)}</strong>
        </span>
        {usual && (
          <span>
            {t("waterfall.agent")} <strong className="num">{ms(usual.sentMs)}</strong>
          </span>
        )}
        <span>
          {t("waterfall.p95")} <strong className="num">{ms(quantile(sent, 0.95))}</strong>
        </span>
        <span className="grow" />
        <Button look="tiny" aria-pressed={slowest} onPress={() => setSlowest(!slowest)}>
          {t("waterfall.slowest")}
        </Button>
      </div>
      <ul className="legend">
        {STAGES.map((stage) => (
          <li key={stage}>
            <span className={`swatch stage-${stage}`} />
            {t(`stage.${stage}`)}
          </li>
        ))}
      </ul>
      <ol className="falls">
        {sorted.map((turn) => {
          let from = 0;
          return (
            <li key={`${turn.turn} ${turn.endedMs}`} data-chosen={turn.turn === chosen || undefined}>
              <button
                type="button"
                onClick={() => {
                  onChoose(turn.turn);
                  seek(Math.max(0, turn.endedMs - 1500));
                }}
              >
                <span className="num quiet">{clock(turn.endedMs / 1000)}</span>
                <span className="fall" dir="ltr">
                  {STAGES.map((stage) => {
                    const at = turn.at[stage];
                    if (at === undefined || at <= from) return null;
                    const part = <span key={stage} className={`stage-${stage}`} style={{ insetInlineStart: `${(from / most) * 100}%`, width: `${((at - from) / most) * 100}%` }} title={`${t(`stage.${stage}`)}: ${ms(at)}`} />;
                    from = at;
                    return part;
                  })}
                  <i style={{ insetInlineStart: `${Math.min(100, (line / most) * 100)}%` }} title={t(usual ? "waterfall.agent" : "waterfall.median")} />
                </span>
                <strong className="num">{ms(turn.at.sent)}</strong>
              </button>
              {turn.turn === chosen && (
                <table className="plain small">
                  <thead>
                    <tr>
                      <th>{t("waterfall.stage")}</th>
                      <th className="end">{t("waterfall.turn")}</th>
                      <th className="end">{t("waterfall.agent.short")}</th>
                      <th className="end">{t("waterfall.difference")}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {STAGES.map((stage) => (
                      <Row key={stage} stage={stage} at={turn.at[stage]} usual={usual?.[`${stage}Ms`] ?? undefined} />
                    ))}
                  </tbody>
                </table>
              )}
            </li>
          );
        })}
      </ol>
      <p className="small quiet">{t("waterfall.hint")}</p>
    </div>
  );
}

function Row({ stage, at, usual }: { stage: Stage; at: number | undefined; usual: number | undefined }) {
  const more = at === undefined || usual === undefined ? undefined : Math.round(at - usual);
  return (
    <tr>
      <td>{t(`stage.${stage}`)}</td>
      <td className="end num">{ms(at)}</td>
      <td className="end num">{ms(usual)}</td>
      <td className="end num" dir="ltr">{more === undefined ? "—" : `${more > 0 ? "+" : ""}${number(more)} ms`}</td>
    </tr>
  );
}
