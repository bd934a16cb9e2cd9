// A saved tool run once, with what was sent and what came back.
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, api, data, type Schemas } from "../api/client";
import { Badge, Button, Code, Failure } from "../parts/basic";
import { TextField } from "../parts/fields";
import { variablesOf } from "../parts/prompt";
import { ms, t } from "../words";

type Tool = Schemas["Tool"];
const FIELD = /(?<!\{)\{([^{}\s"':,/?#&=]{1,100})\}(?!\})/g;

/** Parameters of the body, and those that only the URL names. */
function parametersOf(tool: Tool): { name: string; type: string; required: boolean }[] {
  const inUrl = [...tool.config.url.matchAll(FIELD)].map((match) => match[1] ?? "");
  const declared = (tool.config.body ?? []).map(({ name, type, required }) => ({ name, type, required: required || inUrl.includes(name) }));
  const more = [...new Set(inUrl)].filter((name) => !declared.some((each) => each.name === name));
  return [...declared, ...more.map((name) => ({ name, type: "string", required: true }))];
}

/** As the model would write it: JSON for all but texts; what is no JSON is sent as it is, and the
    answer says what is wrong with it. */
function written(type: string, text: string): unknown {
  if (type === "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const filled = (values: Record<string, string>) => Object.entries(values).filter(([, value]) => value !== "");

export function ToolRun({ tool }: { tool: Tool }) {
  const parameters = parametersOf(tool);
  const names = variablesOf(tool.config.url, ...(tool.config.headers ?? []).map((header) => header.value));
  const [given, setGiven] = useState<Record<string, string>>({});
  const [variables, setVariables] = useState<Record<string, string>>({});
  const run = useMutation({
    mutationFn: () =>
      data(
        api.POST("/v1/tools/{id}/test", {
          params: { path: { id: tool.id } },
          body: {
            arguments: Object.fromEntries(filled(given).map(([name, value]) => [name, written(parameters.find((each) => each.name === name)?.type ?? "string", value)])),
            variables: Object.fromEntries(filled(variables)),
          },
        }),
      ),
  });
  const ran = run.data;
  const wrong = run.error instanceof ApiError ? run.error : undefined;
  return (
    <section aria-labelledby="tool-run" className="stack" style={{ borderTop: "1px solid var(--line)", paddingTop: 14 }}>
      <h3 id="tool-run">{t("run.title")}</h3>
      <p className="small quiet">{t("run.lead")}</p>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); run.mutate(); }}>
        <div className="two">
          {parameters.map(({ name, type, required }) => (
            <TextField key={name} label={<span className="mono">{name}</span>} hint={type} mono={type !== "string"} value={given[name] ?? ""} onChange={(value) => setGiven({ ...given, [name]: value })} required={required} wrong={wrong?.of(`arguments.${name}`)} />
          ))}
          {names.map((name) => (
            <TextField key={`variable ${name}`} label={<span className="mono">{`{{${name}}}`}</span>} hint={t("run.variable")} value={variables[name] ?? ""} onChange={(value) => setVariables({ ...variables, [name]: value })} />
          ))}
        </div>
        <div className="row">
          <Button type="submit" icon="play" isDisabled={run.isPending}>
            {run.isPending ? t("run.running") : t("run.do")}
          </Button>
        </div>
      </form>
      <Failure error={run.error} />
      <div role="status" className="stack">
        {ran && (
          <>
            <p className="row">
              <Badge kind={ran.ok ? "good" : "bad"}>{ran.status === null ? t("run.none") : `HTTP ${ran.status}`}</Badge>
              <span className="num">{ms(ran.elapsedMs)}</span>
            </p>
            {ran.request && (
              <>
                <h4>{t("run.request")}</h4>
                <Code>{requestText(ran.request)}</Code>
              </>
            )}
            <h4>{t("run.result")}</h4>
            <Code>{pretty(ran.result)}</Code>
          </>
        )}
      </div>
    </section>
  );
}

function requestText(request: NonNullable<Schemas["ToolTest"]["request"]>): string {
  const head = [`${request.method} ${request.url}`, ...request.headers.map((header) => `${header.key}: ${header.value}`)];
  return [...head, ...(request.body === null ? [] : ["", pretty(request.body)])].join("\n");
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
