// One call, live or over, on one page.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { agentQuery } from "../api/agent";
import { callQuery } from "../api/calls";
import { api, ApiError, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { useEvents } from "../api/stream";
import { Badge, Button, Code, Copy, curl, Failure, Head, Time, Waiting } from "../parts/basic";
import { Confirm, Dialog, Menu } from "../parts/dialogs";
import { useDrawn } from "../parts/drawn";
import { Reason } from "../parts/explained";
import { useParameters } from "../parts/lists";
import { toast } from "../parts/toasts";
import { clock, money, ms, number, t } from "../words";
import { Controls } from "./call-controls";
import { latencies, quantile, read } from "./call-model";
import { type Peaks, Player } from "./call-player";
import { Ids, Side, type SideTab, TABS } from "./call-side";
import { Transcript } from "./call-transcript";

const bytes = (base64: string) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

export function CallPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const search = useSearch({ strict: false }) as { tab?: string; turn?: number; t?: number };
  const change = useParameters();
  const found = useQuery({
    ...callQuery(id),
    // Until all that comes after a call (cost, recording, summary) is there.
    refetchInterval: (q) => (settled(q.state.data) ? false : q.state.data?.endedAt ? 4_000 : 2_000),
  });
  const call = found.data;
  const agent = useQuery({ ...agentQuery(call?.agentId ?? ""), enabled: !!call, retry: false });
  const { events, over, broken, error } = useEvents(id);
  const talk = useMemo(() => read(events), [events]);
  const peaks = useQuery({
    queryKey: ["peaks", id],
    enabled: !!call?.recordingUrl && !!call.endedAt,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async (): Promise<Peaks> => {
      const drawn = await data(api.GET("/v1/calls/{id}/peaks", { params: { path: { id } } }));
      return { ...drawn, caller: bytes(drawn.caller), agent: bytes(drawn.agent) };
    },
  });
  const [at, setAt] = useState(0);
  const [wish, setWish] = useState<{ ms: number; n: number } | null>(null);
  // Of a call that is over all events come at once: drawn without them it would be drawn twice.
  const drawn = useDrawn(!!call && (call.endedAt === null || events.length > 0 || over || broken));
  if (!call || !drawn) {
    return (
      <div className="page">
        <Failure error={found.error} />
        {!found.error && <Waiting lines={9} />}
      </div>
    );
  }
  const live = call.endedAt === null;
  const seek = (to: number) => setWish((old) => ({ ms: to, n: (old?.n ?? 0) + 1 }));
  const tab = TABS.find((each) => each === search.tab) ?? "summary";
  const turn = search.turn === undefined ? null : Number(search.turn);
  const name = agent.data?.name ?? t("search.agent");
  const waits = latencies(talk.turns);
  return (
    <div className="page">
      <Head
        title={call.direction === "inbound" ? t("call.from", { who: call.customerNumber, agent: name }) : t("call.to", { who: call.customerNumber, agent: name })}
        crumb={<Link to="/calls">{t("nav.calls")}</Link>}
      >
        <Badge kind={call.status} />
        {live && talk.held && <Badge kind="warn">{t("live.at.hold")}</Badge>}
        <Copy text={id} short />
        <CallMenu call={call} />
      </Head>
      <dl className="facts">
        <Fact label={t("calls.when")}>
          <Time iso={call.answeredAt ?? call.createdAt} relative={false} />
        </Fact>
        <Fact label={t("calls.duration")}>{live ? (call.answeredAt ? t("call.running") : "—") : clock(call.durationSeconds)}</Fact>
        <Fact label={t("calls.reason")}><Reason code={call.endedReason} /></Fact>
        <Fact label={t("call.latency")}>
          {waits.length ? (
            <button type="button" className="linklike" onClick={() => change({ tab: "latency" })}>
              {ms(quantile(waits, 0.5))} <span className="quiet">/ {ms(quantile(waits, 0.95))}</span>
            </button>
          ) : (
            "—"
          )}
        </Fact>
        <Fact label={t("calls.turns")}>{number(live ? talk.turns.length : call.turnCount)}</Fact>
        <Fact label={t("calls.cost")}>
          <button type="button" className="linklike" onClick={() => change({ tab: "cost" })}>
            {money(call.cost)}
          </button>
        </Fact>
        <Fact label={t("search.agent")}>
          {agent.data ? <Link to="/agents/$id" params={{ id: call.agentId }}>{name}</Link> : t("deleted")}
          {agent.data && call.agentVersion !== null && (
            <>
              {" "}
              <Link to="/agents/$id" params={{ id: call.agentId }} search={{ group: "versions", version: call.agentVersion }} className="small">
                {t("call.version", { number: number(call.agentVersion) })}
              </Link>
            </>
          )}
        </Fact>
      </dl>
      {(call.status === "failed" || call.endedDetail) && <WhyEnded call={call} />}
      {broken && live && (error instanceof ApiError && error.status ? <Failure error={error} /> : <p className="note warn">{t("call.broken")}</p>)}
      {live && <Controls call={call} />}
      <Player talk={talk} peaks={peaks.data ?? null} url={live ? null : call.recordingUrl} durationMs={peaks.data?.durationMs ?? (call.durationSeconds ?? 0) * 1000} at={at} onTime={setAt} seekTo={wish} live={live} />
      <div className="call-columns">
        <Transcript lines={talk.lines} at={at} seek={seek} openTurn={(n) => change({ tab: "latency", turn: n })} customer={call.customerNumber} agent={name} live={live} />
        <div className="stack">
          <Side call={call} talk={talk} events={events} tab={tab as SideTab} turn={turn} onTab={(next) => change({ tab: next === "summary" ? undefined : next })} onTurn={(n) => change({ turn: n })} seek={seek} />
          <div className="card">
            <Ids pairs={[["call.id", call.id], ["call.sid", call.callSid], ["call.agentid", call.agentId], ["call.numberid", call.phoneNumberId], ["call.parent", call.parentCallId]]} />
          </div>
        </div>
      </div>
    </div>
  );
}

/** Whether nothing more is to come of a call. */
function settled(call: Schemas["Call"] | undefined): boolean {
  if (!call?.endedAt) return false;
  const old = Date.now() - new Date(call.endedAt).getTime() > 120_000;
  return old || (call.cost !== null && (call.recordingUrl !== null || call.answeredAt === null));
}

function Fact({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd className="num">{children}</dd>
    </div>
  );
}

function WhyEnded({ call }: { call: Schemas["Call"] }) {
  return (
    <div className={call.status === "failed" ? "note bad" : "note"}>
      <strong>
        <Reason code={call.endedReason} />
      </strong>
      {call.endedDetail && <span dir="auto">{call.endedDetail}</span>}
    </div>
  );
}

function CallMenu({ call }: { call: Schemas["Call"] }) {
  const navigate = useNavigate();
  const may = useMay("developer");
  const [open, setOpen] = useState<"curl" | "recording" | "transcript" | null>(null);
  const path = { params: { path: { id: call.id } } };
  const again = useMutation({
    mutationFn: () =>
      data(api.POST("/v1/calls", { body: { agentId: call.agentId, phoneNumberId: call.phoneNumberId ?? "", to: call.customerNumber, contextVariables: call.contextVariables as never, metadata: call.metadata as never } })),
    onSuccess: (made) => void navigate({ to: "/calls/$id", params: { id: made.id } }),
  });
  const test = useMutation({
    mutationFn: () => data(api.POST("/v1/test-cases", { body: { callId: call.id } })),
    onSuccess: async (made) => {
      toast(t("call.test.made"));
      await queries.invalidateQueries({ queryKey: ["test-cases", call.agentId] });
      await navigate({ to: "/agents/$id", params: { id: call.agentId }, search: { group: "cases", case: made.id } });
    },
  });
  const refresh = () => queries.invalidateQueries({ queryKey: ["call", call.id] });
  return (
    <>
      {may && call.phoneNumberId && call.endedAt && (
        <Button icon="calls" isDisabled={again.isPending} onPress={() => again.mutate()}>
          {t("call.again")}
        </Button>
      )}
      <Menu
        label={t("more")}
        entries={[
          { id: "curl", label: t("curl.show"), act: () => setOpen("curl") },
          ...(may && call.endedAt && call.turnCount > 0 ? [{ id: "test", label: t("call.test"), act: () => test.mutate() }] : []),
          ...(may && call.recordingUrl && call.endedAt ? [{ id: "recording", label: t("call.delete.recording"), act: () => setOpen("recording") }] : []),
          ...(may && call.transcript && call.endedAt ? [{ id: "transcript", label: t("call.delete.transcript"), act: () => setOpen("transcript") }] : []),
        ]}
      />
      <Failure error={again.error ?? test.error} />
      <Dialog title={t("curl.show")} open={open === "curl"} onClose={() => setOpen(null)} wide>
        <Code>{curl("GET", `/v1/calls/${call.id}?include=turns`)}</Code>
        <Code>{curl("GET", `/v1/calls/${call.id}/events?stream=true`)}</Code>
      </Dialog>
      <Confirm title={t("call.delete.recording")} open={open === "recording"} onClose={() => setOpen(null)} verb={t("delete")} act={async () => { await data(api.DELETE("/v1/calls/{id}/recording", path)); await refresh(); }}>
        {t("call.delete.recording.text")}
      </Confirm>
      <Confirm title={t("call.delete.transcript")} open={open === "transcript"} onClose={() => setOpen(null)} verb={t("delete")} act={async () => { await data(api.DELETE("/v1/calls/{id}/transcript", path)); await refresh(); }}>
        {t("call.delete.transcript.text")}
      </Confirm>
    </>
  );
}

