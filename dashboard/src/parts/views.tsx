// Views of a list that a member has saved: its filters and columns, to come back to from anywhere.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api, body, data, type Schemas } from "../api/client";
import { queries } from "../api/session";
import { t } from "../words";
import { Button, Failure } from "./basic";
import { Dialog, Menu } from "./dialogs";
import { TextField } from "./fields";

type View = Schemas["View"];

/** Parameters of the address that say where one is in the list, not what it shows. */
const PLACES = ["after", "offset"];

export function Views({ page }: { page: View["page"] }) {
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const [open, setOpen] = useState<"save" | "all" | null>(null);
  const found = useQuery({ queryKey: ["views"], staleTime: 60_000, queryFn: async () => (await body(api.GET("/v1/views", { params: { query: { limit: 100, sort: "createdAt" } } }))).data });
  const views = (found.data ?? []).filter((each) => each.page === page);
  const here = asQuery(search);
  const chosen = views.find((view) => view.query === here);
  const go = (view: View) => void navigate({ to: ".", search: Object.fromEntries(new URLSearchParams(view.query)) } as never);
  return (
    <>
      <Menu
        label={t("views")}
        look=""
        entries={[
          ...views.map((view) => ({ id: view.id, label: view.query === here ? `✓ ${view.name}` : view.name, act: () => go(view) })),
          { id: "save", label: t("views.save"), act: () => setOpen("save") },
          ...(views.length ? [{ id: "all", label: t("views.edit"), act: () => setOpen("all") }] : []),
        ]}
      >
        {chosen ? (
          <>
            <span className="hidden">{t("views")}: </span>
            <span className="cut" dir="auto">{chosen.name}</span>
          </>
        ) : (
          t("views")
        )}
      </Menu>
      <Dialog title={t("views.save")} open={open === "save"} onClose={() => setOpen(null)}>
        <Save page={page} query={here} onDone={() => setOpen(null)} />
      </Dialog>
      <Dialog title={t("views.edit")} open={open === "all"} onClose={() => setOpen(null)}>
        <All views={views} here={here} onEmpty={() => setOpen(null)} />
      </Dialog>
    </>
  );
}

function asQuery(search: Record<string, unknown>): string {
  const given = Object.entries(search).filter(([name, value]) => !PLACES.includes(name) && value !== undefined && value !== "");
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  query.sort();
  return query.toString();
}

const refresh = () => queries.invalidateQueries({ queryKey: ["views"] });

function Save({ page, query, onDone }: { page: View["page"]; query: string; onDone: () => void }) {
  const [name, setName] = useState("");
  const saving = useMutation({
    mutationFn: () => data(api.POST("/v1/views", { body: { name: name.trim(), page, query } })),
    onSuccess: async () => {
      await refresh();
      onDone();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) saving.mutate();
      }}
      style={{ display: "grid", gap: 14 }}
    >
      <p className="quiet">{t("views.text")}</p>
      <TextField label={t("name")} value={name} onChange={setName} maxLength={255} />
      <Failure error={saving.error} />
      <div className="foot">
        <Button onPress={onDone}>{t("cancel")}</Button>
        <Button look="strong" type="submit" isDisabled={!name.trim() || saving.isPending}>
          {t("save")}
        </Button>
      </div>
    </form>
  );
}

function All({ views, here, onEmpty }: { views: View[]; here: string; onEmpty: () => void }) {
  const change = useMutation({
    mutationFn: ({ id, ...body }: { id: string; name?: string; query?: string }) => data(api.PATCH("/v1/views/{id}", { params: { path: { id } }, body })),
    onSuccess: refresh,
  });
  const remove = useMutation({
    mutationFn: (view: View) => data(api.DELETE("/v1/views/{id}", { params: { path: { id: view.id } } })),
    onSuccess: async () => {
      if (views.length === 1) onEmpty();
      await refresh();
    },
  });
  return (
    <>
      <ul className="bare-list">
        {views.map((view) => (
          <li key={view.id} className="row">
            <Name view={view} onChange={(name) => change.mutate({ id: view.id, name })} />
            <Button look="tiny" isDisabled={view.query === here || change.isPending} aria-label={t("views.here.of", { name: view.name })} onPress={() => change.mutate({ id: view.id, query: here })}>
              {t("views.here")}
            </Button>
            <Button look="tiny danger" isDisabled={remove.isPending} aria-label={t("views.delete", { name: view.name })} onPress={() => remove.mutate(view)}>
              {t("delete")}
            </Button>
          </li>
        ))}
      </ul>
      <Failure error={change.error ?? remove.error} />
    </>
  );
}

/** Another name is kept by Enter, and by going on from it. */
function Name({ view, onChange }: { view: View; onChange: (name: string) => void }) {
  const [name, setName] = useState(view.name);
  const keep = () => {
    const wish = name.trim();
    if (!wish) setName(view.name);
    else if (wish !== view.name) onChange(wish);
  };
  return (
    <form
      className="grow"
      onSubmit={(event) => {
        event.preventDefault();
        keep();
      }}
    >
      <input className="input" dir="auto" aria-label={t("views.name", { name: view.name })} value={name} maxLength={255} onChange={(event) => setName(event.target.value)} onBlur={keep} />
    </form>
  );
}
