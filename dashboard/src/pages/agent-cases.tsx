// Test cases of an agent: calls that were kept, and how the agent of the editor does in them by text.
import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { type ChatMessage, chat } from "../api/chat";
import { api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Badge, Button, Code, curl, Empty, Failure, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog } from "../parts/dialogs";
import { reason } from "../parts/explained";
import { Pages, useOffset, useParameters } from "../parts/lists";
import { clock, t } from "../words";
import type { Form } from "./agent-state";

type Case = Schemas["TestCase"];
type Tool = { name: string; arguments: string };
const LIMIT = 25;

export function Cases({ form }: { form: Form }) {
  const { case: open } = useSearch({ strict: false }) as { case?: string };
  const change = useParameters();
  const [offset, setOffset] = useOffset();
  const agentId = form.agent.id;
  const found = useQuery({ queryKey: ["test-cases", agentId, offset], queryFn: () => body(api.GET("/v1/test-cases", { params: { query: { agentId, limit: LIMIT, offset } } })) });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  const rows = found.data.data;
  if (rows.length === 0 && offset === 0) return <Empty title={t("cases.none")} code={curl("POST", "/v1/test-cases", { callId: "…" })}>{t("cases.none.text")}</Empty>;
  return (
    <div className="stack">
      <p className="quiet">{t("cases.lead")}</p>
      <ul className="stack bare-list">
        {rows.map((each) => (
          <li key={each.id} className="card stack thin">
            <div className="row">
              <button type="button" className="linklike grow" aria-expanded={each.id === open} onClick={() => change({ case: each.id === open ? undefined : each.id })}>
                <strong dir="auto">{each.name}</strong>
              </button>
              <span className="small quiet"><Time iso={each.createdAt} /></span>
            </div>
            {each.note && <p className="small" dir="auto">{each.note}</p>}
            {each.id === open && <One id={each.id} form={form} />}
          </li>
        ))}
      </ul>
      <Pages total={found.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />
    </div>
  );
}

function One({ id, form }: { id: string; form: Form }) {
  const may = useMay("developer");
  const change = useParameters();
  const [asking, setAsking] = useState<"delete" | "json" | null>(null);
  const [running, setRunning] = useState(0);
  const path = { params: { path: { id } } };
  const found = useQuery({ queryKey: ["test-cases", id], queryFn: () => data(api.GET("/v1/test-cases/{id}", path)) });
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting lines={3} />;
  const kept = found.data;
  const remove = async () => {
    await data(api.DELETE("/v1/test-cases/{id}", path));
    change({ case: undefined });
    await queries.invalidateQueries({ queryKey: ["test-cases", form.agent.id] });
  };
  return (
    <>
      <ol className="said" aria-label={t("cases.script")} tabIndex={0}>
        {kept.script.map((line, n) => (
          <li key={n} className={line.role === "user" ? "caller" : "agent"}>
            <strong className="small">
              {line.role === "user" ? t("calls.customer") : form.shown.name} {line.startedAtMs !== null && <span className="quiet num">{clock(line.startedAtMs / 1000, true)}</span>}
            </strong>
            <p dir="auto">{line.content}{line.interrupted && " …"}</p>
          </li>
        ))}
      </ol>
      <h3>{t("cases.expected")}</h3>
      <ul className="bare-list small">
        <li>{t("calls.reason")}: {reason(kept.expected.endedReason)}</li>
        {(kept.expected.tools ?? []).map((tool, n) => (
          <li key={n}><Called tool={{ arguments: "", ...tool }} /></li>
        ))}
        {Object.entries(kept.expected.extractions ?? {}).map(([name, value]) => (
          <li key={name}><code>{name}</code> <span dir="auto">{JSON.stringify(value)}</span></li>
        ))}
      </ul>
      <div className="row">
        {may && <Button onPress={() => setRunning((n) => n + 1)}>{t("cases.run")}</Button>}
        <Button look="bare" onPress={() => setAsking("json")}>JSON</Button>
        {may && <Button look="bare danger" onPress={() => setAsking("delete")}>{t("delete")}</Button>}
      </div>
      {may && <p className="small quiet">{t("cases.run.text")}</p>}
      {running > 0 && <Run key={running} kept={kept} form={form} />}
      <Dialog title={kept.name} open={asking === "json"} onClose={() => setAsking(null)} wide>
        <Code>{JSON.stringify(kept, null, 2)}</Code>
      </Dialog>
      <Confirm title={t("cases.delete")} open={asking === "delete"} onClose={() => setAsking(null)} act={remove} verb={t("delete")}>
        {kept.name}
      </Confirm>
    </>
  );
}

type Answer = { said: string; text: string };

/** What the caller said, turn by turn, written to the agent as the editor has it. */
function Run({ kept, form }: { kept: Case; form: Form }) {
  const [answers, setAnswers] = useState<Answer[]>([]);
  const [called, setCalled] = useState<Tool[]>([]);
  const [done, setDone] = useState<{ ended: boolean } | null>(null);
  const [error, setError] = useState<unknown>(null);
  // As it was when it was begun: what is typed meanwhile is of the next run.
  const begun = useRef({ id: form.agent.id, changes: form.changes });
  useEffect(() => {
    const stop = new AbortController();
    const { id, changes } = begun.current;
    const run = async () => {
      let history: ChatMessage[] = [];
      let ended = false;
      const opens = kept.script[0]?.role === "assistant";
      const said = kept.script.filter((line) => line.role === "user").map((line) => line.content);
      for (const text of opens ? [null, ...said] : said) {
        if (ended) break;
        const messages: ChatMessage[] = text === null ? history : [...history, { role: "user", content: text }];
        let answer = "";
        await chat(id, { messages, agent: changes, contextVariables: kept.contextVariables }, stop.signal, (event) => {
          if (event.kind === "text") answer += event.data.delta;
          else if (event.kind === "tool_call") setCalled((old) => [...old, event.data]);
          else if (event.kind === "error") throw new Error(event.data.detail);
          else if (event.kind === "done") {
            history = [...messages, ...event.data.messages];
            ended = event.data.endsCall;
          }
        });
        setAnswers((old) => [...old, { said: text ?? "", text: answer }]);
      }
      setDone({ ended });
    };
    run().catch((reason: unknown) => stop.signal.aborted || setError(reason));
    return () => stop.abort();
  }, [kept]);
  const left = [...called];
  const tools = (kept.expected.tools ?? []).map((tool) => {
    const at = left.findIndex((each) => each.name === tool.name && (!tool.arguments || same(each.arguments, tool.arguments)));
    if (at >= 0) left.splice(at, 1);
    return { tool: { arguments: "", ...tool }, ok: at >= 0 };
  });
  return (
    <section className="stack thin" aria-label={t("cases.run")}>
      <ol className="said" aria-live="polite" aria-label={t("cases.answers")} tabIndex={0}>
        {answers.flatMap((each, n) => [
          ...(each.said ? [<li key={`${n} said`} className="caller"><p dir="auto">{each.said}</p></li>] : []),
          <li key={`${n} answer`} className="agent"><p dir="auto">{each.text}</p></li>,
        ])}
      </ol>
      {!done && !error && <Waiting lines={1} />}
      <Failure error={error} />
      {done && (
        <div role="status"><ul className="bare-list small">
          {tools.map(({ tool, ok }, n) => (
            <li key={n}><Badge kind={ok ? "good" : "bad"}>{t(ok ? "cases.called" : "cases.missing")}</Badge> <Called tool={tool} /></li>
          ))}
          {left.map((tool, n) => (
            <li key={`more ${n}`}><Badge kind="warn">{t("cases.more")}</Badge> <Called tool={tool} /></li>
          ))}
          {kept.expected.endedReason === "agent_ended" && <li><Badge kind={done.ended ? "good" : "bad"}>{t(done.ended ? "cases.ended" : "cases.notended")}</Badge></li>}
          {tools.length + left.length === 0 && <li className="quiet">{t("cases.notools")}</li>}
        </ul></div>
      )}
    </section>
  );
}

function Called({ tool }: { tool: Tool }) {
  return (
    <>
      <code>{tool.name}</code> <span className="quiet mono" dir="ltr">{tool.arguments}</span>
    </>
  );
}

/** Whether two texts are the same JSON, in whatever order their fields are. */
function same(a: string, b: string): boolean {
  try {
    return sorted(JSON.parse(a)) === sorted(JSON.parse(b));
  } catch {
    return a === b;
  }
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (each && typeof each === "object" && !Array.isArray(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each));
}
