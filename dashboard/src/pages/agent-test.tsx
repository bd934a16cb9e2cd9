// Beside the editor: try the agent. Talking and writing to it as it stands there (`parts/trial.ts`),
// or a call to one's own phone from the agent as it is saved.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Suspense, useState } from "react";
import { givenVariablesQuery } from "../api/agent";
import { numbersQuery } from "../api/all";
import { ApiError, api, data } from "../api/client";
import { useMay } from "../api/session";
import { Button, Failure, Waiting } from "../parts/basic";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { Tabs } from "../parts/tabs";
import { SwitchField } from "../parts/switch";
import { variablesOf } from "../parts/prompt";
import { TRIALS } from "../parts/trial";
import { t } from "../words";
import type { Form } from "./agent-state";

/** The values of the test panel, and which variables have one: there, or in the latest calls. */
export function useVariables(agentId: string) {
  const [given, setGiven] = useState<Record<string, string>>({});
  const calls = useQuery(givenVariablesQuery(agentId));
  const known = calls.data && new Set([...calls.data, ...Object.keys(given).filter((name) => given[name])].map((name) => name.normalize("NFC")));
  return { given, setGiven, known };
}

type Given = Pick<ReturnType<typeof useVariables>, "given" | "setGiven">;

export function TestPanel({ form, dirty, given, setGiven }: { form: Form; dirty: boolean } & Given) {
  const may = useMay("developer");
  const names = variablesOf(form.shown.systemPrompt, form.shown.agentGreetingEnabled ? form.shown.agentGreeting : "");
  const variables = Object.fromEntries(names.flatMap((name) => (given[name] ? [[name, given[name]]] : [])));
  const [way, setWay] = useState(TRIALS[0]?.id ?? "phone");
  if (!may) return null;
  const ways = [
    ...TRIALS.map(({ id, word, Panel }) => ({
      id,
      label: t(word),
      panel: () => (
        <Suspense fallback={<Waiting lines={2} />}>
          <Panel agent={form.shown} changes={form.changes} variables={variables} />
        </Suspense>
      ),
    })),
    {
      id: "phone",
      label: t("trial.phone"),
      panel: () => (
        <>
          {dirty && <p className="note warn small">{t("trial.dirty")}</p>}
          <Phone agentId={form.agent.id} variables={variables} />
        </>
      ),
    },
  ];
  return (
    <aside className="card trial" aria-label={t("trial")}>
      <h2>{t("trial")}</h2>
      {names.length > 0 && (
        <div className="stack">
          <p className="small quiet">{t("trial.variables")}</p>
          {names.map((name) => (
            <TextField key={name} label={<span className="mono">{name}</span>} value={given[name] ?? ""} onChange={(value) => setGiven((old) => ({ ...old, [name]: value }))} />
          ))}
        </div>
      )}
      <Tabs label={t("trial.ways")} tabs={ways} chosen={way} onChoose={setWay} />
    </aside>
  );
}

function Phone({ agentId, variables }: { agentId: string; variables: Record<string, string> }) {
  const navigate = useNavigate();
  const numbers = useQuery(numbersQuery);
  const [from, setFrom] = useState<string | null>(null);
  const [to, setTo] = useState(() => localStorage.getItem("chorus.myphone") ?? "");
  const [machine, setMachine] = useState(false);
  const chosen = from ?? numbers.data?.[0]?.id ?? null;
  const place = useMutation({
    mutationFn: () => data(api.POST("/v1/calls", { body: { agentId, phoneNumberId: chosen ?? "", to, contextVariables: variables, metadata: { test: true }, detectMachine: machine } })),
    onSuccess: (call) => {
      localStorage.setItem("chorus.myphone", to);
      void navigate({ to: "/calls/$id", params: { id: call.id } });
    },
  });
  const wrong = place.error instanceof ApiError ? place.error : undefined;
  if (numbers.data?.length === 0) {
    return (
      <p className="quiet">
        {t("trial.nonumber")} <Link to="/numbers">{t("nav.numbers")}</Link>
      </p>
    );
  }
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        place.mutate();
      }}
    >
      <SelectField label={t("trial.from")} value={chosen} onChange={setFrom} choices={(numbers.data ?? []).map((n) => ({ id: n.id, label: n.number, note: n.name }))} />
      <TextField label={t("trial.to")} type="tel" value={to} onChange={setTo} placeholder="+14155550123" autoComplete="tel" required dir="ltr" wrong={wrong?.of("to")} />
      <SwitchField label={t("trial.machine")} hint={t("trial.machine.text")} value={machine} onChange={setMachine} />
      <Failure error={place.error} />
      <Button type="submit" look="strong" icon="calls" isDisabled={place.isPending || !chosen}>
        {t("trial.call")}
      </Button>
    </form>
  );
}
