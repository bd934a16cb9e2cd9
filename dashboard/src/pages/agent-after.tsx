// What an agent does when a call is over.
import type { Schemas } from "../api/client";
import { TextField } from "../parts/fields";
import { SelectField } from "../parts/select";
import { SwitchField } from "../parts/switch";
import { t } from "../words";
import { Bool, type Group, hint, label, Lines, Marks, of, Rows } from "./agent-field";

type Value = Schemas["ExtractionField"];
const TYPES = ["string", "number", "integer", "boolean", "date", "array", "object"] as const;
const FRESH: Value = { name: "", type: "string", description: "", required: false, enum: null };

export function After({ form }: Group) {
  const { shown, set } = form;
  return (
    <>
      <Bool form={form} field="postCallSummaryEnabled" />
      <h2>
        {label("postCallExtractionSchema")} <Marks form={form} field="postCallExtractionSchema" />
      </h2>
      <p className="quiet small">{hint("postCallExtractionSchema")}</p>
      {Array.isArray(shown.postCallExtractionSchema) ? (
        <Rows
          items={shown.postCallExtractionSchema}
          onChange={(items) => set("postCallExtractionSchema", items)}
          fresh={FRESH}
          add={t("extraction.add")}
          row={(item, put, n) => {
            const at = (name: string) => ({ field: `postCallExtractionSchema.${name}`, wrong: form.wrong(`postCallExtractionSchema.${n}.${name}`) });
            return (
              <>
                <TextField {...at("name")} label={t("name")} mono value={item.name} onChange={(name) => put({ ...item, name })} />
                <SelectField {...at("type")} label={t("type")} value={item.type} onChange={(type) => put({ ...item, type: type as Value["type"] })} choices={TYPES.map((id) => ({ id, label: id }))} />
                <TextField {...at("description")} label={t("description")} value={item.description ?? ""} onChange={(description) => put({ ...item, description })} />
                <Lines {...at("enum")} label={t("extraction.enum")} rows={1} value={(item.enum ?? []).map(String)} onChange={(values) => put({ ...item, enum: allowed(item, values) })} />
                <SwitchField {...at("required")} label={t("required")} value={item.required ?? false} onChange={(required) => put({ ...item, required })} />
              </>
            );
          }}
        />
      ) : (
        <>
          <p className="note">{t("extraction.schema")}</p>
          <pre className="mono small" dir="ltr">
            {JSON.stringify(shown.postCallExtractionSchema, null, 2)}
          </pre>
        </>
      )}
      {form.wrong("postCallExtractionSchema") && <p className="note bad">{form.wrong("postCallExtractionSchema")}</p>}
      <TextField {...of(form, "postCallWebhookUrl")} hint={hint("postCallWebhookUrl")} value={shown.postCallWebhookUrl ?? ""} onChange={(value) => set("postCallWebhookUrl", value || null)} type="url" placeholder="https://" dir="ltr" />
      <Secret form={form} />
    </>
  );
}

/** The values that are allowed: as numbers where the field is one. */
function allowed(item: Value, values: string[]): Value["enum"] {
  if (values.length === 0) return null;
  const isNumber = item.type === "number" || item.type === "integer";
  return values.map((value) => (isNumber && Number.isFinite(Number(value)) ? Number(value) : value));
}

function Secret({ form }: Group) {
  const kept = form.agent.hasPostCallWebhookSecret;
  const given = form.changes.postCallWebhookSecret;
  return (
    <>
      <TextField
        field="postCallWebhookSecret"
        label={t("field.postCallWebhookSecret")}
        hint={kept ? t("secret.kept") : t("hint.postCallWebhookSecret")}
        after={given !== undefined && <span className="dot" title={t("agent.unsaved.field")} />}
        wrong={form.wrong("postCallWebhookSecret")}
        type="password"
        autoComplete="new-password"
        value={given ?? ""}
        onChange={(value) => form.setSecret(value || undefined)}
        maxLength={512}
        dir="ltr"
      />
      {kept && (
        <SwitchField
          label={t("secret.remove")}
          value={given === null}
          onChange={(on) => form.setSecret(on ? null : undefined)}
        />
      )}
    </>
  );
}
