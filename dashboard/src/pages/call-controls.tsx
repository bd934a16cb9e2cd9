// What can be done to a call that is not over.
import { useMutation } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { api, data, type Schemas } from "../api/client";
import { queries, useMay } from "../api/session";
import { Button, Failure } from "../parts/basic";
import { Confirm } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { toast } from "../parts/toasts";
import { t } from "../words";

const Supervise = lazy(() => import("./call-supervise"));
const TransferCall = lazy(() => import("./call-transfer"));

export function Controls({ call }: { call: Schemas["Call"] }) {
  const may = useMay("developer");
  const [text, setText] = useState("");
  const [asking, setAsking] = useState(false);
  const [handing, setHanding] = useState(false);
  const path = { params: { path: { id: call.id } } };
  const tell = useMutation({
    mutationFn: (verb: "say" | "inject") => data(verb === "say" ? api.POST("/v1/calls/{id}/say", { ...path, body: { text } }) : api.POST("/v1/calls/{id}/inject", { ...path, body: { text } })),
    onSuccess: () => {
      setText("");
      toast(t("control.told"));
    },
  });
  if (!may) return null;
  const waiting = call.status === "queued";
  // A second call has no caller. For a browser's call the person is called from a number of the agent's.
  const transferable = call.status === "in_progress" && call.parentCallId === null;
  const end = async () => {
    await data(waiting ? api.POST("/v1/calls/{id}/cancel", path) as never : api.POST("/v1/calls/{id}/hangup", path));
    await queries.invalidateQueries({ queryKey: ["call", call.id] });
  };
  return (
    <section className="card controls-card" aria-label={t("control")}>
      {call.status === "in_progress" && (
        <form
          className="row grow"
          onSubmit={(event) => {
            event.preventDefault();
            if (text.trim()) tell.mutate("say");
          }}
        >
          <div className="grow">
            <TextField label={<span className="hidden">{t("control.text")}</span>} placeholder={t("control.text")} value={text} onChange={setText} maxLength={1000} />
          </div>
          <div className="row">
            <Button type="submit" isDisabled={!text.trim() || tell.isPending}>
              {t("control.say")}
            </Button>
            <Button isDisabled={!text.trim() || tell.isPending} onPress={() => tell.mutate("inject")}>
              {t("control.note")}
            </Button>
          </div>
        </form>
      )}
      {transferable && <Button onPress={() => setHanding(true)}>{t("control.transfer.verb")}</Button>}
      {handing && (
        <Suspense fallback={null}>
          <TransferCall call={call} onClose={() => setHanding(false)} />
        </Suspense>
      )}
      <Button look="danger" onPress={() => setAsking(true)}>
        {waiting ? t("control.cancel") : t("control.end")}
      </Button>
      {call.status === "in_progress" && (
        <Suspense fallback={null}>
          <Supervise callId={call.id} />
        </Suspense>
      )}
      <Failure error={tell.error} />
      <Confirm title={waiting ? t("control.cancel") : t("control.end")} open={asking} onClose={() => setAsking(false)} act={end} verb={waiting ? t("control.cancel") : t("control.end")}>
        {t("control.end.text")}
      </Confirm>
    </section>
  );
}
