// A text area that shows which {{variables}} it holds. The marks are on a layer behind the text,
// in the same font and at the same places; the text itself is a plain text area.
import { useId, useRef } from "react";
import { t } from "../words";

// As the server reads them (`talk/tools/template.py`): letters of any script with their marks.
const NAME = "[\\p{L}\\p{M}\\p{N}_\\u200c\\u200d]{1,100}";
const VARIABLE = new RegExp(`\\{\\{[ \\t]*(${NAME})[ \\t]*\\}\\}`, "gu");
const PIECES = new RegExp(`(\\{\\{[ \\t]*${NAME}[ \\t]*\\}\\})`, "gu");

/** The names of all {{variables}} in some texts, each once, in their order. */
export function variablesOf(...texts: (string | null | undefined)[]): string[] {
  const found = new Set<string>();
  for (const text of texts) for (const match of (text ?? "").matchAll(VARIABLE)) found.add((match[1] as string).normalize("NFC"));
  return [...found];
}

// What is meant as a variable, also where no variable can be called so.
const MEANT = /\{\{[ \t]*([^{}\n"':,]{1,100}?)[ \t]*\}\}/g;

/** `{{first-name}}`, which the server leaves out as a variable without a value; and `{{` that is
    nothing of the kind, which is spoken as it stands. */
export function brokenIn(text: string): { dropped: string[]; spoken: string[] } {
  const dropped: string[] = [];
  const rest = text.replace(VARIABLE, "").replace(MEANT, (whole: string, name: string) => {
    if (!name.trim()) return whole;
    dropped.push(whole);
    return "";
  });
  return { dropped, spoken: [...rest.matchAll(/\{\{[^{}\n]{0,40}(\}\})?/g)].map((match) => match[0]) };
}

export function Prompt({ label, value, onChange, wrong, rows = 14, maxLength, known, after }: { label: string; value: string; onChange: (value: string) => void; wrong?: string; rows?: number; maxLength?: number; known?: ReadonlySet<string>; after?: React.ReactNode }) {
  const id = useId();
  const behind = useRef<HTMLDivElement>(null);
  const parts = value.split(PIECES);
  const broken = brokenIn(value);
  const unknown = known ? variablesOf(value).filter((name) => !known.has(name)) : [];
  return (
    <div className="field" data-invalid={wrong ? "" : undefined}>
      <div className="labels">
        <label htmlFor={id}>{label}</label>
        {after}
        <span className="quiet small num" style={{ marginInlineStart: "auto" }}>
          {t("prompt.size", { characters: value.length, tokens: Math.round(value.length / 4) })}
        </span>
      </div>
      <div className="prompt">
        <div className="behind" ref={behind} dir="auto" aria-hidden="true">
          {parts.map((part, n) => (n % 2 ? <mark key={n} className={unknown.includes(variablesOf(part)[0] ?? "") ? "unknown" : undefined}>{part}</mark> : part))}
          {"\n"}
        </div>
        <textarea
          id={id}
          dir="auto"
          rows={rows}
          value={value}
          maxLength={maxLength}
          spellCheck
          aria-invalid={wrong ? true : undefined}
          onChange={(event) => onChange(event.target.value)}
          onScroll={(event) => {
            if (behind.current) behind.current.scrollTop = event.currentTarget.scrollTop;
          }}
        />
      </div>
      {broken.dropped.length > 0 && <span className="wrong">{t("prompt.dropped", { what: broken.dropped.slice(0, 3).join("  ") })}</span>}
      {broken.spoken.length > 0 && <span className="wrong">{t("prompt.broken", { what: broken.spoken.slice(0, 3).join("  ") })}</span>}
      {unknown.length > 0 && (
        <span className="hint" data-unknown>
          {t("prompt.unknown", { what: unknown.map((name) => `{{${name}}}`).join(" ") })}
        </span>
      )}
      {wrong && <span className="wrong" role="alert">{wrong}</span>}
    </div>
  );
}
