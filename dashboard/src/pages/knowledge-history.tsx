// Who changed a knowledge base and its documents, and how each reading of a document went.
import { useQuery } from "@tanstack/react-query";
import { api, data, type Schemas } from "../api/client";
import { Badge, Failure, Time, Waiting } from "../parts/basic";
import { maybe, money, ms, number, t } from "../words";

type Props = { base: string; document?: string };

/** Of the whole base, or of one document of it. */
export default function KnowledgeHistory({ base, document }: Props) {
  const found = useQuery({
    queryKey: ["knowledge-history", base, document ?? null],
    queryFn: () => data(api.GET("/v1/knowledge-bases/{id}/history", { params: { path: { id: base }, query: { documentId: document } } })),
    refetchInterval: (q) => (q.state.data?.readings.some((each) => each.status === "waiting") ? 2_000 : false),
    refetchOnMount: "always",
  });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting lines={4} />;
  const { changes, readings } = found.data;
  return (
    <>
      <h3 id="knowledge-changes">{t("knowledge.history.changes")}</h3>
      <div className="table-wrap">
        <table className="list stacks" aria-labelledby="knowledge-changes">
          <thead>
            <tr>
              <th>{t("audit.when")}</th>
              <th>{t("audit.who")}</th>
              <th>{t("audit.what")}</th>
              {!document && <th>{t("documents.one")}</th>}
              <th>{t("audit.fields")}</th>
            </tr>
          </thead>
          <tbody>
            {changes.map((each, n) => (
              <tr key={`${each.at} ${n}`}>
                <td className="quiet"><Time iso={each.at} /></td>
                <td>{each.actorName} <span className="badge">{t(`actor.${each.actor}`)}</span></td>
                <td>{maybe(`knowledge.did.${each.action}`, each.action)}</td>
                {!document && <td className="cut" style={{ maxWidth: 260 }} dir="auto">{each.document ?? "—"}</td>}
                <td className="small quiet">{each.fields.join(", ")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <h3 id="knowledge-readings">{t("knowledge.history.readings")}</h3>
      {readings.length === 0 && <p className="quiet">{t("knowledge.history.none")}</p>}
      {readings.length > 0 && <Readings readings={readings} named={!document} />}
    </>
  );
}

function Readings({ readings, named }: { readings: Schemas["DocumentReading"][]; named: boolean }) {
  return (
    <div className="table-wrap">
      <table className="list stacks" aria-labelledby="knowledge-readings">
        <thead>
          <tr>
            <th>{t("audit.when")}</th>
            <th>{t("documents.state")}</th>
            {named && <th>{t("documents.one")}</th>}
            <th className="end">{t("knowledge.history.took")}</th>
            <th className="end">{t("bases.chunks")}</th>
            <th>{t("documents.by")}</th>
            <th className="end">{t("knowledge.history.tokens")}</th>
            <th className="end">{t("calls.cost")}</th>
          </tr>
        </thead>
        <tbody>
          {readings.map((each) => (
            <tr key={`${each.documentId} ${each.askedAt}`}>
              <td className="quiet"><Time iso={each.askedAt} /></td>
              <td style={{ whiteSpace: "normal", maxWidth: 320 }}>
                <Badge kind={{ ready: "good", failed: "bad", waiting: "warn", replaced: "" }[each.status]}>{t(`documents.status.${each.status}`)}</Badge>
                {each.problem && <span className="small" style={{ display: "block", color: "var(--bad-ink)" }} dir="auto">{each.problem}</span>}
              </td>
              {named && <td className="cut" style={{ maxWidth: 260 }} dir="auto">{each.document}</td>}
              <td className="end num">{each.endedAt && each.status !== "replaced" ? ms(Date.parse(each.endedAt) - Date.parse(each.askedAt)) : "—"}</td>
              <td className="end num">{number(each.chunkCount)}</td>
              <td>{each.embeddingModel ? <span className="mono small" dir="ltr">{each.embeddingModel}</span> : each.status === "ready" ? t("documents.by.words") : "—"}</td>
              <td className="end num">{number(each.embeddingTokens)}</td>
              <td className="end num">{money(each.embeddingCost)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
