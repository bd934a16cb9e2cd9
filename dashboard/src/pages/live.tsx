// Calls that are not over, the longest first.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, body } from "../api/client";
import { Badge, Empty, Failure, Head, Waiting } from "../parts/basic";
import { clock, number, t } from "../words";
import { useAgentNames } from "./calls";

const LIVE = ["in_progress", "ringing", "queued"] as const;

export function Live() {
  const agents = useAgentNames();
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const found = useQuery({
    queryKey: ["calls", "live"],
    refetchInterval: 2_000,
    queryFn: async () => {
      const pages = await Promise.all(LIVE.map((status) => body(api.GET("/v1/calls", { params: { query: { status, limit: 100 } } }))));
      return { calls: pages.flatMap((page) => page.data), total: pages.reduce((sum, page) => sum + page.pagination.total, 0) };
    },
  });
  const rows = found.data?.calls ?? [];
  return (
    <div className="page">
      <Head title={t("nav.live")} lead={t("live.lead")}>
        {found.data && (
          <span className="badge accent num">
            <span className="live-dot" /> {number(found.data.total)}
          </span>
        )}
      </Head>
      <Failure error={found.error} />
      {found.isPending && <Waiting />}
      {found.data && rows.length === 0 && <Empty title={t("live.none")}>{t("live.none.text")}</Empty>}
      {rows.length > 0 && (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr>
                <th>{t("calls.customer")}</th>
                <th>{t("state")}</th>
                <th>{t("search.agent")}</th>
                <th>{t("calls.direction")}</th>
                <th className="end">{t("calls.duration")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((call) => (
                <tr key={call.id} className="linked">
                  <td>
                    <Link to="/calls/$id" params={{ id: call.id }} className="main num" dir="ltr">
                      {call.customerNumber}
                    </Link>
                  </td>
                  <td><Badge kind={call.status} /></td>
                  <td>{agents.get(call.agentId) ?? "—"}</td>
                  <td className="quiet">{t(`direction.${call.direction}`)}</td>
                  <td className="end num">{call.answeredAt ? clock(Math.max(0, (now - new Date(call.answeredAt).getTime()) / 1000)) : "—"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}
