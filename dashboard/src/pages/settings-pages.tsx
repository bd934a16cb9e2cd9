// Publishable tokens: which pages of other sites may call which agent, and how much.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { tokensQuery } from "../api/all";
import { useAgentNames } from "../api/agent";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Code, curl, Empty, Failure, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { type Key, t } from "../words";

type Token = Schemas["PublishableToken"];

const snippet = (token: string) =>
  `<script type="module" src="${window.location.origin}/embed/element.js"></script>\n<chorus-call token="${token}" transcript></chorus-call>`;

export function Pages() {
  const may = useMay("admin");
  const agents = useAgentNames();
  const [making, setMaking] = useState(false);
  const [shown, setShown] = useState<Token | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const [ends, setEnds] = useState(false);
  const found = useQuery(tokensQuery);
  if (!found.data) return found.error ? <Failure error={found.error} /> : <Waiting />;
  const none = found.data.length === 0;
  return (
    <>
      <div className="bar">
        <p className="quiet grow">{t("embeds.lead")}</p>
        {may && <Button look="strong" icon="plus" onPress={() => setMaking(true)}>{t("embeds.new")}</Button>}
      </div>
      {none && <Empty title={t("embeds.none")} code={curl("POST", "/v1/publishable-tokens", { agentId: "…", name: "…", origins: ["https://www.example.com"] })} />}
      {!none && <div className="table-wrap">
        <table className="list stacks">
          <thead>
            <tr><th>{t("name")}</th><th>{t("embeds.agent")}</th><th>{t("embeds.origins")}</th><th>{t("embeds.limits")}</th><th>{t("keys.used")}</th><th><span className="hidden">{t("more")}</span></th></tr>
          </thead>
          <tbody>
            {found.data.map((token) => (
              <tr key={token.id}>
                <td><strong>{token.name}</strong></td>
                <td>{agents.get(token.agentId) ?? "—"}</td>
                <td className="mono small">{token.origins.join(", ")}</td>
                <td className="small">{t("embeds.limits.of", { calls: token.maxCalls, hour: token.maxCallsPerHour, address: token.maxCallsPerAddress, seconds: token.maxCallSeconds })}</td>
                <td className="quiet"><Time iso={token.lastUsedAt} /></td>
                <td className="end">
                  <Button look="tiny" onPress={() => setShown(token)}>{t("embeds.snippet")}</Button>
                  {may && <Button look="tiny danger" onPress={() => { setEnds(false); setRevoking(token); }}>{t("keys.revoke")}</Button>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>}
      {making && <NewToken agents={agents} onClose={(made) => { setMaking(false); setShown(made ?? null); }} />}
      <Dialog title={t("embeds.snippet")} open={shown !== null} onClose={() => setShown(null)} wide>
        <p className="small quiet">{t("embeds.snippet.text")}</p>
        <Code>{snippet(shown?.token ?? "")}</Code>
        <div className="foot"><Button onPress={() => setShown(null)}>{t("embeds.close")}</Button></div>
      </Dialog>
      <Confirm
        title={t("keys.revoke.ask", { name: revoking?.name ?? "" })}
        open={revoking !== null}
        onClose={() => setRevoking(null)}
        verb={t("keys.revoke")}
        act={async () => {
          await data(api.DELETE("/v1/publishable-tokens/{id}", { params: { path: { id: revoking?.id ?? "" }, query: { endCalls: ends } } }));
          await queries.invalidateQueries({ queryKey: ["publishable-tokens"] });
        }}
      >
        <p>{t("embeds.revoke.text")}</p>
        <SwitchField label={t("embeds.revoke.ends")} value={ends} onChange={setEnds} />
      </Confirm>
    </>
  );
}

const LIMITS = [
  ["maxCalls", 5, "embeds.calls"],
  ["maxCallsPerHour", 60, "embeds.hour"],
  ["maxCallsPerAddress", 10, "embeds.address"],
  ["maxCallSeconds", 300, "embeds.seconds"],
] as const satisfies readonly (readonly [string, number, Key])[];

function NewToken({ agents, onClose }: { agents: Map<string, string>; onClose: (made?: Token) => void }) {
  const [name, setName] = useState("");
  const [agentId, setAgent] = useState("");
  const [origins, setOrigins] = useState("");
  const [limits, setLimits] = useState(() => Object.fromEntries(LIMITS.map(([field, usual]) => [field, String(usual)])) as Record<(typeof LIMITS)[number][0], string>);
  const make = useMutation({
    mutationFn: () =>
      data(
        api.POST("/v1/publishable-tokens", {
          body: {
            name,
            agentId,
            origins: origins.split(/\s+/).filter(Boolean),
            ...(Object.fromEntries(LIMITS.map(([field]) => [field, Number(limits[field])])) as Record<(typeof LIMITS)[number][0], number>),
          },
        }),
      ),
    onSuccess: async (made) => {
      await queries.invalidateQueries({ queryKey: ["publishable-tokens"] });
      onClose(made);
    },
  });
  const wrong = make.error instanceof ApiError ? make.error : undefined;
  return (
    <Dialog title={t("embeds.new")} open onClose={() => onClose()}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
        <TextField label={t("name")} value={name} onChange={setName} required autoFocus wrong={wrong?.of("name")} />
        <SelectField label={t("embeds.agent")} value={agentId || null} onChange={setAgent} wrong={wrong?.of("agentId")} choices={[...agents].map(([id, label]) => ({ id, label }))} />
        <TextField label={t("embeds.origins")} hint={t("embeds.origins.hint")} value={origins} onChange={setOrigins} rows={2} mono required dir="ltr" placeholder="https://www.example.com" wrong={wrong?.of("origins")} />
        <div className="two">
          {LIMITS.map(([field, , word]) => (
            <TextField key={field} label={t(word)} type="number" min={1} value={limits[field]} onChange={(value) => setLimits({ ...limits, [field]: value })} required wrong={wrong?.of(field)} />
          ))}
        </div>
        <Failure error={make.error} />
        <div className="foot">
          <Button onPress={() => onClose()}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={make.isPending || !agentId}>{t("create")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
