// One knowledge base: its documents, what a question finds in them, and its history.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Copy, curl, Empty, Failure, Head, Time, Waiting } from "../parts/basic";
import { Confirm, Menu } from "../parts/dialogs";
import { Pages, SearchBox, useOffset, useParameters } from "../parts/lists";
import { toast } from "../parts/toasts";
import { number, t } from "../words";
import { AddDocument, size } from "./document-add";
import { DocumentDialog, Status } from "./document";
import { BaseDialog } from "./knowledge";
import { Question } from "./knowledge-question";

const KnowledgeHistory = lazy(() => import("./knowledge-history"));
const LIMIT = 50;
type Document = Schemas["Document"];

export function BasePage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const navigate = useNavigate();
  const may = useMay("developer");
  const [open, setOpen] = useState<"edit" | "delete" | null>(null);
  const found = useQuery({ queryKey: ["knowledge-base", id], queryFn: () => data(api.GET("/v1/knowledge-bases/{id}", { params: { path: { id } } })) });
  const base = found.data;
  if (!base) {
    return (
      <div className="page">
        <Failure error={found.error} />
        {found.isPending && <Waiting lines={9} />}
      </div>
    );
  }
  return (
    <div className="page">
      <Head title={base.name} crumb={<Link to="/knowledge">{t("nav.knowledge")}</Link>} lead={base.description}>
        <Copy text={id} short />
        {may && (
          <Menu
            label={t("more")}
            entries={[
              { id: "edit", label: t("edit"), act: () => setOpen("edit") },
              { id: "delete", label: t("delete"), act: () => setOpen("delete") },
            ]}
          />
        )}
      </Head>
      <dl className="facts">
        <div>
          <dt>{t("bases.chunks")}</dt>
          <dd className="num">{number(base.chunkCount)}</dd>
        </div>
        <div>
          <dt>{t("bases.characters")}</dt>
          <dd className="num">{number(base.characters)}</dd>
        </div>
        <div>
          <dt>{t("bases.model")}</dt>
          <dd>{base.embeddingModel ? <span className="mono" dir="ltr">{base.embeddingModel}</span> : t("bases.model.default")}</dd>
        </div>
      </dl>
      {base.chunkCount > 0 && <Question id={id} />}
      <Documents id={id} may={may} />
      <History id={id} />
      {open === "edit" && <BaseDialog known={base} onClose={() => setOpen(null)} />}
      <Confirm
        title={t("bases.delete", { name: base.name })}
        open={open === "delete"}
        onClose={() => setOpen(null)}
        verb={t("delete")}
        act={async () => {
          await data(api.DELETE("/v1/knowledge-bases/{id}", { params: { path: { id } } }));
          await queries.invalidateQueries({ queryKey: ["knowledge-bases"] });
          await navigate({ to: "/knowledge" });
        }}
      >
        {t("bases.delete.text")}
      </Confirm>
    </div>
  );
}

/** Loaded and asked for when it is opened; the address says so. */
function History({ id }: { id: string }) {
  const { history } = useSearch({ strict: false }) as { history?: string };
  const change = useParameters();
  return (
    <section aria-labelledby="history" className="stack" style={{ marginTop: 22 }}>
      <div className="bar">
        <h2 id="history" className="grow">{t("knowledge.history")}</h2>
        <Button aria-expanded={!!history} onPress={() => change({ history: history ? undefined : "all" })}>
          {t(history ? "knowledge.history.hide" : "knowledge.history.show")}
        </Button>
      </div>
      <p className="quiet">{t("knowledge.history.lead")}</p>
      {history && (
        <Suspense fallback={<Waiting lines={4} />}>
          <KnowledgeHistory base={id} />
        </Suspense>
      )}
    </section>
  );
}

function Documents({ id, may }: { id: string; may: boolean }) {
  const search = useSearch({ strict: false }) as { q?: string; open?: string };
  const change = useParameters();
  const [offset, setOffset] = useOffset();
  const [adding, setAdding] = useState(false);
  const [deleting, setDeleting] = useState<Document | null>(null);
  const found = useQuery({
    queryKey: ["documents", id, search.q ?? "", offset],
    queryFn: async () => {
      const page = await body(api.GET("/v1/knowledge-bases/{id}/documents", { params: { path: { id }, query: { search: search.q, limit: LIMIT, offset } } }));
      // The sums of the base are of what was read.
      void queries.invalidateQueries({ queryKey: ["knowledge-base", id] });
      return page;
    },
    refetchInterval: (q) => (q.state.data?.data.some((each) => each.status === "waiting") ? 2_000 : false),
  });
  const rows = found.data?.data ?? [];
  const none = found.data?.pagination.total === 0 && !search.q;
  const refresh = () => queries.invalidateQueries({ queryKey: ["documents", id] });
  const add = may && (
    <Button look="strong" icon="plus" onPress={() => setAdding(true)}>
      {t("documents.add")}
    </Button>
  );
  const readAgain = async (document: Document) => {
    try {
      await data(api.POST("/v1/knowledge-bases/{id}/documents/{documentId}/ingest", { params: { path: { id, documentId: document.id } } }));
      await refresh();
    } catch (reason) {
      toast(reason instanceof Error ? reason.message : String(reason));
    }
  };
  return (
    <section aria-labelledby="documents">
      <div className="bar" style={{ marginTop: 22 }}>
        <h2 id="documents" className="grow">{t("documents.title")}</h2>
        {!none && <SearchBox label={t("documents.search")} />}
        {!none && add}
      </div>
      <Failure error={found.error} />
      {found.isPending && <Waiting />}
      {none && (
        <Empty title={t("documents.none")} action={add} code={curl("POST", `/v1/knowledge-bases/${id}/documents`, { name: "Opening hours", text: "We are open from 11 to 22." })}>
          {t("documents.none.text")}
        </Empty>
      )}
      {rows.length > 0 && (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr>
                <th>{t("name")}</th>
                <th>{t("documents.state")}</th>
                <th>{t("documents.source")}</th>
                <th className="end">{t("documents.size")}</th>
                <th className="end">{t("bases.chunks")}</th>
                <th>{t("documents.read")}</th>
                <th><span className="hidden">{t("more")}</span></th>
              </tr>
            </thead>
            <tbody>
              {rows.map((document) => (
                <tr key={document.id}>
                  <td style={{ maxWidth: 320, whiteSpace: "normal" }}>
                    <a href={`?open=${document.id}`} className="main" onClick={(event) => { event.preventDefault(); change({ open: document.id }); }}>
                      {document.name}
                    </a>
                    {document.problem && <span className="small" style={{ display: "block", color: "var(--bad-ink)" }} dir="auto">{document.problem}</span>}
                  </td>
                  <td><Status document={document} /></td>
                  <td className="quiet cut" style={{ maxWidth: 260 }}>
                    {document.url ? <span className="mono small" dir="ltr" title={document.url}>{document.url}</span> : [t(`documents.${document.source}`), document.format].filter(Boolean).join(" · ")}
                  </td>
                  <td className="end num">{size(document.sizeBytes)}</td>
                  <td className="end num">{number(document.chunkCount)}</td>
                  <td className="quiet"><Time iso={document.readAt} /></td>
                  <td className="end">
                    {may && (
                      <Menu
                        label={t("documents.more", { name: document.name })}
                        entries={[
                          { id: "again", label: t("documents.again"), act: () => void readAgain(document) },
                          { id: "delete", label: t("delete"), act: () => setDeleting(document) },
                        ]}
                      />
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.data && rows.length === 0 && !none && <p className="quiet">{t("search.none")}</p>}
      {found.data && <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />}
      {adding && <AddDocument id={id} onClose={() => setAdding(false)} onAdded={refresh} />}
      {search.open && <DocumentDialog key={search.open} base={id} id={search.open} may={may} onClose={() => change({ open: undefined })} onChanged={refresh} />}
      <Confirm
        title={t("documents.delete", { name: deleting?.name ?? "" })}
        open={deleting !== null}
        onClose={() => setDeleting(null)}
        verb={t("delete")}
        act={async () => {
          await data(api.DELETE("/v1/knowledge-bases/{id}/documents/{documentId}", { params: { path: { id, documentId: deleting?.id ?? "" } } }));
          await refresh();
        }}
      >
        {t("documents.delete.text")}
      </Confirm>
    </section>
  );
}
