// All agents: find one, make one, switch one off.
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { AGENTS_A_PAGE, agentsQuery } from "../api/agent";
import { allModels, allVoices } from "../api/all";
import { useMay } from "../api/session";
import { Badge, Button, Copy, curl, Empty, Failure, Head, Time, Waiting } from "../parts/basic";
import { Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { Pages, SearchBox, useOffset } from "../parts/lists";
import { t } from "../words";
import { DEMO, TEMPLATES, type Template, useMakeAgent } from "./templates";

export function Agents() {
  const search = useSearch({ strict: false }) as { q?: string };
  const [offset, setOffset] = useOffset();
  const may = useMay("developer");
  const [making, setMaking] = useState(false);
  const found = useQuery(agentsQuery(search.q, offset));
  const voices = useNames("voices");
  const models = useNames("slm-models");
  const rows = found.data?.data ?? [];
  return (
    <div className="page">
      <Head title={t("nav.agents")} lead={t("agents.lead")}>
        {may && (
          <Button look="strong" icon="plus" onPress={() => setMaking(true)}>
            {t("agents.new")}
          </Button>
        )}
      </Head>
      <Failure error={found.error} />
      {found.data && (found.data.pagination.total > 0 || search.q) && (
        <div className="bar">
          <SearchBox label={t("agents.search")} />
        </div>
      )}
      {found.isPending && <Waiting />}
      {found.data?.pagination.total === 0 && !search.q && (
        <Empty title={t("agents.none")} code={curl("POST", "/v1/agents", DEMO.body)} action={may && <Button look="strong" onPress={() => setMaking(true)}>{t("agents.new")}</Button>}>
          {t("agents.none.text")}
        </Empty>
      )}
      {rows.length > 0 && (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr>
                <th>{t("name")}</th>
                <th>{t("agents.model")}</th>
                <th>{t("agents.voice")}</th>
                <th>{t("state")}</th>
                <th>{t("changed")}</th>
                <th>{t("id")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((agent) => (
                <tr key={agent.id} className="linked">
                  <td>
                    <Link to="/agents/$id" params={{ id: agent.id }} className="main">
                      {agent.name}
                    </Link>
                  </td>
                  <td className="quiet">{agent.slmModelId ? (models.get(agent.slmModelId) ?? "—") : t("default")}</td>
                  <td className="quiet">{agent.voiceId ? (voices.get(agent.voiceId) ?? "—") : t("default")}</td>
                  <td>
                    <Badge kind={agent.isActive ? "active" : "inactive"} />
                  </td>
                  <td className="quiet">
                    <Time iso={agent.updatedAt} />
                  </td>
                  <td>
                    <Copy text={agent.id} short />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {search.q && found.data?.pagination.total === 0 && <p className="quiet">{t("search.none")}</p>}
      {found.data && <Pages total={found.data.pagination.total} limit={AGENTS_A_PAGE} offset={offset} onChange={setOffset} />}
      {making && <NewAgent onClose={() => setMaking(false)} />}
    </div>
  );
}

export function useNames(kind: "voices" | "slm-models"): Map<string, string> {
  const found = useQuery({
    queryKey: [kind, "names"],
    staleTime: 600_000,
    queryFn: async () => new Map((await (kind === "voices" ? allVoices() : allModels())).map((each) => [each.id, each.name] as const)),
  });
  return found.data ?? new Map();
}

function NewAgent({ onClose }: { onClose: () => void }) {
  const [chosen, setChosen] = useState<Template>(DEMO);
  const [name, setName] = useState("");
  const make = useMakeAgent();
  return (
    <Dialog title={t("agents.new")} open onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate({ template: chosen, name: name.trim() || t(chosen.name) });
        }}
      >
        <TextField label={t("name")} value={name} onChange={setName} autoFocus placeholder={t(chosen.name)} maxLength={255} />
        <fieldset className="choices">
          <legend className="label">{t("agents.start")}</legend>
          {TEMPLATES.map((each) => (
            <label key={each.name} className="choice" data-chosen={each === chosen || undefined}>
              <input type="radio" name="template" checked={each === chosen} onChange={() => setChosen(each)} />
              <span>
                <strong>{t(each.name)}</strong>
                <small>{t(each.text)}</small>
              </span>
            </label>
          ))}
        </fieldset>
        <Failure error={make.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={make.isPending}>
            {t("create")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
