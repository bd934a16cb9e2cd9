// The way to the first call: steps that look at the server whether they are done.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Suspense } from "react";
import { agentsQuery } from "../api/agent";
import { membersQuery, numbersQuery, providerKeysQuery } from "../api/all";
import { everQuery, liveCount } from "../api/calls";
import { chosenOf, modelsQuery, voicesQuery } from "../api/catalogue";
import { api, body, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Failure, Waiting } from "../parts/basic";
import { Icon } from "../parts/icons";
import { Talk } from "../parts/trial";
import { ago, ms, number, t } from "../words";
import { Preview } from "./agent-voice";
import { DEMO, useMakeAgent } from "./templates";

/** The organization's key of a language model: one that was tried, if any was. */
function useModelKey(): { key: Schemas["ProviderKey"] | undefined; waits: boolean } {
  const developer = useMay("developer");
  const found = useQuery({ ...providerKeysQuery, enabled: developer });
  const of = (found.data ?? []).filter((each) => each.usedFor.includes("model"));
  return { key: of.find((each) => each.lastTest?.ok) ?? of[0], waits: found.isLoading };
}

/** A small request with the key, which the vendor may charge for: only when somebody asks for it. */
function TryKey({ id }: { id: string }) {
  const test = useMutation({
    mutationFn: () => data(api.POST("/v1/provider-keys/{id}/test", { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["provider-keys"] }),
  });
  return (
    <>
      <Button isDisabled={test.isPending} onPress={() => test.mutate()}>{t(test.isPending ? "providers.testing" : "providers.test")}</Button>
      <Failure error={test.error} />
    </>
  );
}

/** When a call last came in by a number. Of a carrier only what it signed becomes a call. It is
    asked for again when there are more or fewer live calls: an organization that only calls out is
    not asked about for ever. */
function useSigned(number: Schemas["PhoneNumber"] | undefined): { signed: string | undefined; waits: boolean } {
  const live = useQuery(liveCount).data ?? 0;
  const found = useQuery({
    queryKey: ["calls", "signed", number?.id, live],
    enabled: !!number,
    placeholderData: (old) => old,
    queryFn: async () => (await body(api.GET("/v1/calls", { params: { query: { phoneNumberId: number?.id, direction: "inbound", limit: 20 } } }))).data,
  });
  return { signed: found.data?.find((call) => call.provider === number?.provider)?.createdAt, waits: found.isLoading };
}

/** What the steps look at; undefined until all of it is here, so that no step comes late and moves
    the page; null where some of it cannot be had. */
export function useSetup() {
  const ever = useQuery(everQuery);
  const agents = useQuery(agentsQuery());
  const models = useQuery(modelsQuery);
  const numbers = useQuery(numbersQuery);
  const members = useQuery(membersQuery);
  const model = useModelKey();
  const first = useSigned(numbers.data?.find((each) => each.agentId !== null));
  if ([ever, agents, models, numbers, members].some((each) => each.isLoadingError)) return null;
  if (ever.data === undefined || !agents.data || !models.data || !numbers.data || !members.data || model.waits || first.waits) return undefined;
  return { hasCalls: ever.data > 0, agents: agents.data.data, models: models.data, numbers: numbers.data, members: members.data.length, key: model.key, signed: first.signed };
}

/** Steps to the first call. Each looks at the server whether it is done. */
export function Setup({ known: { hasCalls, agents, models, numbers, members, key, signed } }: { known: NonNullable<ReturnType<typeof useSetup>> }) {
  const may = useMay("developer");
  const admin = useMay("admin");
  const make = useMakeAgent();
  const first = agents[0];
  // Of vendors a list may be slow: only the step about voices waits for it.
  const voice = chosenOf(useQuery(voicesQuery).data, first?.voiceId ?? null);
  const model = models.some((each) => each.provider !== "script" && each.provider !== "chorus" && each.provider !== "simulated" && each.available);
  const answered = numbers.find((each) => each.agentId !== null);
  const steps = [
    { id: "agent", done: !!first, extra: first ? <Link to="/agents/$id" params={{ id: first.id }}>{first.name}</Link> : may && <Button look="strong" isDisabled={make.isPending} onPress={() => make.mutate({ template: DEMO, name: t(DEMO.name) })}>{t("setup.agent.do")}</Button> },
    { id: "model", done: model && (!key || key.lastTest?.ok === true), told: key?.lastTest && `${key.lastTest.message} ${ms(key.lastTest.elapsedMs)}`, extra: key && admin && !key.lastTest?.ok ? <TryKey id={key.id} /> : <Link to="/settings/$section" params={{ section: "providers" }}>{t("settings.providers")}</Link> },
    { id: "voice", done: !!voice && voice.provider !== "espeak" && voice.available, told: voice?.name, extra: voice && <Preview voice={voice} /> },
    { id: "number", done: !!answered && !!signed, told: answered && (signed ? t("setup.number.seen", { number: answered.number, when: ago(signed) }) : t("setup.number.waiting", { number: answered.number })), extra: <Link to="/numbers">{t("nav.numbers")}</Link> },
    { id: "call", done: hasCalls, extra: first && <Link to="/agents/$id" params={{ id: first.id }}>{t("setup.call.do")}</Link> },
    { id: "invite", done: members > 1, extra: <Link to="/settings/$section" params={{ section: "members" }}>{t("settings.members")}</Link> },
  ] as const;
  const done = steps.filter((step) => step.done).length;
  if (hasCalls && done >= 4) return null;
  return (
    <section className="card" style={{ marginBottom: 16, maxWidth: 820 }}>
      <div className="row">
        <h2 className="grow">{t("setup")}</h2>
        <span className="small quiet num">{t("setup.count", { done, of: steps.length })}</span>
      </div>
      <Failure error={make.error} />
      <ol className="steps">
        {steps.map((step, n) => (
          <li key={step.id} data-done={step.done || undefined}>
            <span className="tick">{step.done ? <Icon name="check" /> : number(n + 1)}</span>
            <span className="grow">
              <strong>{t(`setup.${step.id}`)}</strong>
              {step.done && <span className="hidden"> ({t("setup.done")})</span>}
              <span className="small quiet" style={{ display: "block" }}>{t(`setup.${step.id}.text`)}</span>
              {"told" in step && step.told && <span className="small" style={{ display: "block" }} dir="auto">{step.told}</span>}
            </span>
            {step.extra}
          </li>
        ))}
      </ol>
      {first && may && !hasCalls && (
        <div className="setup-talk">
          <h3>{t("setup.talk", { name: first.name })}</h3>
          <Suspense fallback={<Waiting lines={2} />}>
            <Talk agent={first} changes={{}} variables={{}} />
          </Suspense>
        </div>
      )}
    </section>
  );
}
