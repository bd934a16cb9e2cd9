// One value before and after: texts line by line, all else as JSON.
import { t } from "../words";

type Part = { kind: "same" | "gone" | "new"; text: string };
const MOST_LINES = 600;
const AROUND = 2;

export function Difference({ title, before, after }: { title: string; before: unknown; after: unknown }) {
  const parts = shortened(compared(lines(before), lines(after)));
  return (
    <section className="difference">
      <h3>{title}</h3>
      <pre dir="auto" tabIndex={0} aria-label={title}>
        {parts.map((part, n) =>
          part.kind === "gone" ? (
            <del key={n}>
              <span className="hidden">{t("difference.gone")} </span>
              {part.text}
              {"\n"}
            </del>
          ) : part.kind === "new" ? (
            <ins key={n}>
              <span className="hidden">{t("difference.new")} </span>
              {part.text}
              {"\n"}
            </ins>
          ) : (
            <span key={n}>
              {part.text}
              {"\n"}
            </span>
          ),
        )}
      </pre>
    </section>
  );
}

function lines(value: unknown): string[] {
  if (value === null || value === undefined || value === "") return [];
  return (typeof value === "string" ? value : JSON.stringify(value, null, 2)).split("\n");
}

/** The longest common lines stay; what is too long for that is shown as all gone and all new. */
export function compared(before: string[], after: string[]): Part[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (end < before.length - start && end < after.length - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const old = before.slice(start, before.length - end);
  const fresh = after.slice(start, after.length - end);
  const same = (text: string): Part => ({ kind: "same", text });
  return [...before.slice(0, start).map(same), ...middle(old, fresh), ...before.slice(before.length - end).map(same)];
}

function middle(old: string[], fresh: string[]): Part[] {
  const gone = (text = ""): Part => ({ kind: "gone", text });
  const made = (text = ""): Part => ({ kind: "new", text });
  if (old.length > MOST_LINES || fresh.length > MOST_LINES) return [...old.map(gone), ...fresh.map(made)];
  // length[i][j]: of the longest common part of what is left from i and j on.
  const width = fresh.length + 1;
  const length = new Uint16Array((old.length + 1) * width);
  const at = (i: number, j: number) => length[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i--) for (let j = fresh.length - 1; j >= 0; j--) length[i * width + j] = old[i] === fresh[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const parts: Part[] = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < fresh.length) {
    if (i < old.length && j < fresh.length && old[i] === fresh[j]) {
      parts.push({ kind: "same", text: old[i] ?? "" });
      i++;
      j++;
    } else if (j >= fresh.length || (i < old.length && at(i + 1, j) >= at(i, j + 1))) parts.push(gone(old[i++]));
    else parts.push(made(fresh[j++]));
  }
  return parts;
}

/** Of what stays, only the lines around what does not. */
function shortened(parts: Part[]): Part[] {
  const near = (n: number) => parts.slice(Math.max(0, n - AROUND), n + AROUND + 1).some((part) => part.kind !== "same");
  const found: Part[] = [];
  parts.forEach((part, n) => {
    if (part.kind !== "same" || near(n)) found.push(part);
    else if (found[found.length - 1]?.text !== "⋯") found.push({ kind: "same", text: "⋯" });
  });
  return found;
}
