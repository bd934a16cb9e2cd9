// Publishing what was changed under a name, and what is told of the draft meanwhile.
import type { UseMutationResult } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Button, Failure, Time } from "../parts/basic";
import { Difference } from "../parts/difference";
import { Dialog } from "../parts/dialogs";
import { t } from "../words";
import type { useDraft } from "./agent-draft";
import type { Agent, Called as Names, Field, Form } from "./agent-state";
import { Called, fieldName } from "./agent-versions";

type Save = UseMutationResult<{ saved: Agent }, Error, { force?: boolean; called?: Names }>;

/** What differs from what calls use now, and how the version is to be called. */
export function PublishDialog({ form, save, onClose }: { form: Form; save: Save; onClose: () => void }) {
  const [name, setName] = useState("");
  const [note, setNote] = useState("");
  useEffect(() => {
    if (save.isSuccess) onClose();
  }, [save.isSuccess]);
  const fields = (Object.keys(form.changes) as Field[]).filter((field) => field in form.agent);
  return (
    <Dialog title={t("publish.title", { name: form.agent.name })} open onClose={onClose} wide>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate({ called: { ...(name.trim() ? { name: name.trim() } : {}), ...(note.trim() ? { note: note.trim() } : {}) } });
        }}
      >
        {fields.map((field) => (
          <Difference key={field} title={fieldName(field)} before={form.agent[field]} after={form.changes[field]} />
        ))}
        <Called name={name} note={note} onName={setName} onNote={setNote} error={save.error} />
        <Failure error={save.error} />
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={save.isPending}>
            {t("publish.do")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Whether the changes are kept, and by whom others are. */
export function DraftTold({ draft }: { draft: ReturnType<typeof useDraft> }) {
  const [failure, setFailure] = useState<unknown>(null);
  const choose = (mine: boolean) => draft.choose(mine).then(() => setFailure(null), setFailure);
  return (
    <>
      <span className="small quiet" style={{ display: "block" }} role="status">
        {draft.is === "kept" && (
          <>
            {t("draft.kept", { author: draft.author ?? "" })} <Time iso={draft.at} />
          </>
        )}
        {draft.is === "waiting" && t("draft.waiting")}
      </span>
      {draft.is === "failed" && <Failure error={draft.error} />}
      {draft.is === "theirs" && (
        <span className="note warn" role="alert">
          <strong>{t("draft.theirs", { author: draft.author ?? "—" })}</strong>
          <span>{Object.keys(draft.theirs?.agent ?? {}).map(fieldName).join(", ")}</span>
          <span className="row">
            <Button look="tiny" onPress={() => void choose(false)}>
              {t("agent.conflict.take")}
            </Button>
            <Button look="tiny" onPress={() => void choose(true)}>
              {t("draft.mine")}
            </Button>
          </span>
          <Failure error={failure} />
        </span>
      )}
    </>
  );
}
