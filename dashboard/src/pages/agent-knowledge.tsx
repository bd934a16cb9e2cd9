// Which knowledge bases an agent looks into, and when.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { basesQuery } from "../api/all";
import { Failure } from "../parts/basic";
import { TextField } from "../parts/fields";
import { number, t } from "../words";
import { type Group, hint, label, Marks, of } from "./agent-field";

export function Knowledge({ form }: Group) {
  const { shown, set } = form;
  const bases = useQuery(basesQuery);
  return (
    <>
      <h2>
        {label("knowledgeBaseIds")} <Marks form={form} field="knowledgeBaseIds" />
      </h2>
      <Failure error={bases.error} />
      {bases.data?.length === 0 && (
        <p className="quiet">
          {t("knowledge.none")} <Link to="/knowledge">{t("bases.new")}</Link>
        </p>
      )}
      <div className="choices">
        {bases.data?.map((base) => {
          const on = shown.knowledgeBaseIds.includes(base.id);
          return (
            <label key={base.id} className="choice" data-chosen={on || undefined}>
              <input type="checkbox" checked={on} onChange={() => set("knowledgeBaseIds", on ? shown.knowledgeBaseIds.filter((id) => id !== base.id) : [...shown.knowledgeBaseIds, base.id])} />
              <span>
                <strong>{base.name}</strong>
                <small>{[base.description, t("knowledge.documents", { count: number(base.documentCount) })].filter(Boolean).join(" · ")}</small>
              </span>
            </label>
          );
        })}
      </div>
      {form.wrong("knowledgeBaseIds") && <p className="note bad">{form.wrong("knowledgeBaseIds")}</p>}
      <TextField {...of(form, "knowledgeSearchInstructions")} hint={hint("knowledgeSearchInstructions")} value={shown.knowledgeSearchInstructions ?? ""} onChange={(value) => set("knowledgeSearchInstructions", value || null)} rows={3} maxLength={2000} />
    </>
  );
}
