// Handing the caller of a live call to a person: one of the agent's targets, or another number.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { agentQuery } from "../api/agent";
import { ApiError, api, data, type Schemas } from "../api/client";
import { Button, Failure } from "../parts/basic";
import { Dialog } from "../parts/dialogs";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { toast } from "../parts/toasts";
import { t } from "../words";

type Type = NonNullable<Schemas["TransferTarget"]["type"]>;
const TYPES = ["cold", "warm", "warm_briefing"] as const;
// No target is named so: the names are not empty.
const ANOTHER = "";

export default function TransferCall({ call, onClose }: { call: Schemas["Call"]; onClose: () => void }) {
  const agent = useQuery({ ...agentQuery(call.agentId), retry: false });
  const [chosen, setChosen] = useState<string | null>(null);
  const [number, setNumber] = useState("+");
  const [type, setType] = useState<Type>("warm");
  const [reason, setReason] = useState("");
  const targets = agent.data?.transferTargets ?? [];
  const target = chosen ?? targets[0]?.name ?? ANOTHER;
  const tell = useMutation({
    mutationFn: () => {
      const whom: Schemas["TransferWish"] = target === ANOTHER ? { to: { name: number, number, type } as Schemas["TransferTarget"] } : { target };
      return data(api.POST("/v1/calls/{id}/transfer", { params: { path: { id: call.id } }, body: { ...whom, reason } }));
    },
    onSuccess: () => {
      toast(t("control.told"));
      onClose();
    },
  });
  const wrong = tell.error instanceof ApiError ? tell.error : undefined;
  return (
    <Dialog title={t("control.transfer")} open onClose={onClose}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); tell.mutate(); }}>
        <SelectField label={t("control.transfer.to")} value={target} onChange={setChosen} wrong={wrong?.of("target")} choices={[...targets.map((each) => ({ id: each.name, label: each.name, note: each.number })), { id: ANOTHER, label: t("control.transfer.another") }]} />
        {target === ANOTHER && (
          <>
            <TextField label={t("number")} hint={t("control.transfer.number.hint")} value={number} onChange={(typed) => { setChosen(ANOTHER); setNumber(typed); }} wrong={wrong?.of("to.number") ?? wrong?.of("to.name")} dir="ltr" required />
            <SelectField label={t("type")} value={type} onChange={(id) => setType(id as Type)} choices={TYPES.map((id) => ({ id, label: t(`transfer.${id}`) }))} />
          </>
        )}
        <TextField label={t("control.transfer.reason")} hint={t("control.transfer.reason.hint")} value={reason} onChange={setReason} wrong={wrong?.of("reason")} rows={2} maxLength={1000} />
        <Failure error={tell.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={tell.isPending}>
            {t("control.transfer.verb")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
