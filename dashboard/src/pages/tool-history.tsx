// How a tool fared in the latest calls.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, data } from "../api/client";
import { Badge, Failure, Time, Waiting } from "../parts/basic";
import { clock, ms, number, t } from "../words";

export function ToolHistory({ id }: { id: string }) {
  const found = useQuery({ queryKey: ["tool-history", id], queryFn: () => data(api.GET("/v1/tools/{id}/history", { params: { path: { id } } })) });
  const uses = found.data?.uses ?? [];
  return (
    <section aria-labelledby="tool-history" className="stack" style={{ borderTop: "1px solid var(--line)", paddingTop: 14 }}>
      <h3 id="tool-history">{t("history.title")}</h3>
      <Failure error={found.error} />
      {found.isPending && <Waiting lines={2} />}
      {found.data && <p className="small quiet">{t(uses.length ? "history.lead" : "history.none", { calls: number(found.data.calls) })}</p>}
      <ul className="bare-list stack">
        {uses.map((use) => (
          <li key={`${use.callId} ${use.atMs} ${use.arguments}`} className="note small">
            <span className="row">
              <Badge kind={use.ok === null ? "warn" : use.ok ? "good" : "bad"}>{use.status === null ? t("run.none") : `HTTP ${use.status}`}</Badge>
              <span className="num">{ms(use.elapsedMs)}</span>
              <Link to="/calls/$id" params={{ id: use.callId }} className="grow">
                <Time iso={use.at} /> · {clock(use.atMs / 1000)}
              </Link>
            </span>
            <code dir="ltr">{use.arguments}</code>
            {use.result !== null && <pre className="plain-pre" dir="auto">{use.result}</pre>}
          </li>
        ))}
      </ul>
    </section>
  );
}
