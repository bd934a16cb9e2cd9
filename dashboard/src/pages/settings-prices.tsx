// The price list that is valid now, as the operator's file has it.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, data, type Schemas } from "../api/client";
import { Failure, Waiting } from "../parts/basic";
import { day, maybe, money, number, t } from "../words";

type Price = Schemas["Price"];

export function Prices() {
  const found = useQuery({ queryKey: ["prices"], staleTime: 600_000, queryFn: () => data(api.GET("/v1/prices")) });
  const [wish, setWish] = useState("");
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Failure error={found.error} />;
  const words = wish.toLowerCase().split(/\s+/);
  const shown = found.data.prices.filter((each) => words.every((word) => `${each.engine} ${named(each)}`.toLowerCase().includes(word)));
  return (
    <section className="stack" aria-label={t("prices.title")}>
      <h2>{t("prices.title")}</h2>
      <p className="quiet">
        {t("prices.version", { version: found.data.version, from: day(found.data.validFrom) })}
        {found.data.examples && <> · {t("prices.examples")}</>}
      </p>
      <input type="search" className="input find-in" aria-label={t("prices.search")} placeholder={t("prices.search")} value={wish} onChange={(event) => setWish(event.target.value)} />
      {shown.length === 0 ? (
        <p className="quiet">{t("prices.none")}</p>
      ) : (
        <div className="table-wrap" tabIndex={0} role="region" aria-label={t("prices.title")} style={{ maxHeight: 420, overflow: "auto" }}>
          <table className="list stacks">
            <thead>
              <tr>
                <th>{t("cost.component")}</th>
                <th>{t("name")}</th>
                <th className="end">{t("prices.price")}</th>
                <th>{t("prices.source")}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((each) => (
                <tr key={`${each.meter} ${each.engine} ${each.direction}`}>
                  <td>{named(each)}</td>
                  <td className="mono small" dir="ltr">{each.engine}</td>
                  <td className="end num">
                    {money(each.price)} <span className="small quiet">{t("prices.per", { count: number(each.per), unit: maybe(`unit.${each.unit}`, each.unit) })}</span>
                  </td>
                  <td className="small quiet">
                    <Source of={each} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function named(price: Price): string {
  const meter = maybe(`meter.${price.meter}`, price.meter);
  return price.direction ? `${meter}, ${t(`direction.${price.direction}`)}` : meter;
}

function Source({ of }: { of: Price }) {
  // A day, or a month alone.
  const read = of.readOn && of.readOn.length === 10 ? day(of.readOn) : of.readOn;
  if (!of.source) return <>{read ?? "—"}</>;
  const link = /^https:\/\//.test(of.source);
  return (
    <>
      {link ? (
        <a className="plain-link" href={of.source} target="_blank" rel="noreferrer">
          {new URL(of.source).hostname}
        </a>
      ) : (
        of.source
      )}
      {read && ` · ${read}`}
    </>
  );
}
