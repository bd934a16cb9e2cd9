// One agent: its settings in groups, a panel to try it, and what was changed when.
import { useMutation } from "@tanstack/react-query";
import { Link, useBlocker, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type ComponentType, lazy, Suspense, useRef, useState } from "react";
import { api, data } from "../api/client";
import { queries, useMay } from "../api/session";
import { Badge, Button, Code, Copy, curl, Failure, Head, Waiting } from "../parts/basic";
import { Confirm, Dialog, Menu } from "../parts/dialogs";
import { useDrawn } from "../parts/drawn";
import { useParameters } from "../parts/lists";
import { useInSight } from "../parts/tabs";
import { failed } from "../parts/toasts";
import { type Key, t } from "../words";
import { Hearing, Limits, PromptGroup, ToolsGroup, Turns, Voice } from "./agent-groups";
import { DraftTold, PublishDialog } from "./agent-publish";
import { type Conflict, Conflicts, type Form, useAgentForm } from "./agent-state";
import { Estimate } from "./agent-estimate";
import { TestPanel, useVariables } from "./agent-test";

// What is not looked at first is fetched when it is.
const After = lazy(async () => ({ default: (await import("./agent-after")).After }));
const Answering = lazy(async () => ({ default: (await import("./agent-answering")).Answering }));
const Cases = lazy(async () => ({ default: (await import("./agent-cases")).Cases }));
const Knowledge = lazy(async () => ({ default: (await import("./agent-knowledge")).Knowledge }));
const Versions = lazy(async () => ({ default: (await import("./agent-versions")).Versions }));

const GROUPS: { id: string; word: Key; Part: ComponentType<{ form: Form }> }[] = [
  { id: "prompt", word: "group.prompt", Part: PromptGroup },
  { id: "voice", word: "group.voice", Part: Voice },
  { id: "turns", word: "group.turns", Part: Turns },
  { id: "hearing", word: "group.hearing", Part: Hearing },
  { id: "tools", word: "group.tools", Part: ToolsGroup },
  { id: "knowledge", word: "group.knowledge", Part: Knowledge },
  { id: "answering", word: "group.answering", Part: Answering },
  { id: "after", word: "group.after", Part: After },
  { id: "limits", word: "group.limits", Part: Limits },
  { id: "cases", word: "group.cases", Part: Cases },
  { id: "versions", word: "group.versions", Part: Versions },
];

/** They change nothing of the agent that is saved with it. */
const FORMLESS = ["cases", "versions"];

export function AgentPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const search = useSearch({ strict: false }) as { group?: string };
  const change = useParameters();
  const may = useMay("developer");
  const { found, form: whole, save, draft, drop, dirty } = useAgentForm(id, may);
  const { given, setGiven, known } = useVariables(id);
  const form = whole && { ...whole, known };
  const [publishing, setPublishing] = useState(false);
  const blocker = useBlocker({ shouldBlockFn: ({ current, next }) => dirty && current.pathname !== next.pathname, enableBeforeUnload: dirty && draft.is !== "kept", withResolver: true });
  const group = GROUPS.find((each) => each.id === search.group) ?? GROUPS[0];
  const drawn = useDrawn(!!form);
  if (!form || !group || !drawn) {
    return (
      <div className="page">
        <Failure error={found.error} />
        {!found.error && <Waiting lines={8} />}
      </div>
    );
  }
  const conflict = save.error instanceof Conflicts ? save.error.fields : undefined;
  const { Part } = group;
  return (
    <div className="page">
      <Head title={form.shown.name} crumb={<Link to="/agents">{t("nav.agents")}</Link>}>
        <Badge kind={form.agent.isActive ? "active" : "inactive"} />
        <Copy text={id} short />
        <AgentMenu form={form} dirty={dirty} />
      </Head>
      <div className="editor">
        <div className="editor-main">
          <Groups chosen={group.id} onChoose={(id) => change({ group: id === "prompt" ? undefined : id, version: undefined, case: undefined, offset: undefined })} />
          {FORMLESS.includes(group.id) ? (
            <Suspense fallback={<Waiting />}>
              <Part form={form} />
            </Suspense>
          ) : (
            <fieldset className="form" disabled={!may}>
              <legend className="hidden">{t(group.word)}</legend>
              <Suspense fallback={<Waiting />}>
                <Part form={form} />
              </Suspense>
            </fieldset>
          )}
          {!may && <p className="note">{t("may.not.change")}</p>}
        </div>
        <div className="stack editor-beside">
          <TestPanel form={form} dirty={dirty} given={given} setGiven={setGiven} />
          <Estimate form={form} />
        </div>
      </div>
      {dirty && (
        <div className="savebar" role="region" aria-label={t("agent.unsaved")}>
          <span className="grow">
            <strong>{t("agent.unsaved")}</strong> <span className="quiet small">{t("agent.unsaved.text", { count: Object.keys(form.changes).length })}</span>
            <DraftTold draft={draft} />
          </span>
          <Button
            isDisabled={save.isPending}
            onPress={() => {
              drop();
              void draft.drop();
            }}
          >
            {t("agent.discard")}
          </Button>
          <Button isDisabled={save.isPending} onPress={() => { save.reset(); setPublishing(true); }}>
            {t("publish")}
          </Button>
          <Button look="strong" isDisabled={save.isPending} onPress={() => save.mutate({})}>
            {t("save")}
          </Button>
          {save.error && !conflict && !publishing && <Failure error={save.error} />}
        </div>
      )}
      {conflict && <ConflictDialog fields={conflict} onKeep={() => save.mutate({ force: true })} onTake={() => { drop(); void queries.invalidateQueries({ queryKey: ["agent", id] }); }} onClose={() => save.reset()} />}
      {publishing && dirty && !conflict && <PublishDialog form={form} save={save} onClose={() => setPublishing(false)} />}
      <Dialog title={t("agent.leave")} open={blocker.status === "blocked"} onClose={() => blocker.reset?.()} urgent>
        <p className="quiet">{t("agent.leave.text")}</p>
        <div className="foot">
          <Button
            onPress={() => {
              drop();
              void draft.drop();
              blocker.proceed?.();
            }}
          >
            {t("agent.discard")}
          </Button>
          <Button isDisabled={draft.is !== "kept"} onPress={() => blocker.proceed?.()}>
            {t("draft.leave")}
          </Button>
          <Button look="strong" onPress={() => blocker.reset?.()}>
            {t("agent.stay")}
          </Button>
        </div>
      </Dialog>
    </div>
  );
}

function ConflictDialog({ fields, onKeep, onTake, onClose }: { fields: Conflict[]; onKeep: () => void; onTake: () => void; onClose: () => void }) {
  return (
    <Dialog title={t("agent.conflict")} open onClose={onClose} wide urgent>
      <p className="quiet">{t("agent.conflict.text")}</p>
      {fields.map((each) => (
        <div key={each.field}>
          <h3>{t(`field.${each.field}` as Key)}</h3>
          <div className="two">
            <div>
              <span className="small quiet">{t("agent.conflict.mine")}</span>
              <pre className="note">{printed(each.mine)}</pre>
            </div>
            <div>
              <span className="small quiet">{t("agent.conflict.theirs")}</span>
              <pre className="note">{printed(each.theirs)}</pre>
            </div>
          </div>
        </div>
      ))}
      <div className="foot">
        <Button onPress={onTake}>{t("agent.conflict.take")}</Button>
        <Button look="strong" onPress={onKeep}>
          {t("agent.conflict.keep")}
        </Button>
      </div>
    </Dialog>
  );
}

function printed(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function Groups({ chosen, onChoose }: { chosen: string; onChoose: (id: string) => void }) {
  const list = useRef<HTMLElement>(null);
  useInSight(list, chosen);
  return (
    <nav className="tablist" ref={list} aria-label={t("agent.groups")}>
      {GROUPS.map((each) => (
        <a
          key={each.id}
          href={`?group=${each.id}`}
          aria-current={each.id === chosen ? "page" : undefined}
          data-status={each.id === chosen ? "active" : undefined}
          onClick={(event) => {
            event.preventDefault();
            onChoose(each.id);
          }}
        >
          {t(each.word)}
        </a>
      ))}
    </nav>
  );
}

function AgentMenu({ form, dirty }: { form: Form; dirty: boolean }) {
  const navigate = useNavigate();
  const may = useMay("developer");
  const [asking, setAsking] = useState(false);
  const [code, setCode] = useState(false);
  const { id, name } = form.agent;
  const path = { params: { path: { id } } };
  const twin = useMutation({
    mutationFn: () => data(api.POST("/v1/agents", { body: { ...copied(form), name: t("agent.copyof", { name }) } as never })),
    onSuccess: (made) => void navigate({ to: "/agents/$id", params: { id: made.id } }),
    onError: failed,
  });
  const remove = async () => {
    await data(api.DELETE("/v1/agents/{id}", path));
    await queries.invalidateQueries({ queryKey: ["agents"] });
    await navigate({ to: "/agents", ignoreBlocker: true });
  };
  return (
    <>
      <Menu
        label={t("more")}
        entries={[
          { id: "curl", label: t("curl.show"), act: () => setCode(true) },
          ...(may ? [{ id: "copy", label: t("agent.copy"), act: () => twin.mutate() }, { id: "delete", label: t("delete"), act: () => setAsking(true) }] : []),
        ]}
      />
      <Confirm title={t("agent.delete", { name })} open={asking} onClose={() => setAsking(false)} act={remove} verb={t("delete")}>
        {t("agent.delete.text")}
      </Confirm>
      <Dialog title={t("curl.show")} open={code} onClose={() => setCode(false)} wide>
        <Code>{dirty ? curl("PATCH", `/v1/agents/${id}`, form.changes) : curl("GET", `/v1/agents/${id}`)}</Code>
      </Dialog>
    </>
  );
}

/** The fields that a new agent takes from this one: all that may be sent. */
function copied(form: Form): Record<string, unknown> {
  const { id: _, createdAt: _c, updatedAt: _u, hasPostCallWebhookSecret: _s, version: _v, ...rest } = form.agent as Record<string, unknown>;
  return rest;
}
