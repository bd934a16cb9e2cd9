// A question to a knowledge base, as a caller would ask it, and the pieces that an agent would see.
import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api, data } from "../api/client";
import { Badge, Button, Failure, Waiting } from "../parts/basic";
import { useParameters } from "../parts/lists";
import { SwitchField } from "../parts/switch";
import { ms, number, t } from "../words";
import { Where } from "./document";

export function Question({ id }: { id: string }) {
  const search = useSearch({ strict: false }) as { ask?: string | number; ways?: string };
  const change = useParameters();
  const asked = String(search.ask ?? "");
  const [text, setText] = useState(asked);
  const ways = search.ways === "words" ? "words" : "all";
  const found = useQuery({
    queryKey: ["knowledge-search", id, asked, ways],
    enabled: asked !== "",
    queryFn: () => data(api.POST("/v1/knowledge-bases/{id}/search", { params: { path: { id } }, body: { query: asked, limit: 8, ways } })),
  });
  return (
    <section className="card stack" aria-labelledby="question">
      <h2 id="question">{t("question.title")}</h2>
      <form
        className="row"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() === asked) void found.refetch();
          else change({ ask: text.trim() });
        }}
      >
        <div className="field grow">
          <input type="search" aria-label={t("question.label")} placeholder={t("question.label")} value={text} onChange={(event) => setText(event.target.value)} required maxLength={1000} dir="auto" />
        </div>
        <SwitchField label={t("question.words")} value={ways === "words"} onChange={(on) => change({ ways: on ? "words" : undefined })} />
        <Button type="submit" look="strong" icon="search">
          {t("question.ask")}
        </Button>
      </form>
      <Failure error={found.error} />
      {found.isFetching && !found.data && <Waiting lines={2} />}
      {found.data && (
        <>
          <p className="small quiet" role="status">
            {[t("question.found", { count: number(found.data.passages.length) }), ms(found.data.elapsedMs), ...found.data.ways.map((way) => t(`question.by.${way}`))].join(" · ")}
          </p>
          <ol className="bare-list">
            {found.data.passages.map((passage) => (
              <li key={passage.chunkId} className="card">
                <div className="row">
                  <a href={`?open=${passage.documentId}`} onClick={(event) => { event.preventDefault(); change({ open: passage.documentId }); }}>
                    <strong>{passage.document}</strong>
                  </a>
                  <span className="grow" />
                  <Badge kind="">{number(passage.score, 4)}</Badge>
                </div>
                {passage.url && <p className="mono small quiet" dir="ltr">{passage.url}</p>}
                <Where heading={passage.heading} page={passage.page} />
                <p dir="auto" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{passage.text}</p>
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  );
}
