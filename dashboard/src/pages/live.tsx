// Calls that ring or are talked on, all on one stream; one of them open beside the list.
import { useSearch } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { type LiveCall, useLiveCalls } from "../api/live";
import { Badge, curl, Empty, Failure, Head, Waiting } from "../parts/basic";
import { useParameters } from "../parts/lists";
import { useNow } from "../parts/now";
import { SLOW_MS } from "../parts/slow";
import { clock, maybe, ms, number, t } from "../words";

const LiveCallPanel = lazy(() => import("./live-call"));

export function Live() {
  const { call: open } = useSearch({ strict: false }) as { call?: string };
  const change = useParameters();
  const { calls, total, broken, error } = useLiveCalls();
  const rows = calls ? [...calls.values()].sort(worst) : [];
  return (
    <div className="page">
      <Head title={t("nav.live")} lead={t("live.lead")}>
        {calls && (
          <span className="badge accent num">
            <span className="live-dot" /> {number(total)}
          </span>
        )}
      </Head>
      {broken && <p className="note warn" role="status">{t("live.broken")}</p>}
      <Failure error={error} />
      {!calls && <Waiting />}
      {calls && rows.length === 0 && !open && <Empty title={t("live.none")} code={curl("GET", "/v1/calls/live")}>{t("live.none.text")}</Empty>}
      <div className={open ? "live-columns" : undefined}>
        {rows.length > 0 && <Rows rows={rows} open={open} onOpen={(id) => change({ call: id })} />}
        {open && (
          <Suspense fallback={<Waiting />}>
            <LiveCallPanel key={open} id={open} onClose={() => change({ call: undefined })} />
          </Suspense>
        )}
      </div>
      {calls && total > rows.length && <p className="quiet small">{t("live.more", { shown: number(rows.length), total: number(total) })}</p>}
    </div>
  );
}

/** What needs a look first, then the longest. */
function worst(a: LiveCall, b: LiveCall): number {
  return Number(!!b.problem) - Number(!!a.problem) || a.createdAt.localeCompare(b.createdAt);
}

function Rows({ rows, open, onOpen }: { rows: LiveCall[]; open?: string; onOpen: (id: string) => void }) {
  const now = useNow();
  return (
    <div className="table-wrap">
      <table className="list stacks">
        <thead>
          <tr>
            <th>{t("calls.customer")}</th>
            <th>{t("state")}</th>
            <th>{t("search.agent")}</th>
            {!open && <th>{t("live.last")}</th>}
            <th className="end">{t("live.latency")}</th>
            <th className="end">{t("calls.duration")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((call) => (
            <tr key={call.id} className="linked" data-open={call.id === open ? "" : undefined}>
              <td>
                <button type="button" className="linklike main num" dir="ltr" aria-pressed={call.id === open} onClick={() => onOpen(call.id)}>
                  {call.customerNumber}
                </button>
              </td>
              <td>
                <At call={call} />
              </td>
              <td>{call.agentName ?? t("deleted")}</td>
              {!open && (
                <td className="live-line" dir="auto">
                  {call.problem && <span className="badge bad" title={call.problem}>{t("event.engine_failed")}</span>} {call.lastLine?.content ?? "—"}
                </td>
              )}
              <td className="end num"><span className={(call.latencyMs ?? 0) > SLOW_MS ? "badge warn" : undefined}>{ms(call.latencyMs)}</span></td>
              <td className="end num">{call.answeredAt ? clock(Math.max(0, (now - new Date(call.answeredAt).getTime()) / 1000)) : "—"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function At({ call }: { call: LiveCall }) {
  if (call.status !== "in_progress") return <Badge kind={call.status} />;
  if (call.takenOverBy) return <Badge kind="accent">{t("live.at.member")}</Badge>;
  if (call.transferStatus && ["initiated", "ringing", "briefing", "connected"].includes(call.transferStatus)) return <Badge kind="accent">{t("live.at.transfer")}</Badge>;
  if (call.onHold) return <Badge kind="warn">{t("live.at.hold")}</Badge>;
  return <Badge kind="in_progress">{maybe(`live.at.${call.floor ?? "quiet"}`, t("status.in_progress"))}</Badge>;
}
