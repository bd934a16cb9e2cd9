// Beside the transcript: what came of the call, how fast each turn was, what it cost, what was
// sent about it, and every event as it is stored.
import { useMutation, useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import type { CallEvent } from "../api/stream";
import { Badge, Button, Code, copy, Copy, Failure, Time, Waiting } from "../parts/basic";
import { Tabs } from "../parts/tabs";
import { clock, type Key, maybe, money, ms, number, t } from "../words";
import { Sound } from "./call-sound";
import type { Conversation } from "./call-model";
import { LookedUp } from "./call-knowledge";
import { Waterfall } from "./call-waterfall";

export const TABS = ["summary", "latency", "cost", "knowledge", "webhooks", "events", "audit"] as const;
export type SideTab = (typeof TABS)[number];

export function Side({ call, talk, events, tab, turn, onTab, onTurn, seek }: { call: Schemas["Call"]; talk: Conversation; events: CallEvent[]; tab: SideTab; turn: number | null; onTab: (tab: SideTab) => void; onTurn: (turn: number) => void; seek: (ms: number) => void }) {
  const admin = useMay("admin");
  const shown = TABS.filter((each) => (each === "audit" ? admin : each !== "knowledge" || talk.lookups.length > 0 || tab === each));
  const panels: Record<SideTab, () => ReactNode> = {
    summary: () => <Summary call={call} />,
    latency: () => <Waterfall call={call} turns={talk.turns} chosen={turn} onChoose={onTurn} seek={seek} />,
    cost: () => <Cost call={call} />,
    knowledge: () => <LookedUp agentId={call.agentId} lookups={talk.lookups} seek={seek} />,
    webhooks: () => <Deliveries callId={call.id} />,
    events: () => <Raw events={events} seek={seek} />,
    audit: () => <Audit callId={call.id} />,
  };
  return (
    <section className="card side-card" aria-label={t("call.details")}>
      <Tabs label={t("call.details")} tabs={shown.map((id) => ({ id, label: t(`call.tab.${id}`), panel: panels[id] }))} chosen={tab} onChoose={onTab} />
    </section>
  );
}

function Summary({ call }: { call: Schemas["Call"] }) {
  const { analysis } = call;
  return (
    <div className="stack">
      {analysis?.summary ? <p dir="auto">{analysis.summary}</p> : <p className="quiet">{t("call.nosummary")}</p>}
      {analysis && Object.keys(analysis.extractions ?? {}).length > 0 && (
        <>
          <h3>{t("call.extracted")}</h3>
          <Values of={analysis.extractions ?? {}} />
        </>
      )}
      {analysis?.problems?.map((each) => (
        <p key={each.field} className="note warn small">
          <strong className="mono">{each.field}</strong> {each.reason}
        </p>
      ))}
      {Object.keys(call.contextVariables ?? {}).length > 0 && (
        <>
          <h3>{t("call.variables")}</h3>
          <Values of={call.contextVariables as Record<string, unknown>} />
        </>
      )}
      {Object.keys(call.metadata ?? {}).length > 0 && (
        <>
          <h3>{t("call.metadata")}</h3>
          <Values of={call.metadata as Record<string, unknown>} />
        </>
      )}
      {call.lineQuality && <Sound of={call.lineQuality} />}
    </div>
  );
}

function Values({ of }: { of: Record<string, unknown> }) {
  return (
    <dl className="pairs">
      {Object.entries(of).map(([name, value]) => (
        <div key={name} style={{ display: "contents" }}>
          <dt className="mono">{name}</dt>
          <dd dir="auto">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function Cost({ call }: { call: Schemas["Call"] }) {
  const found = useQuery({ queryKey: ["ledger", call.id, call.cost], queryFn: async () => (await body(api.GET("/v1/ledger", { params: { query: { callId: call.id, limit: 100 } } }))).data });
  if (found.isPending) return <Waiting lines={4} />;
  if (!found.data) return <Failure error={found.error} />;
  const lines = found.data;
  const discarded = lines.reduce((sum, line) => sum + (line.discarded ? line.amount : 0), 0);
  if (lines.length === 0) return <p className="quiet">{call.endedAt ? t("cost.none") : t("cost.later")}</p>;
  return (
    <>
      <Failure error={found.error} />
      <table className="plain">
        <thead>
          <tr>
            <th>{t("cost.component")}</th>
            <th className="end">{t("cost.quantity")}</th>
            <th className="end">{t("cost.amount")}</th>
          </tr>
        </thead>
        <tbody>
          {[...lines].sort((a, b) => b.amount - a.amount).map((line) => (
            <tr key={line.id}>
              <td>
                {line.meter ? maybe(`meter.${line.meter}`, line.meter) : line.kind}
                {line.discarded && <span className="badge">{t("cost.discarded")}</span>}
                <span className="small quiet mono" style={{ display: "block" }}>{line.engine}</span>
              </td>
              <td className="end num">
                {number(line.quantity ?? 0)} <span className="quiet small">{line.unit ? maybe(`unit.${line.unit}`, line.unit) : ""}</span>
              </td>
              <td className="end num">{line.unitPrice === null ? <span className="quiet">{t("cost.unpriced")}</span> : money(line.amount)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          {discarded > 0 && (
            <tr>
              <td>{t("cost.discarded.sum")}</td>
              <td />
              <td className="end num">{money(discarded)}</td>
            </tr>
          )}
          <tr>
            <td>{t("cost.total")}</td>
            <td />
            <td className="end num">{money(call.cost)}</td>
          </tr>
        </tfoot>
      </table>
    </>
  );
}

export function Deliveries({ callId }: { callId: string }) {
  const may = useMay("developer");
  const found = useQuery({ queryKey: ["deliveries", { callId }], queryFn: async () => (await body(api.GET("/v1/webhook-deliveries", { params: { query: { callId, limit: 50 } } }))).data, refetchInterval: 10_000 });
  const [open, setOpen] = useState<string | null>(null);
  const again = useMutation({
    mutationFn: (id: string) => data(api.POST("/v1/webhook-deliveries/{id}/redeliver", { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["deliveries"] }),
  });
  if (found.isPending) return <Waiting lines={3} />;
  if (found.data?.length === 0) return <p className="quiet">{t("deliveries.none")}</p>;
  return (
    <div className="stack">
      <Failure error={found.error ?? again.error} />
      {found.data?.map((each) => (
        <div key={each.id} className="stack thin">
          <div className="row">
            <Badge kind={each.status} />
            <strong className="mono small">{each.event}</strong>
            <span className="grow" />
            <span className="small quiet">{t("deliveries.tries", { count: each.attemptCount })}</span>
          </div>
          <span className="small quiet mono cut">{each.url}</span>
          {each.lastError && <p className="note bad small">{each.lastError}</p>}
          <div className="row">
            <Button look="tiny" onPress={() => setOpen(open === each.id ? null : each.id)} aria-expanded={open === each.id}>
              {t("deliveries.tries.show")}
            </Button>
            {may && (
              <Button look="tiny" isDisabled={again.isPending} onPress={() => again.mutate(each.id)}>
                {t("deliveries.again")}
              </Button>
            )}
          </div>
          {open === each.id && <Attempts id={each.id} />}
        </div>
      ))}
    </div>
  );
}

export function Attempts({ id }: { id: string }) {
  const found = useQuery({ queryKey: ["delivery", id], queryFn: () => data(api.GET("/v1/webhook-deliveries/{id}", { params: { path: { id } } })) });
  if (found.isPending) return <Waiting lines={2} />;
  if (!found.data) return <Failure error={found.error} />;
  return (
    <div className="stack">
      {found.data.attempts.map((each) => (
        <div key={each.number} className="note small">
          <span className="row">
            <strong>#{each.number}</strong>
            {each.statusCode !== null && <Badge kind={each.statusCode < 300 ? "good" : "bad"}>{each.statusCode}</Badge>}
            <span className="num">{ms(each.durationMs)}</span>
            <Time iso={each.startedAt} />
          </span>
          {each.error && <span>{each.error}</span>}
          {each.responseBody && <pre className="plain-pre">{each.responseBody}</pre>}
        </div>
      ))}
      <h3>{t("deliveries.body")}</h3>
      <Code>{JSON.stringify(found.data.requestBody, null, 2)}</Code>
    </div>
  );
}

function Raw({ events, seek }: { events: CallEvent[]; seek: (ms: number) => void }) {
  const [filter, setFilter] = useState("");
  const shown = events.filter((each) => !filter || each.kind.includes(filter) || JSON.stringify(each.data).includes(filter));
  return (
    <div className="stack">
      <div className="row">
        <input type="search" className="input find-in grow" aria-label={t("events.filter")} placeholder={t("events.filter")} value={filter} onChange={(event) => setFilter(event.target.value)} />
        <Button look="tiny" icon="copy" onPress={() => void copy(JSON.stringify(shown, null, 2))}>
          JSON
        </Button>
      </div>
      <ol className="raw" tabIndex={0} aria-label={t("call.tab.events")}>
        {shown.map((each) => (
          <li key={each.seq}>
            <button type="button" className="when num" onClick={() => seek(each.atMs)}>
              {clock(each.atMs / 1000, true)}
            </button>
            <strong className="mono">{each.kind}</strong>
            <code dir="ltr">{JSON.stringify(each.data)}</code>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Audit({ callId }: { callId: string }) {
  const found = useQuery({ queryKey: ["audit", callId], queryFn: async () => (await body(api.GET("/v1/audit-log", { params: { query: { resourceId: callId, limit: 100 } } }))).data });
  if (found.isPending) return <Waiting lines={2} />;
  if (!found.data) return <Failure error={found.error} />;
  if (!found.data.length) return <p className="quiet">{t("audit.none.call")}</p>;
  return (
    <ul className="bare-list">
      {found.data.map((each) => (
        <li key={each.id}>
          <strong className="mono small">{each.action}</strong> {each.actorName} <span className="quiet"><Time iso={each.createdAt} /></span>
        </li>
      ))}
    </ul>
  );
}

export function Ids({ pairs }: { pairs: [Key, string | null | undefined][] }) {
  return (
    <dl className="pairs small">
      {pairs.map(([word, id]) =>
        id ? (
          <div key={word} style={{ display: "contents" }}>
            <dt>{t(word)}</dt>
            <dd>
              <Copy text={id} />
            </dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}
