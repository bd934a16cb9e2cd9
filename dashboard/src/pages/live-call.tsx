// One live call beside the list of all: what is said as it is said, and what can be done to it.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { agentQuery } from "../api/agent";
import { api, data } from "../api/client";
import { useEvents } from "../api/stream";
import { Badge, Button, Failure, Waiting } from "../parts/basic";
import { t } from "../words";
import { Controls } from "./call-controls";
import { read } from "./call-model";
import { Transcript } from "./call-transcript";
import { reason } from "../parts/explained";

export default function LiveCallPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const navigate = useNavigate();
  const { events, over, broken } = useEvents(id);
  const talk = useMemo(() => read(events), [events]);
  // Its status changes with its events, so it is asked for again when there are some.
  const status = events.findLast((each) => each.kind === "status_changed")?.seq ?? 0;
  const found = useQuery({ queryKey: ["call", id, status, over], placeholderData: (old) => old, queryFn: () => data(api.GET("/v1/calls/{id}", { params: { path: { id } } })) });
  const agent = useQuery({ ...agentQuery(found.data?.agentId ?? ""), enabled: !!found.data, retry: false });
  const call = found.data;
  if (!call) {
    return (
      <div>
        <Failure error={found.error} />
        {found.isPending && <Waiting />}
      </div>
    );
  }
  const name = agent.data?.name ?? t("search.agent");
  const live = call.endedAt === null;
  return (
    <section className="live-call" aria-label={t("live.open", { who: call.customerNumber })}>
      <div className="row">
        <h2 className="grow num" dir="ltr">{call.customerNumber}</h2>
        <Badge kind={call.status} />
        {live && talk.held && <Badge kind="warn">{t("live.at.hold")}</Badge>}
        <Link to="/calls/$id" params={{ id }} className="button">{t("live.page")}</Link>
        <Button look="bare" icon="close" aria-label={t("close")} onPress={onClose} />
      </div>
      {broken && live && <p className="note warn">{t("call.broken")}</p>}
      {live ? <Controls call={call} /> : <p className="note">{t("live.over", { reason: reason(call.endedReason) })}</p>}
      <Transcript lines={talk.lines} at={-1} openTurn={(turn) => void navigate({ to: "/calls/$id", params: { id }, search: { tab: "latency", turn } as never })} customer={call.customerNumber} agent={name} live={live} />
    </section>
  );
}
