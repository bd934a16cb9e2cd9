// Short words at the bottom, which go by themselves; a screen reader is told of them.
import { useSyncExternalStore } from "react";
import { t } from "../words";

type Toast = { id: number; text: string; undo?: () => void };
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
          <span>{each.text}</span>
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
