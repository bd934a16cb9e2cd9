// What is going on: until there was a first call, the way there; then the last days, and what
// needs a look.
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { liveCount, RANGES, type Range, rangeOf, statsQuery } from "../api/calls";
import { api, body, data, type Schemas } from "../api/client";
import { useSession } from "../api/session";
import { Failure, Head, Tile, Waiting } from "../parts/basic";
import { Bars, Columns } from "../parts/chart";
import { useDrawn } from "../parts/drawn";
import { reason } from "../parts/explained";
import { SelectField } from "../parts/select";
import { useParameters } from "../parts/lists";
import { day, money, ms, number, percent, t } from "../words";
import { Setup, useSetup } from "./home-setup";

type Stats = Schemas["CallStats"];

export function Home() {
  const me = useSession();
  const search = useSearch({ strict: false }) as { days?: string | number };
  const change = useParameters();
  const range = rangeOf(search.days);
  const stats = useQuery({ ...statsQuery(range), refetchInterval: 30_000 });
  const live = useQuery(liveCount);
  const setup = useSetup();
  const drawn = useDrawn(!!stats.data && setup !== undefined);
  return (
    <div className="page">
      <Head title={t("nav.home")} lead={me.organization.name}>
        <SelectField label={<span className="hidden">{t("home.range")}</span>} value={range} onChange={(id) => change({ days: id === "7" ? undefined : id })} choices={(Object.keys(RANGES) as Range[]).map((id) => ({ id, label: t(`range.${id}`) }))} />
      </Head>
      <Failure error={stats.error} />
      {!stats.data || !drawn ? (
        <Waiting lines={3} />
      ) : (
        <>
          {setup && <Setup known={setup} />}
          <div className="tiles">
            <Link to="/live" className="plainlink">
              <Tile label={t("home.live")} value={<>{(live.data ?? 0) > 0 && <span className="live-dot" />} {number(live.data ?? 0)}</>} note={t("home.live.note")} />
            </Link>
            <Tile label={t("nav.calls")} value={number(stats.data.total.calls)} note={stats.data.total.calls ? t("home.completed", { share: percent(stats.data.total.completed / stats.data.total.calls) }) : "—"} />
            <Tile label={t("home.minutes")} value={number(stats.data.total.seconds / 60, 1)} note={stats.data.total.completed ? t("home.average", { seconds: number(stats.data.total.seconds / stats.data.total.completed) }) : "—"} />
            <Tile label={t("calls.cost")} value={money(stats.data.total.cost)} note={stats.data.total.seconds ? t("home.perminute", { cost: money((stats.data.total.cost * 60) / stats.data.total.seconds) }) : "—"} />
            <Tile label={t("home.latency")} value={ms(stats.data.latency.p50Ms)} note={[t("home.p95", { ms: ms(stats.data.latency.p95Ms) }), stats.data.latencyTarget.share === null ? null : t("home.target", { share: percent(stats.data.latencyTarget.share) })].filter(Boolean).join(" · ")} />
          </div>
          <div className="home-grid">
            <section className="card">
              <h2>{t("home.calls")}</h2>
              <Series stats={stats.data} pick={(bucket) => bucket.calls} label={t("home.most")} unit={t("home.unit.calls")} format={(value) => number(value)} />
            </section>
            <section className="card">
              <h2>{t("home.minutes")}</h2>
              <Series stats={stats.data} pick={(bucket) => bucket.seconds / 60} label={t("home.most")} unit={t("home.unit.minutes")} format={(value) => number(value, 1)} />
            </section>
            <section className="card">
              <h2>{t("calls.cost")}</h2>
              <Series stats={stats.data} pick={(bucket) => bucket.cost} label={t("home.most")} unit="" format={money} />
            </section>
            <section className="card">
              <h2>{t("home.latency.over")}</h2>
              <Series stats={stats.data} pick={(bucket) => bucket.p95Ms ?? 0} within={(bucket) => bucket.p50Ms ?? 0} label={t("home.latency.most")} unit="" format={ms} />
            </section>
          </div>
          <h2 style={{ margin: "26px 0 0" }}>{t("home.look")}</h2>
          <div className="home-grid">
            <Failed stats={stats.data} />
            <Slow stats={stats.data} />
            <Vendors stats={stats.data} />
            <Hooks />
            <Money stats={stats.data} />
          </div>
        </>
      )}
    </div>
  );
}

/** All days or hours of the time, those without calls too. */
function Series({ stats, pick, within, label, unit, format }: { stats: Stats; pick: (bucket: Stats["buckets"][number]) => number; within?: (bucket: Stats["buckets"][number]) => number; label: string; unit: string; format: (value: number) => string }) {
  const step = stats.interval === "hour" ? 3_600_000 : 86_400_000;
  const known = new Map(stats.buckets.map((bucket) => [new Date(bucket.start).getTime(), bucket]));
  const rows: { label: string; value: number; within?: number }[] = [];
  const first = Math.ceil(new Date(stats.from).getTime() / step) * step;
  for (let at = first - (stats.interval === "day" ? 0 : step); at <= new Date(stats.to).getTime(); at += step) {
    const bucket = known.get(at);
    const iso = new Date(at).toISOString();
    rows.push({ label: stats.interval === "hour" ? `${iso.slice(11, 16)}` : day(iso), value: bucket ? pick(bucket) : 0, within: within && (bucket ? within(bucket) : 0) });
  }
  return <Columns rows={rows} format={format} label={label} unit={unit} />;
}

function Failed({ stats }: { stats: Stats }) {
  const rows = stats.ended.filter((each) => each.status !== "completed");
  return (
    <section className="card">
      <h2>{t("home.failed")}</h2>
      {rows.length === 0 ? (
        <p className="quiet">{t("home.allgood")}</p>
      ) : (
        <>
          <Bars label={t("home.failed")} tone="bad" rows={rows.map((each) => ({ label: reason(each.reason), value: each.calls, shown: <Link to="/calls" search={ended(stats, each)}>{reason(each.reason)}</Link> }))} format={(value) => number(value)} />
          <p className="small" style={{ marginTop: 10 }}>
            <Link to="/calls" search={{ status: "failed", from: dateOf(stats.from) }}>{t("home.failed.show")}</Link>
          </p>
        </>
      )}
    </section>
  );
}

/** The day as the filters of calls have it: of whoever looks. */
function dateOf(iso: string): string {
  const at = new Date(iso);
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
}

function ended(stats: Stats, each: Stats["ended"][number]) {
  return { status: each.status, reason: each.reason ?? undefined, from: dateOf(stats.from) };
}

/** Vendors that failed in calls that went on all the same, or did not. */
function Vendors({ stats }: { stats: Stats }) {
  return (
    <section className="card">
      <h2>{t("home.vendors")}</h2>
      {stats.vendorFailures.length === 0 ? (
        <p className="quiet">{t("home.allgood")}</p>
      ) : (
        <>
          <Bars
            label={t("home.vendors")}
            tone="bad"
            rows={stats.vendorFailures.map((each) => {
              const label = t("home.vendors.row", { vendor: each.vendor, stage: each.stage });
              return { label, value: each.calls, shown: <Link to="/calls/$id" params={{ id: each.lastCallId }} search={{ tab: "events" }}>{label}</Link> };
            })}
            format={(value) => number(value)}
          />
          <p className="small quiet" style={{ marginTop: 10 }}>{t("home.vendors.of", { calls: number(stats.latency.calls) })}</p>
        </>
      )}
    </section>
  );
}

function Slow({ stats }: { stats: Stats }) {
  return (
    <section className="card">
      <h2>{t("home.slow")}</h2>
      {stats.latency.slowest.length === 0 ? (
        <p className="quiet">{t("home.noturns")}</p>
      ) : (
        <ul className="bare-list">
          {stats.latency.slowest.map((each) => (
            <li key={`${each.callId} ${each.turn}`} className="row">
              <Link to="/calls/$id" params={{ id: each.callId }} search={{ tab: "latency", turn: each.turn }} className="grow num" dir="ltr">
                {each.customerNumber}
              </Link>
              <strong className="num">{ms(each.sentMs)}</strong>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Hooks() {
  const found = useQuery({ queryKey: ["deliveries", "failed"], queryFn: () => body(api.GET("/v1/webhook-deliveries", { params: { query: { status: "failed", limit: 3 } } })) });
  const total = found.data?.pagination.total ?? 0;
  return (
    <section className="card">
      <h2>{t("home.hooks")}</h2>
      {total === 0 ? (
        <p className="quiet">{t("home.allgood")}</p>
      ) : (
        <>
          <p>{t("home.hooks.failed", { count: number(total) })}</p>
          <ul className="bare-list small">
            {found.data?.data.map((each) => (
              <li key={each.id} className="cut">
                <span className="mono" dir="ltr">{each.url}</span> <span className="quiet">{each.lastError}</span>
              </li>
            ))}
          </ul>
          <p className="small" style={{ marginTop: 10 }}>
            <Link to="/settings/$section" params={{ section: "webhooks" }} search={{ status: "failed" }}>{t("home.hooks.show")}</Link>
          </p>
        </>
      )}
    </section>
  );
}

const LOW = 5;
const LOW_DAYS = 3;

/** Low is what is little money, and what will be gone in days at the rate of the time shown. */
function Money({ stats }: { stats: Stats }) {
  const found = useQuery({ queryKey: ["balance"], queryFn: () => data(api.GET("/v1/balance")) });
  if (!found.data?.enabled) return null;
  const days = (new Date(stats.to).getTime() - new Date(stats.from).getTime()) / 86_400_000;
  const left = stats.total.cost > 0 ? Math.max(0, (found.data.available / stats.total.cost) * days) : null;
  const low = found.data.available < LOW || (left !== null && left < LOW_DAYS);
  return (
    <section className="card">
      <h2>{t("billing.balance")}</h2>
      <p className={low ? "note bad" : "quiet"}>
        <strong className="num">{money(found.data.available)}</strong> {low && t("home.low")}
      </p>
      {left !== null && left < 365 && <p className="small quiet">{t("home.left", { days: number(left, 1) })}</p>}
      <p className="small" style={{ marginTop: 10 }}>
        <Link to="/settings/$section" params={{ section: "billing" }}>{t("home.balance.show")}</Link>
      </p>
    </section>
  );
}
