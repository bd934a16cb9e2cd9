// One document: what was read of it, in the pieces that are found; renamed, replaced, read again.
import { useMutation, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState } from "react";
import { ApiError, api, body, data, type Schemas } from "../api/client";
import { queries } from "../api/session";
import { Badge, Button, Failure, Time, Waiting } from "../parts/basic";
import { Dialog } from "../parts/dialogs";
import { NumberField, TextField } from "../parts/fields";
import { Pages } from "../parts/lists";
import { toast } from "../parts/toasts";
import { useDirty } from "../parts/unsaved";
import { number, t } from "../words";
import { size } from "./document-add";

const KnowledgeHistory = lazy(() => import("./knowledge-history"));
const LIMIT = 20;
type Document = Schemas["Document"];

export function DocumentDialog({ base, id, may, onClose, onChanged }: { base: string; id: string; may: boolean; onClose: () => void; onChanged: () => void }) {
  const path = { id: base, documentId: id };
  const [offset, setOffset] = useState(0);
  const [editing, setEditing] = useState(false);
  const [dirty, setDirty] = useState(false);
  const [history, setHistory] = useState(false);
  const found = useQuery({
    queryKey: ["document", base, id],
    queryFn: () => data(api.GET("/v1/knowledge-bases/{id}/documents/{documentId}", { params: { path } })),
    refetchInterval: (q) => (q.state.data?.status === "waiting" ? 2_000 : false),
  });
  const document = found.data;
  const chunks = useQuery({
    // What was read anew has other pieces.
    queryKey: ["chunks", base, id, offset, document?.readAt],
    enabled: !!document,
    queryFn: () => body(api.GET("/v1/knowledge-bases/{id}/documents/{documentId}/chunks", { params: { path, query: { limit: LIMIT, offset } } })),
  });
  const again = useMutation({
    mutationFn: () => data(api.POST("/v1/knowledge-bases/{id}/documents/{documentId}/ingest", { params: { path } })),
    onSuccess: (answer) => {
      queries.setQueryData(["document", base, id], answer);
      onChanged();
    },
  });
  return (
    <Dialog title={document?.name ?? t("documents.title")} open onClose={onClose} dirty={editing && dirty} wide>
      <Failure error={found.error ?? again.error} />
      {found.isPending && <Waiting />}
      {document && (
        <>
          <dl className="pairs">
            <dt>{t("documents.state")}</dt>
            <dd>
              <Status document={document} />
            </dd>
            {document.url && (
              <>
                <dt>URL</dt>
                <dd className="mono small" dir="ltr">{document.url}</dd>
              </>
            )}
            <dt>{t("documents.size")}</dt>
            <dd>{[size(document.sizeBytes), document.format, document.pageCount !== null && t("documents.pages", { count: number(document.pageCount) })].filter(Boolean).join(" · ")}</dd>
            <dt>{t("documents.read")}</dt>
            <dd>
              <Time iso={document.readAt} />
            </dd>
            {document.nextRefreshAt && (
              <>
                <dt>{t("documents.next")}</dt>
                <dd>
                  <Time iso={document.nextRefreshAt} relative={false} />
                </dd>
              </>
            )}
            <dt>{t("documents.by")}</dt>
            <dd>{document.embeddingModel ? <span className="mono" dir="ltr">{document.embeddingModel}</span> : t("documents.by.words")}</dd>
          </dl>
          {document.problem && <p className="note bad" dir="auto">{document.problem}</p>}
          {history && (
            <Suspense fallback={<Waiting lines={4} />}>
              <KnowledgeHistory base={base} document={id} />
            </Suspense>
          )}
          {editing ? (
            <Edit document={document} onClose={() => setEditing(false)} onChanged={onChanged} onDirty={setDirty} />
          ) : (
            <>
              {!history && <h3>{t("documents.pieces")}</h3>}
              <Failure error={chunks.error} />
              {chunks.isPending && <Waiting lines={3} />}
              {chunks.data?.data.length === 0 && <p className="quiet">{t("documents.pieces.none")}</p>}
              {!history && <ol className="bare-list" tabIndex={0} aria-label={t("documents.pieces")} style={{ maxHeight: "44vh", overflow: "auto" }}>
                {chunks.data?.data.map((chunk) => (
                  <li key={chunk.id} className="card">
                    <Where heading={chunk.heading} page={chunk.page} />
                    <p dir="auto" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{chunk.text}</p>
                  </li>
                ))}
              </ol>}
              {!history && chunks.data && <Pages total={chunks.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />}
              <div className="foot">
                <Button aria-expanded={history} onPress={() => setHistory(!history)}>{t("knowledge.history")}</Button>
                {may && <Button onPress={() => setEditing(true)}>{t("edit")}</Button>}
                {may && (
                  <Button isDisabled={again.isPending || document.status === "waiting"} onPress={() => again.mutate()}>
                    {t("documents.again")}
                  </Button>
                )}
                <Button look="strong" onPress={onClose}>{t("close")}</Button>
              </div>
            </>
          )}
        </>
      )}
    </Dialog>
  );
}

export function Status({ document }: { document: Document }) {
  const kind = { ready: "good", failed: "bad", waiting: "warn" }[document.status];
  return <Badge kind={kind}>{t(`documents.status.${document.status}`)}</Badge>;
}

/** Where in its document a piece stands. */
export function Where({ heading, page }: { heading: string; page: number | null }) {
  const place = [heading, page !== null && t("documents.page", { page: number(page) })].filter(Boolean).join(" · ");
  return place ? <p className="small quiet" dir="auto">{place}</p> : null;
}

function Edit({ document, onClose, onChanged, onDirty }: { document: Document; onClose: () => void; onChanged: () => void; onDirty: (dirty: boolean) => void }) {
  const [name, setName] = useState(document.name);
  const [text, setText] = useState("");
  const [refreshHours, setRefreshHours] = useState(document.refreshHours);
  const dirty = useDirty([name, text, refreshHours]);
  useEffect(() => onDirty(dirty), [dirty, onDirty]);
  const save = useMutation({
    mutationFn: () => {
      const changes = { name, ...(text ? { text } : {}), ...(document.url ? { refreshHours } : {}) };
      return data(api.PATCH("/v1/knowledge-bases/{id}/documents/{documentId}", { params: { path: { id: document.knowledgeBaseId, documentId: document.id } }, body: changes }));
    },
    onSuccess: (answer) => {
      queries.setQueryData(["document", document.knowledgeBaseId, document.id], answer);
      onChanged();
      toast(t("saved"));
      onClose();
    },
  });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  return (
    <form className="stack" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
      <TextField label={t("name")} value={name} onChange={setName} required autoFocus maxLength={255} wrong={wrong?.of("name")} />
      {document.source === "text" && <TextField label={t("documents.text.new")} hint={t("documents.text.new.hint")} value={text} onChange={setText} rows={9} maxLength={1_000_000} wrong={wrong?.of("text")} />}
      {document.url && <NumberField label={t("documents.refresh")} hint={t("documents.refresh.hint")} value={refreshHours} onChange={setRefreshHours} min={1} max={8760} wrong={wrong?.of("refreshHours")} />}
      <Failure error={save.error} />
      <div className="foot">
        <Button onPress={onClose}>{t("cancel")}</Button>
        <Button type="submit" look="strong" isDisabled={save.isPending}>
          {t("save")}
        </Button>
      </div>
    </form>
  );
}
