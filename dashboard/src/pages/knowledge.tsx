// Knowledge bases: what agents look things up in.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError, api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Copy, curl, Empty, Failure, Head, Time, Waiting } from "../parts/basic";
import { Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { Pages, SearchBox, useOffset } from "../parts/lists";
import { SelectField } from "../parts/select";
import { toast } from "../parts/toasts";
import { number, t } from "../words";

const LIMIT = 50;
type Base = Schemas["KnowledgeBase"];

export function Bases() {
  const search = useSearch({ strict: false }) as { q?: string };
  const [offset, setOffset] = useOffset();
  const may = useMay("developer");
  const [making, setMaking] = useState(false);
  const navigate = useNavigate();
  const found = useQuery({ queryKey: ["knowledge-bases", search.q ?? "", offset], queryFn: () => body(api.GET("/v1/knowledge-bases", { params: { query: { search: search.q, limit: LIMIT, offset } } })) });
  const rows = found.data?.data ?? [];
  const make = may && (
    <Button look="strong" icon="plus" onPress={() => setMaking(true)}>
      {t("bases.new")}
    </Button>
  );
  const none = found.data?.pagination.total === 0 && !search.q;
  return (
    <div className="page">
      <Head title={t("nav.knowledge")} lead={t("bases.lead")}>
        {!none && make}
      </Head>
      <Failure error={found.error} />
      {found.isPending && <Waiting />}
      {found.data && !none && (
        <div className="bar">
          <SearchBox label={t("bases.search")} />
        </div>
      )}
      {none && (
        <Empty title={t("bases.none")} action={make} code={curl("POST", "/v1/knowledge-bases", { name: "Handbook" })}>
          {t("bases.none.text")}
        </Empty>
      )}
      {rows.length > 0 && (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr>
                <th>{t("name")}</th>
                <th>{t("description")}</th>
                <th className="end">{t("documents.title")}</th>
                <th className="end">{t("bases.chunks")}</th>
                <th>{t("changed")}</th>
                <th>{t("id")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((base) => (
                <tr key={base.id} className="linked">
                  <td>
                    <Link to="/knowledge/$id" params={{ id: base.id }} className="main">
                      {base.name}
                    </Link>
                  </td>
                  <td className="quiet cut" style={{ maxWidth: 340 }}>{base.description}</td>
                  <td className="end num">{number(base.documentCount)}</td>
                  <td className="end num">{number(base.chunkCount)}</td>
                  <td className="quiet"><Time iso={base.updatedAt} /></td>
                  <td><Copy text={base.id} short /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.data && rows.length === 0 && !none && <p className="quiet">{t("search.none")}</p>}
      {found.data && <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />}
      {making && <BaseDialog onClose={() => setMaking(false)} onMade={(base) => void navigate({ to: "/knowledge/$id", params: { id: base.id } })} />}
    </div>
  );
}

// What runs on this machine. A vendor's model is typed: which there are depends on the key.
const LOCAL = ["all-minilm-l6-v2", "paraphrase-multilingual-minilm-l12-v2"];
const DEFAULT = "default";
const VENDOR = "vendor";

export function BaseDialog({ known, onClose, onMade }: { known?: Base; onClose: () => void; onMade?: (base: Base) => void }) {
  const [name, setName] = useState(known?.name ?? "");
  const [description, setDescription] = useState(known?.description ?? "");
  const [model, setModel] = useState(known?.embeddingModel ?? "");
  const [kind, setKind] = useState(!model ? DEFAULT : LOCAL.includes(model) ? model : VENDOR);
  const embeddingModel = kind === VENDOR ? model.trim() : kind === DEFAULT ? null : kind;
  const save = useMutation({
    mutationFn: (): Promise<Base> => {
      const wish = { name, description: description.trim() || null, embeddingModel };
      return known ? data(api.PATCH("/v1/knowledge-bases/{id}", { params: { path: { id: known.id } }, body: wish })) : data(api.POST("/v1/knowledge-bases", { body: wish }));
    },
    onSuccess: async (base) => {
      await queries.invalidateQueries({ queryKey: ["knowledge-bases"] });
      await queries.invalidateQueries({ queryKey: ["knowledge-base", base.id] });
      toast(t("saved"));
      onClose();
      onMade?.(base);
    },
  });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  return (
    <Dialog title={known ? t("bases.edit") : t("bases.new")} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
        <TextField label={t("name")} value={name} onChange={setName} required autoFocus maxLength={255} wrong={wrong?.of("name")} />
        <TextField label={t("description")} hint={t("bases.description.hint")} value={description} onChange={setDescription} rows={2} maxLength={2000} wrong={wrong?.of("description")} />
        <SelectField
          label={t("bases.model")}
          hint={t("bases.model.hint")}
          wrong={kind === VENDOR ? undefined : wrong?.of("embeddingModel")}
          value={kind}
          onChange={(id) => {
            setKind(id);
            save.reset();
            if (id === VENDOR && LOCAL.includes(model)) setModel("");
          }}
          choices={[{ id: DEFAULT, label: t("bases.model.default"), note: LOCAL[0] }, ...LOCAL.map((id) => ({ id, label: id, note: t(id === LOCAL[0] ? "bases.model.english" : "bases.model.many") })), { id: VENDOR, label: t("bases.model.vendor") }]}
        />
        {kind === VENDOR && <TextField label={t("bases.model.name")} hint={t("bases.model.name.hint")} value={model} onChange={setModel} required mono dir="ltr" maxLength={100} placeholder="openai/text-embedding-3-small" wrong={wrong?.of("embeddingModel")} />}
        {known && embeddingModel !== known.embeddingModel && <p className="note warn">{t("bases.model.again")}</p>}
        <Failure error={save.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={save.isPending}>
            {known ? t("save") : t("create")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
