// What an agent was, from change to change: what differs, how each is called, and the way back.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError, api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Badge, Button, curl, Empty, Failure, Time, Waiting } from "../parts/basic";
import { Difference } from "../parts/difference";
import { Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { Pages, useOffset, useParameters } from "../parts/lists";
import { toast } from "../parts/toasts";
import { maybe, number, t } from "../words";
import type { Group } from "./agent-field";

type Listed = Schemas["ListedAgentVersion"];
const LIMIT = 25;

export function Versions({ form }: Group) {
  const { id } = form.agent;
  const search = useSearch({ strict: false }) as { version?: number };
  const change = useParameters();
  const [offset, setOffset] = useOffset();
  const may = useMay("developer");
  const [asked, setAsked] = useState<{ what: "name" | "restore"; version: Listed } | null>(null);
  const found = useQuery({
    queryKey: ["versions", id, form.agent.version, offset],
    queryFn: () => body(api.GET("/v1/agents/{id}/versions", { params: { path: { id }, query: { limit: LIMIT, offset } } })),
    placeholderData: (old) => old,
  });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  const open = Number(search.version) || null;
  if (found.data.pagination.total === 0) {
    return (
      <Empty title={t("versions.none")} code={curl("POST", `/v1/agents/${id}/versions`, { name: t("versions.example") })}>
        {t("versions.none.text")}
      </Empty>
    );
  }
  return (
    <>
      <p className="quiet">{t("versions.lead")}</p>
      <ol className="bare-list stack">
        {found.data.data.map((each) => (
          <li key={each.number} className="card stack thin" data-version={each.number}>
            <div className="row">
              <strong className="num">{t("version.n", { number: number(each.number) })}</strong>
              {each.name && <strong dir="auto">{each.name}</strong>}
              {each.isCurrent && <Badge kind="active">{t("version.current")}</Badge>}
              {each.restoredFrom !== null && <span className="badge">{t("version.restored", { number: number(each.restoredFrom) })}</span>}
              <span className="grow" />
              <span className="small quiet">
                {each.author} <Time iso={each.createdAt} />
              </span>
            </div>
            {each.note && <p dir="auto" style={{ whiteSpace: "pre-wrap" }}>{each.note}</p>}
            <div className="row">
              <Button look="tiny" aria-expanded={open === each.number} onPress={() => change({ version: open === each.number ? undefined : each.number })}>
                {t("version.changes")}
              </Button>
              {may && (
                <>
                  <Button look="tiny" onPress={() => setAsked({ what: "name", version: each })}>{t("version.name")}</Button>
                  {!each.isCurrent && <Button look="tiny" onPress={() => setAsked({ what: "restore", version: each })}>{t("version.restore")}</Button>}
                </>
              )}
            </div>
            {open === each.number && <Changes id={id} number={each.number} />}
          </li>
        ))}
      </ol>
      <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />
      {asked?.what === "name" && <NameDialog id={id} version={asked.version} onClose={() => setAsked(null)} />}
      {asked?.what === "restore" && <RestoreDialog form={form} version={asked.version} onClose={() => setAsked(null)} />}
    </>
  );
}

export const fieldName = (field: string) => maybe(`field.${field}`, field);

/** What a version has other than the one before it, or than `against`. */
function Changes({ id, number: wanted, against }: { id: string; number: number; against?: number }) {
  const found = useQuery({
    queryKey: ["version-diff", id, wanted, against],
    queryFn: () => data(api.GET("/v1/agents/{id}/versions/{number}/diff", { params: { path: { id, number: wanted }, query: { against } } })),
  });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting lines={2} />;
  if (found.data.against === null) return <p className="quiet small">{t("version.first")}</p>;
  if (found.data.changes.length === 0) return <p className="quiet small">{t("version.same")}</p>;
  return (
    <div className="stack">
      <p className="small quiet">{t("version.against", { number: number(found.data.against) })}</p>
      {found.data.changes.map((each) => (
        <Difference key={each.field} title={fieldName(each.field)} before={each.before} after={each.after} />
      ))}
    </div>
  );
}

function NameDialog({ id, version, onClose }: { id: string; version: Listed; onClose: () => void }) {
  const [name, setName] = useState(version.name ?? "");
  const [note, setNote] = useState(version.note ?? "");
  const save = useMutation({
    mutationFn: () => data(api.PATCH("/v1/agents/{id}/versions/{number}", { params: { path: { id, number: version.number } }, body: { name: name.trim() || null, note: note.trim() || null } })),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["versions", id] });
      onClose();
    },
  });
  return (
    <Dialog title={t("version.n", { number: number(version.number) })} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
        <Called name={name} note={note} onName={setName} onNote={setNote} error={save.error} />
        <Failure error={save.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={save.isPending}>{t("save")}</Button>
        </div>
      </form>
    </Dialog>
  );
}

export function Called({ name, note, onName, onNote, error }: { name: string; note: string; onName: (name: string) => void; onNote: (note: string) => void; error: unknown }) {
  const wrong = error instanceof ApiError ? error : undefined;
  return (
    <>
      <TextField label={t("version.called")} value={name} onChange={onName} maxLength={255} wrong={wrong?.of("name")} autoFocus />
      <TextField label={t("version.note")} value={note} onChange={onNote} rows={3} maxLength={2000} wrong={wrong?.of("note")} />
    </>
  );
}

function RestoreDialog({ form, version, onClose }: Group & { version: Listed; onClose: () => void }) {
  const { id } = form.agent;
  const restore = useMutation({
    mutationFn: () => data(api.POST("/v1/agents/{id}/versions/{number}/restore", { params: { path: { id, number: version.number } }, body: {} })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["agent", id] });
      void queries.invalidateQueries({ queryKey: ["versions", id] });
      void queries.invalidateQueries({ queryKey: ["agents"] });
      toast(t("version.isrestored", { number: number(version.number) }));
      onClose();
    },
  });
  return (
    <Dialog title={t("version.restore.ask", { number: number(version.number) })} open onClose={onClose} wide urgent>
      <p className="quiet">{t("version.restore.text")}</p>
      <Changes id={id} number={version.number} against={form.agent.version} />
      <Failure error={restore.error} />
      <div className="foot">
        <Button onPress={onClose}>{t("cancel")}</Button>
        <Button look="strong" isDisabled={restore.isPending} onPress={() => restore.mutate()}>{t("version.restore")}</Button>
      </div>
    </Dialog>
  );
}
