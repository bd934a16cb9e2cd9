// Tools: HTTP requests that agents may make.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError, api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Copy, curl, Empty, Failure, Head, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog } from "../parts/dialogs";
import { NumberField, TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { Pages, SearchBox, useOffset, useParameters } from "../parts/lists";
import { toast } from "../parts/toasts";
import { useDirty } from "../parts/unsaved";
import { t } from "../words";
import { Rows } from "./agent-field";
import { ToolHistory } from "./tool-history";
import { ToolRun } from "./tool-run";

const LIMIT = 50;
type Tool = Schemas["Tool"];
type Config = Required<Schemas["HttpConfig"]>;
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
const TYPES = ["string", "number", "integer", "boolean", "array", "object"] as const;
const FRESH: Config = { url: "https://", method: "POST", timeout: 5000, headers: [], body: [] };
const SAMPLE = { name: "find_appointment", description: "Finds the next free appointment.", config: { url: "https://api.example.com/appointments", method: "GET" } };

export function Tools() {
  const search = useSearch({ strict: false }) as { q?: string; open?: string };
  const change = useParameters();
  const [offset, setOffset] = useOffset();
  const may = useMay("developer");
  const [making, setMaking] = useState(false);
  const found = useQuery({ queryKey: ["tools", search.q ?? "", offset], queryFn: () => body(api.GET("/v1/tools", { params: { query: { search: search.q, limit: LIMIT, offset } } })) });
  const opened = useQuery({ queryKey: ["tool", search.open], enabled: !!search.open, queryFn: () => data(api.GET("/v1/tools/{id}", { params: { path: { id: search.open ?? "" } } })) });
  const rows = found.data?.data ?? [];
  return (
    <div className="page">
      <Head title={t("nav.tools")} lead={t("tools.lead")}>
        {may && <Button look="strong" icon="plus" onPress={() => setMaking(true)}>{t("tools.new")}</Button>}
      </Head>
      <Failure error={found.error} />
      {found.isPending && <Waiting />}
      {found.data && (found.data.pagination.total > 0 || search.q) && <div className="bar"><SearchBox label={t("tools.search")} /></div>}
      {found.data?.pagination.total === 0 && !search.q && (
        <Empty title={t("tools.none")} code={curl("POST", "/v1/tools", SAMPLE)} action={may && <Button look="strong" onPress={() => setMaking(true)}>{t("tools.new")}</Button>}>
          {t("tools.none.text")}
        </Empty>
      )}
      {rows.length > 0 && (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr><th>{t("name")}</th><th>{t("tools.request")}</th><th>{t("description")}</th><th>{t("changed")}</th><th>{t("id")}</th></tr>
            </thead>
            <tbody>
              {rows.map((tool) => (
                <tr key={tool.id} className="linked">
                  <td><a href={`?open=${tool.id}`} className="main mono" onClick={(event) => { event.preventDefault(); change({ open: tool.id }); }}>{tool.name}</a></td>
                  <td className="mono small cut" style={{ maxWidth: 320 }} dir="ltr">{tool.config.method} {tool.config.url}</td>
                  <td className="quiet cut" style={{ maxWidth: 340 }}>{tool.description}</td>
                  <td className="quiet"><Time iso={tool.updatedAt} /></td>
                  <td><Copy text={tool.id} short /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.data && <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />}
      {making && <ToolDialog onClose={() => setMaking(false)} />}
      {search.open && opened.data && <ToolDialog key={opened.data.id} known={opened.data} onClose={() => change({ open: undefined })} />}
    </div>
  );
}

function ToolDialog({ known, onClose }: { known?: Tool; onClose: () => void }) {
  const may = useMay("developer");
  const [name, setName] = useState(known?.name ?? "");
  const [description, setDescription] = useState(known?.description ?? "");
  const [config, setConfig] = useState<Config>({ ...FRESH, ...known?.config });
  const [asking, setAsking] = useState(false);
  const dirty = useDirty([name, description, config]);
  const put = (changes: Partial<Config>) => setConfig((old) => ({ ...old, ...changes }));
  const save = useMutation({
    mutationFn: () => (known ? data(api.PATCH("/v1/tools/{id}", { params: { path: { id: known.id } }, body: { name, description, config } })) : data(api.POST("/v1/tools", { body: { name, description, config } }))),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["tools"] });
      await queries.invalidateQueries({ queryKey: ["tool"] });
      toast(t("saved"));
      onClose();
    },
  });
  const wrong = save.error instanceof ApiError ? save.error : undefined;
  const remove = async () => {
    await data(api.DELETE("/v1/tools/{id}", { params: { path: { id: known?.id ?? "" } } }));
    await queries.invalidateQueries({ queryKey: ["tools"] });
    onClose();
  };
  return (
    <Dialog title={known?.name ?? t("tools.new")} open onClose={onClose} dirty={dirty} wide>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); save.mutate(); }}>
        <TextField label={t("name")} mono value={name} onChange={setName} required wrong={wrong?.of("name")} placeholder="find_appointment" maxLength={255} />
        <TextField label={t("description")} hint={t("tools.description.hint")} value={description} onChange={setDescription} rows={2} required wrong={wrong?.of("description")} maxLength={4000} />
        <div className="method">
          <SelectField label={t("tools.method")} value={config.method} onChange={(method) => put({ method: method as Config["method"] })} choices={METHODS.map((id) => ({ id, label: id }))} />
          <TextField label="URL" value={config.url} onChange={(url) => put({ url })} required wrong={wrong?.of("config.url")} hint={t("tools.url.hint")} dir="ltr" />
          <NumberField label={t("tools.timeout")} value={config.timeout} onChange={(timeout) => put({ timeout: timeout ?? 5000 })} min={100} max={60000} wrong={wrong?.of("config.timeout")} />
        </div>
        <h3>{t("tools.parameters")}</h3>
        <Rows
          items={config.body}
          onChange={(items) => put({ body: items })}
          fresh={{ name: "", type: "string", description: "", required: false }}
          add={t("tools.parameter.add")}
          row={(item, set) => (
            <>
              <TextField label={t("name")} mono value={item.name} onChange={(value) => set({ ...item, name: value })} />
              <SelectField label={t("type")} value={item.type} onChange={(type) => set({ ...item, type: type as (typeof TYPES)[number] })} choices={TYPES.map((id) => ({ id, label: id }))} />
              <TextField label={t("description")} value={item.description ?? ""} onChange={(value) => set({ ...item, description: value })} />
              <SwitchField label={t("required")} value={item.required ?? false} onChange={(required) => set({ ...item, required })} />
            </>
          )}
        />
        <h3>{t("tools.headers")}</h3>
        <Rows
          items={config.headers}
          onChange={(headers) => put({ headers })}
          fresh={{ key: "", value: "" }}
          add={t("tools.header.add")}
          row={(item, set) => (
            <>
              <TextField label={t("name")} mono value={item.key} onChange={(key) => set({ ...item, key })} dir="ltr" />
              <TextField label={t("value")} mono value={item.value} onChange={(value) => set({ ...item, value })} dir="ltr" />
              <SwitchField label={t("tools.secret")} value={item.secret ?? true} onChange={(secret) => set({ ...item, secret })} />
            </>
          )}
        />
        <Failure error={save.error} />
        <div className="foot">
          {known && may && <Button look="danger" onPress={() => setAsking(true)}>{t("delete")}</Button>}
          <span className="grow" />
          <Button onPress={onClose}>{t("cancel")}</Button>
          {may && <Button type="submit" look="strong" isDisabled={save.isPending}>{t("save")}</Button>}
        </div>
      </form>
      {known && may && <ToolRun tool={known} />}
      {known && <ToolHistory id={known.id} />}
      <Confirm title={t("tools.delete", { name })} open={asking} onClose={() => setAsking(false)} act={remove} verb={t("delete")}>
        {t("tools.delete.text")}
      </Confirm>
    </Dialog>
  );
}
