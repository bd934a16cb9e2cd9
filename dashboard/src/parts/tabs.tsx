// Tabs as the ARIA authoring practices have them: one stop for Tab, arrows between them, and the
// panel of the one that is chosen. The library's own look through the whole panel for what can have
// the focus each time anything in it changes, which on a telephone took as long as drawing the page.
import { type KeyboardEvent, type ReactNode, type RefObject, useEffect, useId, useRef } from "react";

export type TabOf<Id extends string> = { id: Id; label: string; panel: () => ReactNode };

/** Of tabs that have no room and are scrolled, the chosen one is brought into sight; the page stays where it is. */
export function useInSight(list: RefObject<HTMLElement | null>, chosen: string | undefined) {
  useEffect(() => {
    const all = list.current;
    const at = all?.querySelector('[data-selected], [data-status="active"]');
    if (all && at) all.scrollBy({ left: middle(at) - middle(all) });
  }, [list, chosen]);
}

function middle(of: Element): number {
  const { left, width } = of.getBoundingClientRect();
  return left + width / 2;
}

export function Tabs<Id extends string>({ label, tabs, chosen, onChoose }: { label: string; tabs: TabOf<Id>[]; chosen: Id; onChoose: (id: Id) => void }) {
  const name = useId();
  const list = useRef<HTMLDivElement>(null);
  const at = Math.max(0, tabs.findIndex((each) => each.id === chosen));
  useInSight(list, tabs[at]?.id);
  const go = (to: number) => {
    const next = tabs[(to + tabs.length) % tabs.length];
    if (!next) return;
    onChoose(next.id);
    list.current?.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    const to = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : event.key === forward ? at + 1 : event.key === "ArrowLeft" || event.key === "ArrowRight" ? at - 1 : null;
    if (to === null) return;
    event.preventDefault();
    go(to);
  };
  const shown = tabs[at];
  if (!shown) return null;
  return (
    <div className="tabs">
      <div role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
        {tabs.map((each) => (
          <button key={each.id} type="button" role="tab" id={`${name}-${each.id}`} data-tab={each.id} data-selected={each === shown || undefined} aria-selected={each === shown} aria-controls={each === shown ? `${name}-panel` : undefined} tabIndex={each === shown ? 0 : -1} onClick={() => onChoose(each.id)}>
            {each.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${name}-panel`} aria-labelledby={`${name}-${shown.id}`} key={shown.id} tabIndex={0}>
        {shown.panel()}
      </div>
    </div>
  );
}
