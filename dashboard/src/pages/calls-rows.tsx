// Rows of the list of calls. Those that are live show what the stream of live calls says of them,
// and what begins, ends or comes to another state has its page asked for again.
import { Link } from "@tanstack/react-router";
import { memo, useEffect, useRef } from "react";
import type { Listed } from "../api/calls";
import { type LiveCall, useLiveCalls } from "../api/live";
import { Badge, Copy, Time } from "../parts/basic";
import { Reason } from "../parts/explained";
import { useNow } from "../parts/now";
import { clock, money, number, t } from "../words";

export const COLUMNS = ["agent", "direction", "duration", "turns", "cost", "reason", "id"] as const;
export type Column = (typeof COLUMNS)[number];

const AGAIN_MS = 2_000;

export function hiddenIn(hide: string | undefined): Set<Column> {
  return new Set(String(hide ?? "").split(",") as Column[]);
}

type Props = { rows: Listed[]; first: boolean; agents: Map<string, string>; hide?: string; onStale: () => void };

/** `first`: what begins now belongs on this page, unless a filter keeps it out. */
export function Rows({ rows, first, agents, hide, onStale }: Props) {
  const live = useLiveRows(rows, first, onStale);
  const now = useNow(rows.some((call) => live.has(call.id)));
  const hidden = hiddenIn(hide);
  if (rows.length === 0) return null;
  return (
    <div className="table-wrap">
      <table className="list stacks">
        <thead>
          <tr>
            <th>{t("calls.customer")}</th>
            <th>{t("state")}</th>
            {!hidden.has("agent") && <th>{t("search.agent")}</th>}
            {!hidden.has("direction") && <th>{t("calls.direction")}</th>}
            <th>{t("calls.when")}</th>
            {!hidden.has("duration") && <th className="end">{t("calls.duration")}</th>}
            {!hidden.has("turns") && <th className="end">{t("calls.turns")}</th>}
            {!hidden.has("cost") && <th className="end">{t("calls.cost")}</th>}
            {!hidden.has("reason") && <th>{t("calls.reason")}</th>}
            {!hidden.has("id") && <th>{t("id")}</th>}
          </tr>
        </thead>
        <tbody>
          {rows.map((call) => {
            const going = live.get(call.id);
            return (
              <Row
                key={call.id}
                call={call}
                status={going?.status ?? call.status}
                seconds={going?.answeredAt ? Math.max(0, Math.floor((now - Date.parse(going.answeredAt)) / 1000)) : call.durationSeconds}
                turns={Math.max(going?.turnCount ?? 0, call.turnCount)}
                agent={agents.get(call.agentId)}
                hide={hide}
              />
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** What is live of the organization's calls; a call that is over in its row is not. */
function useLiveRows(rows: Listed[], first: boolean, onStale: () => void): Map<string, LiveCall> {
  const { calls } = useLiveCalls();
  const known = useRef<Map<string, string> | null>(null);
  const again = useRef<ReturnType<typeof setTimeout> | null>(null);
  const now = useRef({ rows, first, onStale });
  now.current = { rows, first, onStale };
  useEffect(() => {
    if (!calls) return;
    const before = known.current;
    const after = new Map([...calls.values()].map((call) => [call.id, call.status]));
    known.current = after;
    if (again.current) return;
    const { rows, first } = now.current;
    const here = new Map(rows.map((call) => [call.id, call]));
    const stale = before
      ? [...new Set([...before.keys(), ...after.keys()])].some((id) => before.get(id) !== after.get(id) && (first || here.has(id)))
      : // Between the page's answer and the stream's first.
        first && [...calls.values()].some((call) => !here.has(call.id) && call.createdAt > (rows[0]?.createdAt ?? ""));
    if (!stale) return;
    now.current.onStale();
    // What changes meanwhile is seen by one request, however many calls there are.
    const look = () => {
      again.current = null;
      now.current.onStale();
    };
    again.current = setTimeout(look, AGAIN_MS);
  }, [calls]);
  useEffect(() => () => clearTimeout(again.current ?? undefined), []);
  return new Map(rows.flatMap((call) => (call.endedAt === null && calls?.has(call.id) ? [[call.id, calls.get(call.id)!] as const] : [])));
}

type RowProps = { call: Listed; status: Listed["status"]; seconds: number | null; turns: number; agent: string | undefined; hide: string | undefined };

/** Drawn anew only if its call changed, not when a filter, another call or another list did. */
const Row = memo(function Row({ call, status, seconds, turns, agent, hide }: RowProps) {
  const hidden = hiddenIn(hide);
  return (
    <tr className="linked">
      <td>
        <Link to="/calls/$id" params={{ id: call.id }} className="main num" dir="ltr">
          {call.customerNumber}
        </Link>
      </td>
      <td>
        <Badge kind={status} />
      </td>
      {!hidden.has("agent") && <td>{agent ?? <span className="quiet">{t("deleted")}</span>}</td>}
      {!hidden.has("direction") && <td className="quiet">{t(`direction.${call.direction}`)}</td>}
      <td className="quiet">
        <Time iso={call.createdAt} />
      </td>
      {!hidden.has("duration") && <td className="end num">{clock(seconds)}</td>}
      {!hidden.has("turns") && <td className="end num">{number(turns)}</td>}
      {!hidden.has("cost") && <td className="end num">{money(call.cost)}</td>}
      {!hidden.has("reason") && <td className="quiet"><Reason code={call.endedReason} /></td>}
      {!hidden.has("id") && (
        <td>
          <Copy text={call.id} short />
        </td>
      )}
    </tr>
  );
});
