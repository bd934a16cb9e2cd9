// What was looked up for the answers of a call, and the passages that the model was shown.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Badge } from "../parts/basic";
import { clock, ms, number, t } from "../words";
import { agentQuery } from "../api/agent";
import type { Lookup } from "./call-model";

export function LookedUp({ agentId, lookups, seek }: { agentId: string; lookups: Lookup[]; seek: (ms: number) => void }) {
  const bases = useQuery({ ...agentQuery(agentId), retry: false }).data?.knowledgeBaseIds ?? [];
  // An event does not say in which base a document is: with one there is no doubt.
  const base = bases.length === 1 ? bases[0] : undefined;
  if (lookups.length === 0) return <p className="quiet">{t("lookup.none")}</p>;
  return (
    <ol className="bare-list stack">
      {lookups.map((each) => (
        <li key={`${each.turn} ${each.at}`} className="stack thin">
          <span className="row small">
            <button type="button" className="linklike num" onClick={() => seek(each.at)}>
              {clock(each.at / 1000)}
            </button>
            <strong className="grow" dir="auto">{each.question}</strong>
            {each.late && <Badge kind="warn">{t("lookup.late")}</Badge>}
            <span className="num quiet">{ms(each.elapsedMs)}</span>
          </span>
          {each.passages.length === 0 && <p className="small quiet">{t("lookup.nothing")}</p>}
          {each.passages.map((passage) => (
            <blockquote key={passage.chunkId} className="note small" dir="auto">
              <strong>
                {base ? (
                  <Link to="/knowledge/$id" params={{ id: base }} search={{ open: passage.documentId }}>
                    {passage.document}
                  </Link>
                ) : (
                  passage.document
                )}
              </strong>
              <span className="quiet">{[passage.heading, passage.page === null ? "" : t("lookup.page", { page: number(passage.page) })].filter(Boolean).join(" · ")}</span>
              <span>{passage.text}</span>
            </blockquote>
          ))}
        </li>
      ))}
    </ol>
  );
}
