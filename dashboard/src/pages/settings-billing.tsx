import { useMutation, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAgentNames } from "../api/agent";
import { api, body, data } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Failure, Tile, Time, Waiting } from "../parts/basic";
import { Bars } from "../parts/chart";
import { NumberField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { Pages, useOffset, useParameters } from "../parts/lists";
import { toast } from "../parts/toasts";
import { clock, day, maybe, money, number, t } from "../words";
import { Prices } from "./settings-prices";

const LIMIT = 50;
const GROUPS = ["day", "agent", "phoneNumber", "meter"] as const;

export function Billing() {
  const search = useSearch({ strict: false }) as { by?: string; offset?: number };
  const change = useParameters();
  const [offset, setOffset] = useOffset();
  const by = GROUPS.find((each) => each === search.by) ?? "day";
  const agents = useAgentNames();
  const balance = useQuery({ queryKey: ["balance"], queryFn: () => data(api.GET("/v1/balance")) });
  const usage = useQuery({ queryKey: ["usage", by], queryFn: () => data(api.GET("/v1/usage", { params: { query: { groupBy: by } } })) });
  const ledger = useQuery({ queryKey: ["ledger", offset], queryFn: () => body(api.GET("/v1/ledger", { params: { query: { limit: LIMIT, offset } } })) });
  const named = (key: string | null) => (key === null ? "—" : by === "day" ? day(key) : by === "agent" ? (agents.get(key) ?? key.slice(0, 8)) : by === "meter" ? maybe(`meter.${key}`, key) : key.slice(0, 8));
  return (
    <div className="stack">
      <Failure error={balance.error ?? usage.error ?? ledger.error} />
      <div className="tiles">
        <Tile label={t("billing.balance")} value={money(balance.data?.balance)} note={balance.data && !balance.data.enabled ? t("billing.off") : t("billing.held", { held: money(balance.data?.held) })} />
        <Tile label={t("billing.cost30")} value={money(usage.data?.total.cost)} note={t("billing.discarded", { cost: money(usage.data?.total.discardedCost) })} />
        <Tile label={t("nav.calls")} value={number(usage.data?.total.calls ?? 0)} note={t("billing.minutes", { minutes: number((usage.data?.total.telephonySeconds ?? 0) / 60, 1) })} />
        <Tile label={t("billing.tokens")} value={number((usage.data?.total.inputTokens ?? 0) + (usage.data?.total.outputTokens ?? 0))} note={t("billing.characters", { count: number(usage.data?.total.characters ?? 0) })} />
      </div>
      <TopUp />
      <section className="card">
        <div className="row">
          <h2 className="grow">{t("billing.usage")}</h2>
          <SelectField label={<span className="hidden">{t("billing.by")}</span>} value={by} onChange={(id) => change({ by: id === "day" ? undefined : id })} choices={GROUPS.map((id) => ({ id, label: t(`by.${id}`) }))} />
        </div>
        {usage.data && <Bars label={t("billing.usage")} rows={usage.data.groups.map((group) => ({ label: named(group.key), value: group.cost }))} format={money} />}
      </section>
      <h2>{t("billing.ledger")}</h2>
      {!ledger.data ? (
        <Waiting />
      ) : (
        <div className="table-wrap">
          <table className="list stacks">
            <thead>
              <tr><th>{t("created")}</th><th>{t("cost.component")}</th><th>{t("search.call")}</th><th className="end">{t("cost.quantity")}</th><th className="end">{t("cost.amount")}</th></tr>
            </thead>
            <tbody>
              {ledger.data.data.map((line) => (
                <tr key={line.id}>
                  <td className="quiet"><Time iso={line.createdAt} /></td>
                  <td>{line.meter ? maybe(`meter.${line.meter}`, line.meter) : t("billing.topup")} {line.discarded && <span className="badge">{t("cost.discarded")}</span>} {line.kind === "embedding" && <span className="badge">{t("documents.title")}</span>} <span className="small quiet mono">{line.engine}</span></td>
                  <td>{line.callId && <Link to="/calls/$id" params={{ id: line.callId }} className="mono small">{line.callId.slice(0, 8)}</Link>}</td>
                  <td className="end num">{line.unit === "second" ? clock(line.quantity) : number(line.quantity ?? 0)}</td>
                  <td className="end num">{money(line.amount)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {ledger.data && <Pages total={ledger.data.pagination.total} limit={LIMIT} offset={offset} onChange={setOffset} />}
      <Prices />
    </div>
  );
}

function TopUp() {
  const may = useMay("admin");
  const [amount, setAmount] = useState<number | null>(null);
  const [open, setOpen] = useState(false);
  const pay = useMutation({
    mutationFn: () => data(api.POST("/v1/balance/top-ups", { body: { amount: amount ?? 0 } })),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["balance"] });
      void queries.invalidateQueries({ queryKey: ["ledger"] });
      setOpen(false);
      toast(t("saved"));
    },
  });
  if (!may) return null;
  if (!open) return <div><Button onPress={() => setOpen(true)}>{t("billing.topup")}</Button></div>;
  return (
    <form className="card row" onSubmit={(event) => { event.preventDefault(); pay.mutate(); }}>
      <NumberField label={t("billing.amount")} value={amount} onChange={setAmount} min={0.01} step={0.01} autoFocus required />
      <Button type="submit" look="strong" isDisabled={pay.isPending}>{t("billing.topup")}</Button>
      <Button look="bare" onPress={() => setOpen(false)}>{t("cancel")}</Button>
      <Failure error={pay.error} />
    </form>
  );
}
