// Short words at the bottom; a screen reader is told of them. They go by themselves, but for
// failures, which stay until they are closed: one has to read them, and to follow a link.
import { useSyncExternalStore } from "react";
import { t } from "../words";
import { Button, Failure } from "./basic";

type Toast = { id: number; text: string; undo?: () => void; error?: unknown };
let shown: Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();
const SHOWN_MS = 5000;

function set(next: Toast[]) {
  shown = next;
  for (const tell of listeners) tell();
}

export function toast(text: string, undo?: () => void) {
  const id = ++last;
  set([...shown.slice(-2), { id, text, undo }]);
  setTimeout(() => set(shown.filter((each) => each.id !== id)), undo ? 2 * SHOWN_MS : SHOWN_MS);
}

/** Of what has no place of its own on the page. */
export function failed(error: unknown) {
  set([...shown.filter((each) => !each.error).slice(-2), { id: ++last, text: "", error }]);
}

export function Toasts() {
  const all = useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => shown,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {all.map((each) => (
        <div key={each.id} className="toast">
          {each.error ? (
            <>
              <Failure error={each.error} />
              <Button look="tiny bare" icon="close" aria-label={t("close")} onPress={() => set(shown.filter((other) => other.id !== each.id))} />
            </>
          ) : (
            <span>{each.text}</span>
          )}
          {each.undo && (
            <button
              type="button"
              onClick={() => {
                each.undo?.();
                set(shown.filter((other) => other.id !== each.id));
              }}
            >
              {t("undo")}
            </button>
          )}
        </div>
      ))}
    </div>
  );
}
