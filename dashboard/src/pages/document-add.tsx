// Giving a knowledge base a document: files, a text, or the URL of one.
import { useMutation } from "@tanstack/react-query";
import { useId, useState } from "react";
import { ApiError, api, data, type Schemas } from "../api/client";
import { Button, Failure } from "../parts/basic";
import { Dialog } from "../parts/dialogs";
import { NumberField, TextField } from "../parts/fields";
import { useDirty } from "../parts/unsaved";
import { number, t } from "../words";

type Way = "file" | "text" | "url";
const ENDINGS = ".txt,.md,.html,.htm,.pdf,.docx,.csv";

/** Bytes as people say them. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${number(bytes)} B`;
  return bytes < 1_000_000 ? `${number(bytes / 1000)} kB` : `${number(bytes / 1_000_000, 1)} MB`;
}

export function AddDocument({ id, onClose, onAdded }: { id: string; onClose: () => void; onAdded: () => void }) {
  const [way, setWay] = useState<Way>("file");
  const [name, setName] = useState("");
  const [files, setFiles] = useState<File[]>([]);
  const [text, setText] = useState("");
  const [url, setUrl] = useState("");
  const [refreshHours, setRefreshHours] = useState<number | null>(null);
  const [failed, setFailed] = useState<{ file: string; error: unknown }[]>([]);
  const dirty = useDirty([name, files.map((file) => file.name), text, url, refreshHours]);
  const picker = useId();
  const add = useMutation({
    mutationFn: async () => {
      if (way !== "file") {
        const wish: Schemas["DocumentCreate"] = way === "text" ? { name, text } : { name: name || url.slice(0, 255), url, refreshHours };
        await data(api.POST("/v1/knowledge-bases/{id}/documents", { params: { path: { id } }, body: wish }));
        return;
      }
      // One after the other: of many files, those that are taken stay taken.
      const refused: { file: string; error: unknown }[] = [];
      for (const file of files) await upload(id, file).catch((error: unknown) => refused.push({ file: file.name, error }));
      setFailed(refused);
      if (refused.length) {
        setFiles(files.filter((file) => refused.some((each) => each.file === file.name)));
        throw refused[0]?.error;
      }
    },
    onSuccess: onClose,
    onSettled: onAdded,
  });
  const wrong = add.error instanceof ApiError ? add.error : undefined;
  const choose = (next: Way) => {
    setWay(next);
    add.reset();
    setFailed([]);
  };
  return (
    <Dialog title={t("documents.add")} open onClose={onClose} dirty={dirty}>
      <form className="stack" onSubmit={(event) => { event.preventDefault(); add.mutate(); }}>
        <fieldset className="row" aria-label={t("documents.source")}>
          {(["file", "text", "url"] as const).map((each) => (
            <label key={each} className="choice" data-chosen={way === each || undefined}>
              <input type="radio" name="way" checked={way === each} onChange={() => choose(each)} />
              {t(`documents.${each}`)}
            </label>
          ))}
        </fieldset>
        {way === "file" && (
          <div className="field">
            <label htmlFor={picker}>{t("documents.files")}</label>
            <input id={picker} type="file" multiple accept={ENDINGS} required={files.length === 0} aria-describedby={`${picker}-hint`} onChange={(event) => setFiles([...(event.target.files ?? [])])} />
            <span className="hint" id={`${picker}-hint`}>{t("documents.files.hint")}</span>
          </div>
        )}
        {way === "file" && files.length > 0 && (
          <ul className="bare-list small">
            {files.map((file) => (
              <li key={file.name}>
                <bdi>{file.name}</bdi> <span className="quiet">{size(file.size)}</span>
              </li>
            ))}
          </ul>
        )}
        {way === "url" && <TextField label="URL" type="url" value={url} onChange={setUrl} required autoFocus dir="ltr" placeholder="https://example.com/hours" hint={t("documents.url.hint")} wrong={wrong?.of("url")} />}
        {way !== "file" && <TextField label={way === "url" ? t("documents.name.optional") : t("name")} value={name} onChange={setName} required={way === "text"} maxLength={255} wrong={wrong?.of("name")} />}
        {way === "text" && <TextField label={t("documents.text")} hint={t("documents.text.hint")} value={text} onChange={setText} required rows={9} maxLength={1_000_000} wrong={wrong?.of("text")} />}
        {way === "url" && <NumberField label={t("documents.refresh")} hint={t("documents.refresh.hint")} value={refreshHours} onChange={setRefreshHours} min={1} max={8760} wrong={wrong?.of("refreshHours")} />}
        {failed.length > 0 ? failed.map((each) => (
          <div key={each.file}>
            <p className="small"><bdi>{each.file}</bdi></p>
            <Failure error={each.error} />
          </div>
        )) : <Failure error={add.error} />}
        <div className="foot">
          <Button onPress={onClose}>{t("cancel")}</Button>
          <Button type="submit" look="strong" isDisabled={add.isPending}>
            {add.isPending ? t("documents.sending") : t("documents.do")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function upload(id: string, file: File): Promise<Schemas["Document"]> {
  return data(
    api.POST("/v1/knowledge-bases/{id}/documents/upload", {
      params: { path: { id } },
      body: { file: file as unknown as string },
      bodySerializer: () => {
        const form = new FormData();
        form.append("file", file);
        return form;
      },
    }),
  );
}
